"""One process's work on a run: when it began, how it ended, and what it took."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryoalign.runs.memory import PeakMemory


class Attempt:
    """An attempt that begins now.

    Parameters
    ----------
    command_line
        As typed.
    part
        (k, n) of a task of a job array.
    """

    def __init__(self, command_line: str, part: tuple[int, int] | None) -> None:
        self._command_line, self._part = command_line, part
        self._began = (time.monotonic(), time.process_time(), datetime.now(UTC))
        self.memory = PeakMemory()

    def end(self, record: dict[str, Any], status: str, warnings: Sequence[str]) -> None:
        """Note in the record of the run how this process ended and what it took."""
        monotonic, cpu, start = self._began
        attempt = {
            "command_line": self._command_line,
            "part": None if self._part is None else f"{self._part[0]}/{self._part[1]}",
            "host": socket.gethostname(),
            "started": start.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": status,
            "wall_s": round(time.monotonic() - monotonic, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "peak_memory_bytes": self.memory.peak_bytes,
        }
        record["attempts"].append(attempt)
        peaks = [peak for a in record["attempts"] if isinstance(peak := a.get("peak_memory_bytes"), int)]
        record["peak_memory_bytes"] = max(peaks, default=None)
        record["warnings"] = list(warnings)
        record["status"] = status
