"""Peak memory that belongs to the run: anonymous and shared pages of all its processes, file pages left out.

RssFile counts mapped stacks that the kernel may drop at any time, so the maximum resident size that the system
reports would blame a run for the size of its input. Linux only counts RssAnon and RssShmem now, not their maximum:
a thread samples them.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_KINDS = (b"RssAnon:", b"RssShmem:")


def current_bytes(pid: int | str = "self") -> int | None:
    """Return RssAnon + RssShmem of one process in bytes; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in status.splitlines() if line.startswith(_KINDS)]
    return sum(kib) * 1024 if kib else None


def give_back() -> None:
    """Return memory that was freed to the system; where the C library is not GNU's, nothing happens.

    What threads freed in small pieces would otherwise stay with the process for the rest of the run.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def descendants(pid: int) -> list[int]:
    """Return the process ids below one process, as far as the system tells."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        try:
            children = [int(word) for word in (task / "children").read_bytes().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


class PeakMemory:
    """Context manager that samples the memory of this process and its children in a background thread.

    Parameters
    ----------
    interval_s
        Time between samples; one sample costs some 50 microseconds.
    """

    def __init__(self, interval_s: float = 0.1) -> None:
        self._interval = interval_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._peak: int | None = None

    @property
    def peak_bytes(self) -> int | None:
        """Largest sum seen so far, in bytes; None where the system does not tell."""
        self.sample()
        return self._peak

    def sample(self) -> None:
        """Look now."""
        own = current_bytes()
        if own is None:
            return
        total = own + sum(current_bytes(pid) or 0 for pid in descendants(os.getpid()))
        self._peak = total if self._peak is None else max(self._peak, total)

    def __enter__(self) -> PeakMemory:
        """Start sampling."""
        self.sample()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        """Stop sampling."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self.sample()
