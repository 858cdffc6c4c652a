"""Kills: every command at its steps and at random, then carried on or run again: same bytes, and never a mixture."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from torturelib.forked import After, Outcome, Steps, forked
from torturelib.small_runs import COMMANDS, results_of, words_of
from torturelib.tables import Row

STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def kills(project: Path, wanted: int, *, seed: int = 0) -> list[Row]:
    """Kill the commands so many times in all, at steps and at random times, and hold what comes of it.

    Parameters
    ----------
    project
        From `torturelib.small_runs.make_project`, with everything imported.
    wanted
        Kills; a third at steps, a third at random times, a third by SIGINT, SIGTERM and SIGHUP at random times.
    seed
        Of the random times.
    """
    dice = random.Random(seed)
    rows = []
    for place, command in enumerate(COMMANDS):
        share = wanted // len(COMMANDS) + (place < wanted % len(COMMANDS))
        rows.append(_of_command(project, command, share, dice))
    return rows


def overwriting(project: Path, steps: int) -> list[Row]:
    """Kill ``--overwrite`` at every step, up to so many steps spread evenly, of every command.

    The directory holds the old results or the new ones wherever run.json says finished, and the same words again end
    with the new ones.
    """
    return [_overwritten(project, command, steps) for command in COMMANDS]


def _of_command(project: Path, command: str, share: int, dice: random.Random) -> Row:
    out, row = project / "killed", Row(f"kills: {command}")
    started = time.monotonic()
    whole = _run(project, words_of(command, "killed"), Steps(out))
    took = time.monotonic() - started
    expected = results_of(out)
    if whole.status != 0 or not expected:
        row.failed(f"exit status {whole.status}: {whole.said}")
        return row
    for number in range(share):
        shutil.rmtree(out, ignore_errors=True)
        kind = number % 3
        if kind == 0:
            step = 1 + whole.steps * number // max(1, share)
            first = _run(project, words_of(command, "killed"), Steps(out, step))
            what = f"killed at step {step} of {whole.steps}"
        else:
            stop = signal.SIGKILL if kind == 1 else dice.choice(list(STOPS))
            seconds = dice.uniform(0, took)
            again = dice.choice((None, None, 0.05, 1.2)) if stop == signal.SIGINT else None
            first = _run(project, words_of(command, "killed"), After(seconds, stop, again))
            what = f"{signal.Signals(stop).name} after {seconds:.3f} s" + ("" if again is None else ", twice")
        _hold_stopped(row, what, first, out)
        how = dice.choice(("--resume", "--resume", "--overwrite"))
        second = _run(project, words_of(command, "killed", how))
        if second.status != 0:
            row.failed(f"{what}, then {how}: exit status {second.status}: {second.said}")
        elif results_of(out) != expected:
            row.failed(f"{what}, then {how}: other bytes")
        elif (out / ".cryoalign").exists() or not (out / "RELION_JOB_EXIT_SUCCESS").exists():
            row.failed(f"{what}, then {how}: not tidy")
        else:
            row.good()
    shutil.rmtree(out, ignore_errors=True)
    return row


def _hold_stopped(row: Row, what: str, first: Outcome, out: Path) -> None:
    """Hold what a stopped process may have said and left."""
    if "Traceback" in first.said or "unexpected" in first.said:
        row.failed(f"{what}: {first.said}")
    if first.status not in (0, -signal.SIGKILL, *STOPS.values()):
        row.failed(f"{what}: exit status {first.status}: {first.said}")
    if (out / "RELION_JOB_EXIT_SUCCESS").exists() and _status(out) != "finished":
        row.failed(f"{what}: a success that run.json does not know")


def _overwritten(project: Path, command: str, most: int) -> Row:
    """Kill one command's ``--overwrite`` at its steps."""
    out, kept, row = project / "killed", project / "kept", Row(f"--overwrite: {command}")
    for folder in (out, kept):
        shutil.rmtree(folder, ignore_errors=True)
    other = {"simulate-graph": ("--jitter", "5"), "select": ("--invert-selection",), "simulate": ("--seed", "9"),
             "average": ("--plain",), "compare": ("--mirror",), "sync": ("--algorithm", "ppe"),
             "align": ("--no-whiten",), "classavg": ("--no-whiten",), "rid-distance": ("--no-mirror",)}  # fmt: skip
    if _run(project, words_of(command, "killed", *other[command])).status != 0:
        row.failed("the old run failed")
        return row
    old = results_of(out)
    shutil.copytree(out, kept, symlinks=True)
    words = words_of(command, "killed", "--overwrite")
    whole = _run(project, words, Steps(out))
    new = results_of(out)
    if whole.status != 0 or new == old:
        row.failed(f"exit status {whole.status}: {whole.said}")
        return row
    states: Counter[str] = Counter()
    count = min(most, whole.steps)
    for step in [1 + whole.steps * k // count for k in range(count)]:
        shutil.rmtree(out)
        shutil.copytree(kept, out, symlinks=True)
        first, what = _run(project, words, Steps(out, step)), f"killed at step {step} of {whole.steps}"
        _hold_stopped(row, what, first, out)
        status, found = _status(out), results_of(out)
        states["old" if found == old else "new" if found == new else "between"] += 1
        if status == "finished" and found not in (old, new):
            row.failed(f"{what}: run.json says finished, and the results are neither the old nor the new ones")
        # Whatever a user does next: the same again, or another look at what was there.
        if step % 2:
            second = _run(project, words_of(command, "killed", *other[command], "--resume"))
            if second.status not in (0, 1):
                row.failed(f"{what}, then the old run with --resume: exit status {second.status}: {second.said}")
            elif second.status == 0 and results_of(out) != old:
                row.failed(f"{what}, then the old run with --resume: other bytes")
        second = _run(project, words)
        if second.status != 0 or results_of(out) != new:
            row.failed(f"{what}, then again: exit status {second.status}: {second.said}")
        else:
            row.good()
    row.note = ", ".join(f"{number} {name}" for name, number in sorted(states.items()))
    for folder in (out, kept):
        shutil.rmtree(folder, ignore_errors=True)
    return row


def _run(project: Path, words: list[str], *hooks: object) -> Outcome:
    return forked(project, words, *hooks)  # type: ignore[arg-type]


def _status(out: Path) -> str:
    try:
        return str(json.loads((out / "run.json").read_text())["status"])
    except FileNotFoundError:
        return "none"
