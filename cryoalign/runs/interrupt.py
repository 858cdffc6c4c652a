"""Being told to stop: signals and RELION's request become one exception that unwinds like Ctrl-C does.

A first signal raises in the main thread. Python may lose an exception that strikes within a callback or a destructor,
so it is remembered too, and asked for between parts. A second one, a second later or more, ends the process at once:
what is on the disk is then as after a kill, and can be carried on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signals that stop a run, and the exit status of a process that was stopped by one, as a shell has it."""
_SAME_REQUEST_S = 1.0
# Of this process: signals are.
_asked: BaseException | None = None
_asked_at = 0.0
_held = 0
_over: int | None = None
_installed = False


class Interrupted(BaseException):
    """The run was told to stop; not an `Exception`, so that no broad handler swallows it.

    Parameters
    ----------
    why
        Words for the log.
    exit_code
        130 after Ctrl-C, 143 after SIGTERM or a request by RELION, 129 after SIGHUP.
    """

    def __init__(self, why: str, exit_code: int = 143) -> None:
        super().__init__(why)
        self.exit_code = exit_code


def stop_on_signals() -> None:
    """From now on signals stop this process in good order; for a program's main function.

    Signals that are ignored stay so (``nohup``, background jobs of scripts).
    """
    global _installed
    for number in EXIT_CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    _installed = True
    sys.unraisablehook = _say_unless_asked
    sys.excepthook = _say_unless_ours


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within this context SIGTERM raises `Interrupted` in the main thread; elsewhere it changes nothing."""
    if _installed or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(signum: int, frame: object) -> None:
        raise _as_exception(signum)

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)


@contextmanager
def not_now() -> Iterator[None]:
    """Within this context a signal is remembered and raises nothing: for steps that belong together, and are short."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1


def raise_if_asked() -> None:
    """Raise what a signal asked for, where Python lost it on its way or it came at a bad moment."""
    if _asked is not None:
        raise _asked


def was_asked() -> BaseException | None:
    """Return what a signal asked for, if one came."""
    return _asked


def over(status: int) -> None:
    """Say that nothing is left to be done: a signal from now on ends the process with this status."""
    global _over
    _over = status


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _asked, _asked_at
    if _over is not None:
        os._exit(_over)
    if _asked is None:
        _asked, _asked_at = _as_exception(number), time.monotonic()
        if not _held:
            raise _asked
    elif time.monotonic() - _asked_at > _SAME_REQUEST_S:
        # Terminals and wrappers may send one request twice; this is another.
        os._exit(EXIT_CODES[signal.Signals(number)])


def _as_exception(number: int) -> BaseException:
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    signal_number = signal.Signals(number)
    words = "the terminal was closed (SIGHUP)" if number == signal.SIGHUP else f"terminated by {signal_number.name}"
    return Interrupted(words, EXIT_CODES[signal_number])


def _say_unless_asked(lost: Any) -> None:
    if _asked is None:
        sys.__unraisablehook__(lost)


def _say_unless_ours(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if not isinstance(error, (KeyboardInterrupt, Interrupted)):
        sys.__excepthook__(kind, error, trace)
