"""Who is working in a run directory: small lock files with process, machine and start, and a sign of life.

One file per kind of work: ``lock`` for a whole run, ``lock.part-K-of-N`` for one task of a job array, so that the
tasks of an array may share a directory and a whole run may not join them. A process of this machine is asked for by its
id and start. One of another machine cannot be: it touches its lock every twenty seconds, and a lock that was not
touched for two minutes may be taken over. Whoever lost its lock that way (a machine that slept) finds out before it
changes anything again.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cryoalign.core.errors import InputError
from cryoalign.io.writing import naming

HEARTBEAT_S, SILENCE_S = 20.0, 120.0
"""Seconds between signs of life, and without one until a lock of another machine may be taken over."""
POLL_S = 1.0
"""Seconds between two looks at such a lock."""
_WHOLE = "lock"
_BEGIN = "begin"
_LONGEST = 1 << 16


def lock_name(part: tuple[int, int] | None) -> str:
    """Return the file name of the lock of a whole run, or of part (k, n) of one."""
    return _WHOLE if part is None else f"{_WHOLE}.part-{part[0]}-of-{part[1]}"


def is_lock_file(name: str) -> bool:
    """Tell whether a file in the work directory belongs to this module."""
    return name in (_BEGIN, _WHOLE) or name.startswith(f"{_WHOLE}.")


@contextmanager
def exclusive(directory: Path, *, make: bool = False) -> Iterator[None]:
    """Let one process at a time look at a run directory and set it up; the system frees it when a process dies.

    Parameters
    ----------
    directory
        The work directory.
    make
        Make it where it is missing: another process may remove it while this one waits.

    Raises
    ------
    FileNotFoundError
        If it is missing and not to be made.
    """
    path = directory / _BEGIN
    while True:
        if make:
            directory.mkdir(exist_ok=True)
        try:
            handle = path.open("a")
        except FileNotFoundError:
            if make:
                continue  # removed since
            raise
        with handle:
            # A file system without locks: two processes starting in the same instant could then both begin.
            with suppress(OSError):
                fcntl.lockf(handle, fcntl.LOCK_EX)
            if _still_there(handle, path):
                yield
                return


def _still_there(handle: IO[str], path: Path) -> bool:
    """Tell whether the file that was locked is the one that others will lock."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


class HeldElsewhereError(InputError):
    """A lock of another machine, silent for less than two minutes: whether its owner lives, time will tell.

    Parameters
    ----------
    what, path, hint
        As of every `InputError`.
    silent_s
        Seconds since its owner gave a sign of life.
    """

    def __init__(self, what: str, *, path: Path, hint: str, silent_s: float) -> None:
        super().__init__(what, path=path, hint=hint)
        self.silent_s = silent_s


class RunLock:
    """The lock of this process in a run's work directory.

    Parameters
    ----------
    directory
        ``DIR/.cryoalign``; must exist.
    part
        None for a whole run, (k, n) for a task of a job array.
    """

    def __init__(self, directory: Path, part: tuple[int, int] | None = None) -> None:
        self._directory = directory
        self._part = part
        self._path = directory / lock_name(part)
        self._token: str | None = None
        self._stop = threading.Event()

    def acquire(self) -> None:
        """Take the lock, and keep it alive from now on; call within `exclusive`.

        Raises
        ------
        HeldElsewhereError
            If a process of another machine gave a sign of life within two minutes.
        InputError
            If another process of this machine lives and works here.
        """
        for path in self.others():
            owner, what = _read(path), "another cryoalign run works here"
            if owner is not None:
                who = f"process {owner.get('pid')} on {owner.get('host')} since {owner.get('start')}"
                if _is_here(owner) and _lives(owner):
                    raise InputError(f"{what}: {who}", path=self._directory.parent, hint="wait for it, or stop it")
                if self._holds(path, owner):
                    silent = self._silence(path)
                    raise HeldElsewhereError(
                        f"{what}: {who}, last heard of {max(0.0, silent):.0f} s ago", path=self._directory.parent,
                        hint=f"wait for it; if it is dead its lock is free after {SILENCE_S:.0f} s of silence",
                        silent_s=silent,
                    )  # fmt: skip
            path.unlink(missing_ok=True)
        token = secrets.token_hex(8)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "start": datetime.now(UTC).isoformat(timespec="seconds"),
            "process_start": _process(os.getpid())[1],
            "machine": _machine(),
            "token": token,
        }
        temporary = self._path.with_name(f"new-{self._path.name}")
        with naming(temporary):
            temporary.write_text(json.dumps(owner) + "\n")
        temporary.replace(self._path)
        self._token = token
        threading.Thread(target=self._live, name="heartbeat", daemon=True).start()

    def others(self) -> list[Path]:
        """Return the locks that exclude this one; a task of the same array may run beside it."""
        return [
            path
            for path in sorted(self._directory.glob(f"{_WHOLE}*"))
            if self._part is None or path.name in (_WHOLE, self._path.name)
        ]

    def shared(self) -> bool:
        """Tell whether another task of the array may be at work here too."""
        locks = (path for path in self._directory.glob(f"{_WHOLE}*") if path.name != self._path.name)
        return any((owner := _read(path)) is not None and self._holds(path, owner) for path in locks)

    def is_mine(self) -> bool:
        """Tell whether the lock is held, and nobody took it over."""
        owner = _read(self._path) if self._token is not None else None
        return owner is not None and owner.get("token") == self._token

    def check(self) -> None:
        """Refuse to go on where somebody took the lock over.

        Raises
        ------
        InputError
            If the lock is gone or is another's.
        """
        if self._token is not None and not self.is_mine():
            raise InputError(
                "another process took this run over, for this one gave no sign of life", path=self._directory.parent,
                hint="nothing of this process was written",
            )  # fmt: skip

    def release(self) -> None:
        """Give the lock back; harmless when it is not held or its directory is gone."""
        self._stop.set()
        if self._token is not None:
            with suppress(OSError):
                if self.is_mine():
                    self._path.unlink(missing_ok=True)
            self._token = None

    def _live(self) -> None:
        """Touch the lock every now and then, as long as it is this process's."""
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(OSError):
                if self.is_mine():
                    os.utime(self._path)

    def _holds(self, path: Path, owner: dict[str, Any]) -> bool:
        """Tell whether the owner of a lock lives, as far as that can be known."""
        return _lives(owner) if _is_here(owner) else self._silence(path) < SILENCE_S

    def _silence(self, path: Path) -> float:
        """Return for how many seconds a lock was not touched, by the clock that stamps files here."""
        clock = self._directory / _BEGIN
        try:
            os.utime(clock)
            return clock.stat().st_mtime - path.stat().st_mtime
        except OSError:
            return 0.0


def wait_for(attempt: Callable[[], None], say: Callable[[str], None]) -> None:
    """Call a function that takes a lock until the lock is free, or the owner on another machine shows that it lives.

    A task that was killed on one machine and started again on another need not be started a third time.

    Parameters
    ----------
    attempt
        Raises `HeldElsewhereError` as long as the lock may be another's.
    say
        Told once why it takes so long.

    Raises
    ------
    HeldElsewhereError
        If the owner gave a sign of life meanwhile.
    """
    before: float | None = None
    while True:
        try:
            attempt()
            return
        except HeldElsewhereError as held:
            if before is not None and held.silent_s < before:
                raise  # it was touched meanwhile
            if before is None:
                say(f"{held}; waiting for a sign of life")
            before = held.silent_s
            time.sleep(POLL_S)


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a lock says; None where it is none of ours: nobody can be asked whether its owner lives."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as handle:
            owner = json.loads(handle.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return owner if isinstance(owner, dict) and isinstance(owner.get("host"), str) else None


def _machine() -> str:
    """Return what tells this running system from others: names of hosts may be the same, as in containers."""
    words = []
    with suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        words.append(str(os.stat("/proc/self/ns/pid").st_ino))  # noqa: PTH116
    return "/".join(words)


def _is_here(owner: dict[str, Any]) -> bool:
    """Tell whether an owner is, or was, a process whose id means something here."""
    return owner.get("host") == socket.gethostname() and owner.get("machine", _machine()) == _machine()


def _lives(owner: dict[str, Any]) -> bool:
    pid = owner.get("pid")
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    state, started = _process(pid)
    if state in ("Z", "X"):
        return False  # dead, and its parent has not asked for it yet
    # Process ids are used again: the same id with another start time is somebody else.
    return started is None or owner.get("process_start") is None or started == owner["process_start"]


def _process(pid: int) -> tuple[str, int | None]:
    """Return state and start time (clock ticks since boot) of a process; "" and None where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", None
