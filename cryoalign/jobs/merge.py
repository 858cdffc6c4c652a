"""Finishing a run whose parts were done by the tasks of a job array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryoalign.core.errors import InputError
from cryoalign.jobs.commands import PARAMETERS, parameters_class, run_command
from cryoalign.runs.parameters import PartOptions
from cryoalign.runs.parts import PartStore
from cryoalign.runs.record import RUN_JSON, WORK, read_record
from cryoalign.runs.runlog import say

_NAMED = 10


def run_merge(directory: Path, *, argv: Sequence[str], threads: int, verbosity: int = 0) -> int:
    """Check that all parts are there, and let the command of the run finish it.

    Returns
    -------
    int
        Exit status of the command; of a run that is finished already, how it ended.

    Raises
    ------
    InputError
        If there is nothing to merge, or parts are missing: they are named.
    """
    record = read_record(directory)
    if record is None:
        raise InputError(f"no run of cryoalign: {RUN_JSON} is missing", path=directory)
    if record["status"] == "finished":
        if verbosity >= 0:
            say(f"{directory}: this run is finished already: nothing to do", directory)
        return int(record["exit_status"])
    stores = [PartStore(plan.parent) for plan in sorted((directory / WORK).glob("*/plan.json"))]
    if not stores:
        raise InputError("no part of this run is finished", path=directory, hint="run its parts with --part K/N")
    missing = [part for store in stores for part in store.missing()]
    if missing:
        rows = [f"{part.start + 1}-{part.stop}" for part in missing]
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        raise InputError(
            f"parts are missing: rows {', '.join(rows[:_NAMED])}{more}",
            path=directory,
            hint=_what_to_run(record, stores),
        )
    values = record["parameters"] | {
        "part": None,
        "resume": True,
        "overwrite": False,
        "threads": threads,
        "output": str(directory),
    }
    command = record["command"]
    kind = parameters_class(command) if command in PARAMETERS else None
    if kind is None or not issubclass(kind, PartOptions):
        raise InputError("runs of this command have no parts to merge", value=command)
    try:
        parameters = kind.from_json(values)
    except (TypeError, ValueError, AttributeError):
        raise InputError("damaged: its parameters are not those of a run", path=directory / RUN_JSON) from None
    return run_command(parameters, argv=argv, verbosity=verbosity)


def _what_to_run(record: dict[str, Any], stores: Sequence[PartStore]) -> str:
    """Name the tasks of the array that have to run again, as far as the record tells how it was cut."""
    part = record["parameters"].get("part")
    if not (isinstance(part, list) and len(part) == 2 and all(isinstance(n, int) and 0 < n < 1 << 20 for n in part)):
        return "run the same command again with --resume"
    n = part[1]
    tasks: set[int] = set()
    for store in stores:
        plan = store.plan() or []
        for k in range(1, n + 1):
            mine = plan[len(plan) * (k - 1) // n : len(plan) * k // n]
            if any(not store.has(one.index) for one in mine):
                tasks.add(k)
    return f"run again with --part {', '.join(f'{k}/{n}' for k in sorted(tasks))}"
