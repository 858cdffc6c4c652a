"""BLAS held at one thread, in libraries that are loaded already and in those that come later.

Work is shared out by tiles and parts: threads of BLAS's own only wait for each other (a run with 100 references took 24
instead of 14 CPU seconds), and the bits of a product depend on their number. A library reads its number of
threads from the environment when it is loaded and keeps it, so both must be told.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS",
)  # fmt: skip
"""What libraries read when they are loaded; the last is for builds on OpenMP, which look there in every thread."""


class _Hold:
    """What is held at present: calls may lie within each other and beside each other in threads."""

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0
        self._environment: dict[str, str | None] = {}
        self._threads: dict[str, int] = {}

    def enter(self) -> None:
        """The first to come notes what is set, and sets one thread."""
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            self._environment = {name: os.environ.get(name) for name in _VARIABLES}
            os.environ.update(dict.fromkeys(_VARIABLES, "1"))
            libraries = _loaded()
            self._threads = {library.filepath: library.num_threads for library in libraries}
            for library in libraries:
                library.set_num_threads(1)

    def leave(self) -> None:
        """The last to go sets what was set; libraries that came meanwhile get what the others had."""
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            for name, value in self._environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            others = max(self._threads.values(), default=None)
            for library in _loaded():
                threads = self._threads.get(library.filepath, others)
                if threads is not None:
                    library.set_num_threads(threads)


def _loaded() -> list[Any]:
    """Return the BLAS libraries of this process; looking for them takes a millisecond or two."""
    if "numpy" not in sys.modules:  # as when the command line only prints help
        return []
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@lru_cache(maxsize=1)
def _held() -> _Hold:
    return _Hold()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread within a `with` block or a decorated function; what the caller had set comes back.

    The setting is the process's: it holds for all its threads until the last of those that asked for it has left.
    Processes that are started within have it too.
    """
    held = _held()
    held.enter()
    try:
        yield
    finally:
        held.leave()
