"""Lists of classes as users write them, the same for every command: ``1,3,5-8``."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError


def parse_classes(text: str) -> tuple[tuple[int, int], ...]:
    """Read class numbers and ranges, ``1,3,5-8``, as pairs (first, last).

    Raises
    ------
    InputError
        If it is no such list, a number is below 1, or a range goes downwards.
    """
    ranges = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})\s*(?:-\s*([0-9]{1,18})\s*)?", word)
        if match is None:
            raise InputError("is not a list of class numbers such as 1,3,5-8", value=text)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last:
            raise InputError("must count from 1, in ranges that go upwards", value=word.strip())
        if last >= 2**31:
            raise InputError("has a class number that is too large", value=last)
        ranges.append((first, last))
    return tuple(ranges)


def in_ranges(numbers: NDArray[np.int64], ranges: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """Tell which numbers lie in one of the ranges (first, last), both included."""
    inside = np.zeros(len(numbers), np.bool_)
    for first, last in ranges:
        inside |= (numbers >= first) & (numbers <= last)
    return inside
