"""Standard streams that stop nothing: closed ones are opened to nowhere, and what one cannot take is left out.

A run of hours must not die since a terminal was closed, a disk under a log file is full, or ``| head`` has seen enough.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

_lost: dict[int, OSError] = {}
"""First error of each stream, by its descriptor."""


def forgiving_streams() -> None:
    """Make the standard streams of this process ones that never raise; for a program's main function, once."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the first file that is opened would get this number, and what is printed would go into it.
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY), True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    sys.stdout = _forgiving(sys.stdout, 1)
    sys.stderr = _forgiving(sys.stderr, 2)


def flush_streams() -> None:
    """Bring out what is still in the streams' buffers."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def lost_output() -> OSError | None:
    """Return why standard output could not be written, None where it was, or nobody wanted to read on."""
    error = _lost.get(1)
    return None if error is None or isinstance(error, BrokenPipeError) else error


class _Deaf(io.FileIO):
    """A file that takes what it can and never complains."""

    def write(self, data: Any, /) -> int:
        """Write as many bytes as the file takes, and say that all were written."""
        size = memoryview(data).nbytes
        if self.fileno() in _lost:
            return size
        try:
            return super().write(data)
        except OSError as error:
            _lost[self.fileno()] = error
            return size


def _forgiving(old: Any, descriptor: int) -> Any:
    if old is not None:
        with suppress(OSError, ValueError):
            old.flush()
    is_terminal = os.isatty(descriptor)
    return io.TextIOWrapper(
        io.BufferedWriter(_Deaf(descriptor, "w", closefd=False)),
        encoding=getattr(old, "encoding", None) or "utf-8",
        errors="backslashreplace",  # a name that the terminal cannot show is no reason to stop either
        line_buffering=descriptor == 2 or is_terminal,
        write_through=getattr(old, "write_through", False),
    )
