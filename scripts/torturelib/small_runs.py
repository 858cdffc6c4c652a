"""A small project in which every command has something to do for a second or two, in several parts where it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

Runner = Callable[[Sequence[str]], int]
"""Runs ``cryoalign WORDS`` in the project's folder; returns the exit status."""

_QUIET = ("-q", "-j", "1")
_MAKING = (
    "simulate -o sim -n 96 --n-views 2 --box 32 --pixel-size 6 --snr 1 --ctf",
    "align sim/particles.star --reference sim/references.mrcs --allow-no-signal -o Aligned",
    "rid-distance sim/particles.star -k 8 -o Neighbours",
)
COMMANDS = {
    "simulate": "simulate -n 4160 --box 32 --pixel-size 6 --snr 1 --views sim/views.star",
    "simulate-graph": "simulate-graph -n 60 --export csv",
    "align": "align sim/particles.star --reference sim/references.star --block-size 64 --allow-no-signal",
    "average": "average Aligned/particles.star --block-size 64",
    "classavg": "classavg sim/particles.star -k 8 --classes 4 --block-size 64 --allow-no-signal",
    "rid-distance": "rid-distance sim/particles.star -k 8 --block-size 64 --export csv",
    "sync": "sync Neighbours/graph.npz --particles sim/particles.star --allow-no-signal",
    "select": "select Aligned/particles.star --best 60",
    "compare": "compare sim/references.mrcs Aligned/averages.mrcs --metric ncc --export csv",
}
"""The words of a run of each command, but for its directory; `simulate` reads views, so that it reads something."""
INPUTS = {
    "simulate": ("sim/views.star",),
    "align": ("sim/particles.star", "sim/particles.mrcs", "sim/references.mrcs"),
    "average": ("Aligned/particles.star", "sim/particles.mrcs"),
    "classavg": ("sim/particles.star", "sim/particles.mrcs"),
    "rid-distance": ("sim/particles.star", "sim/particles.mrcs"),
    "sync": ("Neighbours/graph.npz", "sim/particles.star"),
    "select": ("Aligned/particles.star",),
    "compare": ("sim/references.mrcs", "Aligned/averages.mrcs"),
}
"""Files whose bytes each command reads, stacks behind tables included."""
RESULTS = (".star", ".mrcs", ".npz", ".csv")


def make_project(folder: Path, run: Runner) -> None:
    """Fill a folder with what the commands read."""
    for words in _MAKING:
        line = [*words.split(), *_QUIET]
        if run(line) != 0:
            raise RuntimeError(f"cryoalign {' '.join(line)} failed")
        if words.startswith("simulate"):
            angles = "".join(f"{rot} {tilt}\n" for rot, tilt in ((10, 80), (100, 40)))
            (folder / "sim" / "views.star").write_text(f"data_\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n{angles}")


def words_of(command: str, output: str, *more: str) -> list[str]:
    """Return the words of a run of one of the commands into a directory."""
    return [*COMMANDS[command].split(), *_QUIET, "-o", output, *more]


def results_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the result files in a run directory."""
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in RESULTS and ".cryoalign" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
