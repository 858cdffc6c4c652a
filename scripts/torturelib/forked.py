"""A command run in a process that is forked from this one, so that nothing is imported or compiled again; and stopped.

What is done to it is a function that the child calls before the command begins: it counts steps, raises a signal at one
of them, or limits what the system gives. The words, streams and signals are those of a real process.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
_PATCHED = ("fsync", "pwrite", "posix_fallocate", "ftruncate")
HANGS_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes
    ----------
    status
        Exit status; negative after a signal that killed the process.
    said
        What it wrote on stdout and stderr.
    steps
        Steps that were counted, 0 if none were or the process was killed.
    """

    status: int
    said: str
    steps: int


def kill_me() -> None:
    """End this process as a failing machine does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Steps:
    """Counts what a process does to files under a folder, and at one of the steps does something to it.

    A step is about to be done when it is counted: a file is opened for writing, written through a descriptor, brought
    to the disk, moved or removed, a folder is made or removed.

    Parameters
    ----------
    under
        The folder; steps elsewhere do not count.
    at
        The step, from 1, at which it is done; 0 = never.
    what
        Done in the process; None = it is killed.
    """

    def __init__(self, under: Path, at: int = 0, what: Callable[[], None] | None = None) -> None:
        self._under, self._at, self._what = str(under.absolute()), at, what or kill_me
        self._here, self.count = Path.cwd(), 0

    def __call__(self) -> None:
        """Begin to count, in the child."""
        for name in _PATCHED:
            setattr(os, name, self._counted(getattr(os, name)))
        sys.addaudithook(self._heard)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(descriptor: int, *arguments: Any) -> Any:
            self._step()
            return function(descriptor, *arguments)

        return counted

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & _WRITING):
                return
        elif event in _EVENTS:
            path = arguments[0]
        else:
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, (str, os.PathLike)) and str(self._here / path).startswith(self._under):
            self._step()

    def _step(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._what()


class After:
    """Sends a signal after some seconds, from a thread; twice if told.

    Parameters
    ----------
    seconds
        From the command's begin.
    number
        The signal.
    again
        Seconds until it is sent again; None = once.
    """

    def __init__(self, seconds: float, number: int, again: float | None = None) -> None:
        self._seconds, self._number, self._again = seconds, number, again

    def __call__(self) -> None:
        """Start the clock, in the child."""
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        time.sleep(self._seconds)
        os.kill(os.getpid(), self._number)
        if self._again is not None:
            time.sleep(self._again)
            os.kill(os.getpid(), self._number)


def forked(
    folder: Path, words: Sequence[str], *hooks: Callable[[], None], stdout: int | str | None = None,
    stderr: int | str | None = None,
) -> Outcome:  # fmt: skip
    """Run ``cryoalign WORDS`` in a child of this process, with a folder as the current one.

    Parameters
    ----------
    folder, words
        Where, and what.
    *hooks
        Called in the child, one after the other, before the command begins.
    stdout, stderr
        Where a stream goes: a path, -1 for closed; None = it is kept and returned.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as counted:
        child = os.fork()
        if child == 0:
            status = 99
            try:
                status = _child(folder, words, hooks, said.fileno(), counted.fileno(), (stdout, stderr))
            finally:
                os._exit(status)
        until = time.monotonic() + HANGS_S
        while True:
            ended, how = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise TimeoutError(f"cryoalign {' '.join(words)} hangs")
            time.sleep(0.002)
        said.seek(0)
        counted.seek(0)
        steps = counted.read().decode()
        status = os.waitstatus_to_exitcode(how)
        return Outcome(status, said.read().decode("utf-8", "replace"), int(steps or 0))


def _child(
    folder: Path, words: Sequence[str], hooks: Sequence[Callable[[], None]], said: int, counted: int,
    streams: tuple[int | str | None, int | str | None],
) -> int:  # fmt: skip
    from cryoalign.cli.main import main

    os.chdir(folder)
    for descriptor, where in zip((1, 2), streams, strict=True):
        if where is None:
            os.dup2(said, descriptor)
        elif where == -1:
            os.close(descriptor)
        else:
            target = os.open(str(where), os.O_WRONLY)
            os.dup2(target, descriptor)
            os.close(target)
    sys.stdout = open(1, "w", closefd=False) if streams[0] != -1 else None  # type: ignore[assignment]  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False) if streams[1] != -1 else None  # type: ignore[assignment]  # noqa: SIM115
    sys.argv = ["cryoalign", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for hook in hooks:
        hook()
    status = main()
    steps = next((hook.count for hook in hooks if isinstance(hook, Steps)), 0)
    os.write(counted, str(steps).encode())
    return status


def warm_up(folder: Path, lines: Sequence[Sequence[str]]) -> None:
    """Run commands in this process, so that its children find everything imported and compiled."""
    import contextlib
    import io

    from cryoalign.cli.main import main

    with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()) as said:
        for words in lines:
            if main(list(words)) not in (0, 3):
                raise RuntimeError(f"cryoalign {' '.join(words)}: {said.getvalue()}")


def without_pages(commands: Sequence[str]) -> None:
    """Let commands write empty pages: drawing is most of the time of a small run."""
    for command in commands:
        module = importlib.import_module(f"cryoalign.jobs.{command.replace('-', '_')}.report")
        for name in vars(module):
            if name.startswith("build_"):
                setattr(module, name, lambda facts, data: "")
            elif name.startswith("draw_"):
                setattr(module, name, lambda facts, data: b"")
