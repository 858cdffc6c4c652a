"""Being told to stop: SIGTERM and RELION's request become one exception that unwinds like Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(BaseException):
    """The run was told to stop; not an `Exception`, so that no broad handler swallows it.

    Parameters
    ----------
    why
        Words for the log.
    exit_code
        130 after Ctrl-C, 143 after SIGTERM or a request by RELION.
    """

    def __init__(self, why: str, exit_code: int = 143) -> None:
        super().__init__(why)
        self.exit_code = exit_code


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within this context SIGTERM raises `Interrupted` in the main thread; elsewhere it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(signum: int, frame: object) -> None:
        raise Interrupted("terminated by SIGTERM")

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)
