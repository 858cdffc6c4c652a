"""How many CPUs this process may use: the only default that depends on the machine."""

from __future__ import annotations

import os
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
