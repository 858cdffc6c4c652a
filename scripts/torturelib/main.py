"""The words of scripts/torture: which harm is done, how often."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from torturelib.forked import warm_up, without_pages
from torturelib.small_runs import COMMANDS, make_project, words_of
from torturelib.tables import show


def main(argv: list[str] | None = None) -> int:
    """Do the harm that the words ask for; return 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kills = kinds.add_parser("kills", help="kill all commands at steps and at random, and --overwrite at every step")
    kills.add_argument("count", nargs="?", type=int, default=300, metavar="N", help="kills in all")
    kills.add_argument("--steps", type=int, default=47, metavar="N", help="steps of --overwrite, of each command")
    disks = kinds.add_parser("disks", help="full disks, folders that cannot be written or are removed, closed streams")
    disks.add_argument("count", nargs="?", type=int, default=8, metavar="N", help="sizes of a full disk, of a command")
    for parsed in (kills, disks):
        parsed.add_argument("--seed", type=int, default=0)
    words = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        project = small_project(Path(folder))
        if words.kind == "kills":
            from torturelib.kills import kills as kill
            from torturelib.kills import overwriting

            rows = [*kill(project, words.count, seed=words.seed), *overwriting(project, words.steps)]
        else:
            from torturelib.disks import disks as fill

            rows = fill(project, words.count)
        return 1 if show(rows) else 0


def small_project(folder: Path) -> Path:
    """Make the small project, and run every command of it once in this process, so that children start warm."""
    without_pages([name for name in COMMANDS if name not in ("simulate", "simulate-graph", "select")])

    def run(line: object) -> int:
        warm_up(folder, [line])  # type: ignore[list-item]
        return 0

    make_project(folder, run)
    warm_up(folder, [words_of(command, f"warm-{command}") for command in COMMANDS])
    return folder
