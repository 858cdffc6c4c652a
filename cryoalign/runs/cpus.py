"""How many CPUs this process may use: the only default that depends on the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


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


def threads_within(threads: int, memory: int | None, thread_bytes: int, warn: Callable[[str], None]) -> int:
    """Return the threads, at least one, that fit into ``--memory``; results do not depend on their number.

    Parameters
    ----------
    threads
        As asked for.
    memory, thread_bytes
        Bytes to stay within (None = any), and those that one thread takes.
    warn
        Told where fewer fit.
    """
    if memory is None:
        return threads
    fitting = max(1, int((memory - BASE_MEMORY_BYTES) // thread_bytes))
    if fitting < threads:
        warn(f"--memory leaves room for {fitting} of {threads} threads")
    return min(threads, fitting)
