"""Run a child process and read its cost: CPU and wall seconds, peak anonymous memory of it and its children.

Children may keep compiled modules beside their sources, as a user's do: PYTHONDONTWRITEBYTECODE is not handed on, or
each of them would compile all that a former one did.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class ChildFailed(RuntimeError):
    """A child process ended with an error."""


@dataclass(frozen=True)
class Cost:
    """What a child cost: CPU (user + system) and wall seconds, peak RssAnon + RssShmem in MB (0 if not watched)."""

    cpu: float
    wall: float
    peak_mb: float
    output: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    watch_memory: bool = False,
) -> Cost:
    """Run a command to its end.

    CPU time is the child's and its descendants' (``wait4``), so it does not depend on what else the machine does,
    except through shared caches and clock.

    Raises
    ------
    ChildFailed
        If the exit status is not 0; the message ends with the last lines printed.
    """
    texts = [str(part) for part in command]
    start = time.perf_counter()
    with log.open("w+") if log else tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            texts, cwd=cwd, env=_environment() | dict(env or {}), stdout=out, stderr=subprocess.STDOUT
        )
        peak = 0.0
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG if watch_memory else 0)
            if pid:
                break
            peak = max(peak, anonymous_mb(child.pid))
            time.sleep(0.02)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if child.returncode != 0:
        tail = "\n".join(text.splitlines()[-15:])
        raise ChildFailed(f"exit {child.returncode}: {' '.join(texts)}\n{tail}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak, text)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def anonymous_mb(pid: int) -> float:
    """Sum RssAnon + RssShmem over a process and its descendants, in MB; 0 for what has ended."""
    total = 0.0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += float(line.split()[1]) / 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += anonymous_mb(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total
