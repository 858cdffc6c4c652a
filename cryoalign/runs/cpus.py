"""How many CPUs this process may use: the only default that depends on the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryoalign.core.errors import InputError


def available_cpus() -> int:
    """Return the CPUs of the process's affinity, or of the quota of its control group where that is less."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, int(quota) // int(period))
    except (OSError, ValueError):
        pass
    return max(1, count)


BASE_MEMORY_BYTES = 150 * 2**20
"""What Python and its libraries take before the first particle."""


def size_in_words(count: int) -> str:
    """Return bytes as a user types them, rounded up: ``172M``."""
    return f"{-(-count // 2**20)}M"


def threads_within(threads: int, memory: int | None, thread_bytes: int, warn: Callable[[str], None]) -> int:
    """Return the threads that fit into ``--memory``; results do not depend on their number.

    Parameters
    ----------
    threads
        As asked for.
    memory, thread_bytes
        Bytes to stay within (None = any), and those that one thread takes.
    warn
        Told where fewer fit.

    Raises
    ------
    InputError
        If not even one fits; says what is needed.
    """
    if memory is None:
        return threads
    fitting = int((memory - BASE_MEMORY_BYTES) // max(1, thread_bytes))
    if fitting < 1:
        least = size_in_words(BASE_MEMORY_BYTES + thread_bytes)
        raise InputError("--memory leaves no room for one thread", value=size_in_words(memory),
                         hint=f"give {least} or more")  # fmt: skip
    if fitting < threads:
        warn(f"--memory leaves room for {fitting} of {threads} threads")
    return min(threads, fitting)
