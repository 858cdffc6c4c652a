"""The commands by the names that users type: parameters in, a run directory and an exit status out.

Each command has a folder with its parameters and ``run_NAME`` in its job; both are imported when they are asked for. A
new command is a folder, and its line here.

Exit status: 0 done, 3 done but no consistent signal found. What the user can mend is an ``InputError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from cryoalign.core.blas import one_blas_thread
from cryoalign.core.errors import InputError
from cryoalign.runs.claim import FinishedAlreadyError
from cryoalign.runs.parameters import RunOptions
from cryoalign.runs.runlog import say

PARAMETERS = {
    "align": "AlignParameters",
    "average": "AverageParameters",
    "classavg": "ClassavgParameters",
    "compare": "CompareParameters",
    "rid-distance": "RidDistanceParameters",
    "select": "SelectParameters",
    "simulate": "SimulateParameters",
    "simulate-graph": "SimulateGraphParameters",
    "sync": "SyncParameters",
}
"""The class of each command's parameters."""


def parameters_class(command: str) -> type[RunOptions]:
    """Return the class of a command's parameters.

    Raises
    ------
    InputError
        If there is no such command.
    """
    if command not in PARAMETERS:
        raise InputError("there is no such command", value=command, hint=f"choose from {', '.join(PARAMETERS)}")
    found: type[RunOptions] = getattr(import_module(f"{_folder(command)}.parameters"), PARAMETERS[command])
    return found


@one_blas_thread()
def run_command(parameters: RunOptions, *, argv: Sequence[str], verbosity: int = 0) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    parameters
        Every option; they know their command.
    argv
        The command line as typed, for the record.
    verbosity
        Below 0 quiet, above 0 more.
    """
    folder = _folder(parameters.command)
    run = getattr(import_module(f"{folder}.job"), f"run_{folder.rpartition('.')[2]}")
    try:
        return int(run(parameters, argv, verbosity))
    except FinishedAlreadyError as finished:
        if verbosity >= 0:
            say(str(finished), parameters.output)
        return finished.exit_status


def _folder(command: str) -> str:
    return f"cryoalign.jobs.{command.replace('-', '_')}"
