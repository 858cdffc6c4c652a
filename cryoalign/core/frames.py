"""Room for the interpreter's frames, so that deep calls do not ask the system for memory at every step.

CPython keeps the frames of Python functions in chunks of 16 KiB. A loop whose calls happen to cross the end of a chunk
maps a new one and unmaps it again with each call. Compiling kernels goes a hundred frames deep and then makes millions
of short calls: there this was up to half of all CPU time. A chunk is made as large as the frame that opens it, so a
function that claims a large frame gives all that it calls room in one chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
_SLOTS = 65_000
"""Eight bytes each, a little more than half of the 1 MiB chunk which they make; memory that is not touched is free."""


def with_room(function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
    """Call a function where its frames and those of all that it calls have about 500 KB in one piece."""
    return function(*args, **kwargs)


with_room.__code__ = with_room.__code__.replace(co_stacksize=_SLOTS)
