"""A small job with everything a real one has: parts, a stack written by the parts, a merge, a commit.

Run as a program so that tests can kill it: ``python -P toyjob.py DIR INPUT ROWS [--resume] [--overwrite] [--part K/N]
[--die-after N] [--slow SECONDS] [--merge] [--workers N]``. Prints a line per finished part.
-P keeps its neighbours, select.py among them, from being taken for modules of the standard library.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoalign.core.errors import CryoalignError
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.parts import PartRange, plan_parts
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import PureWork, run_parts

PART_ROWS = 64


@dataclass(frozen=True)
class Toy(PureWork):
    """The work of a function."""

    function: Callable

    def __call__(self, part):
        """Do one part."""
        return self.function(part)


ROW = np.dtype(np.float64).itemsize


def toy(
    directory: Path,
    source: Path,
    rows: int,
    *,
    resume=False,
    overwrite=False,
    part=None,
    die_after=None,
    slow=0.0,
    merge=False,
    workers=1,
    gain=1.0,
    verbosity=-1,
    relion=True,
) -> None:
    """Write rows random numbers, seeded by row, to stack.bin, and their running sum to sums.npy."""
    parameters = {"rows": rows, "gain": gain, "threads": workers, "part": part}
    with RunDirectory.begin(
        directory,
        command="toy",
        argv=["toy", str(directory)],
        parameters=parameters,
        reads=Reads(files=(source,)),
        resume=resume or merge,
        overwrite=overwrite,
        part=part,
        seed=7,
        verbosity=verbosity,
    ) as run:
        ranges = plan_parts(rows, PART_ROWS)
        stack = run.staged("stack.bin")
        with stack.open("ab") as handle:
            handle.truncate(rows * ROW)
        finished = []

        def work(one: PartRange) -> dict[str, np.ndarray]:
            if die_after is not None and len(finished) >= die_after:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(slow)
            values = np.array([gain * np.random.default_rng(row).normal() for row in range(one.start, one.stop)])
            with stack.open("r+b") as handle:
                os.pwrite(handle.fileno(), values.tobytes(), one.start * ROW)
            finished.append(one.index)
            return {"values": values, "count": np.int64(len(values))}

        def done(one: PartRange) -> None:
            print(f"part {one.index}", flush=True)

        store = run.parts()
        if not merge:
            with run.stage("parts"):
                run_parts(ranges, Toy(work), store, workers=workers, which=part, on_done=done, should_stop=run.aborted)
        if part is not None:
            run.leave_partial()
            return
        values = np.concatenate([arrays["values"] for _, arrays in store.load_all(ranges)])
        np.save(run.staged("sums.npy"), np.cumsum(values))
        run.commit(counts={"read": rows}, relion_nodes=[("sums.npy", "particles")] if relion else ())


def main() -> int:
    """Read the words; exit as the command line would."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("rows", type=int)
    for flag in ("--resume", "--overwrite", "--merge"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--part", type=lambda text: tuple(map(int, text.split("/"))))
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=1)
    try:
        toy(**vars(parser.parse_args()))
    except CryoalignError as error:
        print(error, file=sys.stderr)
        return 1
    except Interrupted as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
