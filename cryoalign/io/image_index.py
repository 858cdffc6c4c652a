"""Rows found by the names of their images: ``1@x.mrcs``, ``000001@x.mrcs`` and ``1@./x.mrcs`` are one image.

A stack may be written from another folder: names that share the longest end are the same file where just one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.paths import plain_stack, split_image_names

MISSING, TWICE = -1, -2
"""What stands for a row: no image of this name, and several."""


class ImageIndex:
    """The images of a table, to be found by name.

    Parameters
    ----------
    names
        rlnImageName of each row.

    Raises
    ------
    InputError
        If a name is none.
    """

    def __init__(self, names: Sequence[str]) -> None:
        split = split_image_names(names)
        self._number: dict[str, int] = {}  # of each stack, by its plain name
        of_stack = [self._number.setdefault(plain_stack(stack), len(self._number)) for stack in split.stacks]
        self._row: dict[tuple[int, int], int] = {}
        stacks = np.asarray(of_stack, np.int64)[split.stack_index].tolist()
        for row, key in enumerate(zip(stacks, np.maximum(split.frame, 0).tolist(), strict=True)):
            if self._row.setdefault(key, row) != row:
                self._row[key] = TWICE
        self._by_file: dict[str, list[str]] = {}
        for stack in self._number:
            self._by_file.setdefault(PurePosixPath(stack).name, []).append(stack)

    def rows_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the 0-based row of each image, (len(names),); ``MISSING`` and ``TWICE`` where there is not just one.

        Raises
        ------
        InputError
            If a name is none; its row counts from 1 within ``names``.
        """
        split = split_image_names(names)
        stacks = np.array([self._stack(plain_stack(stack)) for stack in split.stacks], np.int64)[split.stack_index]
        keys = zip(stacks.tolist(), np.maximum(split.frame, 0).tolist(), strict=True)
        return np.array([self._row.get(key, MISSING) for key in keys], np.int64)

    def _stack(self, name: str) -> int:
        """Return the number of a stack: by its name, else by the longest end that one stack alone shares with it."""
        if name in self._number:
            return self._number[name]
        candidates = self._by_file.get(PurePosixPath(name).name, [])
        shared = [_shared_end(name, stack) for stack in candidates]
        if not shared or shared.count(max(shared)) > 1:
            return MISSING
        return self._number[candidates[shared.index(max(shared))]]


def other_images(names: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows where two lists of as many names speak of different images; folders may differ."""
    words, more = np.asarray(names, dtype=np.str_), np.asarray(others, dtype=np.str_)
    rows = np.flatnonzero(words != more).tolist()
    return np.array([row for row in rows if _core(str(words[row])) != _core(str(more[row]))], np.int64)


def _core(name: str) -> tuple[str, str]:
    """Return the number of an image without zeros, and its file without folders."""
    number, at, stack = name.rpartition("@")
    return number.lstrip("0") + at, PurePosixPath(plain_stack(stack)).name


def _shared_end(one: str, other: str) -> int:
    """Count the parts that two paths have in common at their ends."""
    pairs = zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
