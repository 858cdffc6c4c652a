"""The stages of a classification: who wants to know hears of each, and CPU time is kept by stage."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with the name of each stage when it begins."""


class Clock:
    """CPU seconds by stage, and word of each stage to who wants it."""

    def __init__(self, progress: Progress | None) -> None:
        self.timings: dict[str, float] = {}
        self._progress = progress
        self._stage, self._since = "", time.process_time()

    def __call__(self, stage: str) -> None:
        now = time.process_time()
        if self._stage:
            self.timings[self._stage] = self.timings.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now
        if stage and self._progress is not None:
            self._progress(stage)
