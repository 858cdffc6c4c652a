"""What a command found, on standard output: for people as lines, for programs as one JSON object."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from cryoalign.runs.runlog import log_to_file


def tell_results(
    log: logging.Logger, lines: Iterable[str], *, verbosity: int, as_json: Mapping[str, Any] | None = None
) -> None:
    """Write results to standard output and, as lines, to the log; everything else that a run says goes to stderr.

    Parameters
    ----------
    log
        Of the run.
    lines
        The results for people; a quiet run keeps them in its log.
    verbosity
        Below 0 quiet.
    as_json
        The results for a program, written instead of the lines whatever the verbosity; None = not asked for.
    """
    lines = list(lines)
    for line in lines:
        log_to_file(log, logging.INFO, line)
    if as_json is not None:
        lines = [json.dumps(as_json)]
    elif verbosity < 0:
        return
    with suppress(OSError, ValueError, AttributeError):  # nobody reads: the files hold all of it
        for line in lines:
            sys.stdout.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        sys.stdout.flush()
