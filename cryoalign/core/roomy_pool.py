"""A thread pool for work that may compile kernels; apart from the frames so that help need not load thread pools."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from cryoalign.core.frames import with_room

Result = TypeVar("Result")


class RoomyPool(ThreadPoolExecutor):
    """A thread pool whose tasks run :func:`with_room`."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Schedule a call."""
        return super().submit(with_room, fn, *args, **kwargs)
