"""Who is working in a run directory: small lock files with process id, host and start.

One file per kind of work: ``lock`` for a whole run, ``lock.part-K-of-N`` for one task of a job array, so that the
tasks of an array may share a directory and a whole run may not join them. A lock of a process of this host that is
gone is stale and is taken over; a lock of another host cannot be judged from here and holds.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryoalign.core.errors import InputError

_WHOLE = "lock"
_BEGIN = "begin"


def lock_name(part: tuple[int, int] | None) -> str:
    """Return the file name of the lock of a whole run, or of part (k, n) of one."""
    return _WHOLE if part is None else f"{_WHOLE}.part-{part[0]}-of-{part[1]}"


def is_lock_file(name: str) -> bool:
    """Tell whether a file in the work directory belongs to this module."""
    return name in (_BEGIN, _WHOLE) or name.startswith(f"{_WHOLE}.")


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Let one process at a time look at a run directory and set it up; the system frees it when a process dies."""
    with (directory / _BEGIN).open("a") as handle:
        # A file system without locks: two processes starting in the same instant could then both begin.
        with suppress(OSError):
            fcntl.lockf(handle, fcntl.LOCK_EX)
        yield


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
        self._held = False

    def acquire(self) -> None:
        """Take the lock; call within `exclusive`.

        Raises
        ------
        InputError
            If another process that lives, or that cannot be judged from this host, works here.
        """
        for path in sorted(self._directory.glob(f"{_WHOLE}*")):
            if self._part is not None and path.name not in (_WHOLE, self._path.name):
                continue  # another task of the same array may run beside this one
            owner = _read(path)
            if owner is not None and _may_be_alive(owner):
                raise InputError(
                    f"another cryoalign run works here: process {owner.get('pid')} on {owner.get('host')} "
                    f"since {owner.get('start')}",
                    path=self._directory.parent,
                    hint=f"wait for it, or if it is dead remove {path}",
                )
            path.unlink(missing_ok=True)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "start": datetime.now(UTC).isoformat(timespec="seconds"),
            "process_start": _process_start(os.getpid()),
        }
        temporary = self._path.with_name(f"new-{self._path.name}")
        temporary.write_text(json.dumps(owner) + "\n")
        temporary.replace(self._path)
        self._held = True

    def release(self) -> None:
        """Give the lock back; harmless when it is not held or its directory is gone."""
        if self._held:
            self._path.unlink(missing_ok=True)
            self._held = False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _may_be_alive(owner: dict[str, Any]) -> bool:
    if owner.get("host") != socket.gethostname():
        return True
    pid = owner.get("pid")
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # Process ids are used again: the same id with another start time is somebody else.
    started = _process_start(pid)
    return started is None or owner.get("process_start") is None or started == owner["process_start"]


def _process_start(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot; None where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
