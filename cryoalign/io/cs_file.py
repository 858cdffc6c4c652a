"""A .cs file of cryoSPARC as columns, in both of its forms, and each column as what it must be: numbers, counts, text.

The usual form is a NumPy structured array in the .npy format, the packed one is CSDAT. Fields of another type or shape
than their name promises are refused here, with file, field, row and value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io import csdat, npy
from cryoalign.io.file_kind import compression, open_file, read_head
from cryoalign.io.star import refuse_damaged_text

_PLAUSIBLE = 1e12
"""Larger numbers are no measurements; what is computed from them would leave the range of numbers."""


@dataclass(frozen=True, eq=False)
class CsColumns:
    """The fields of a .cs file.

    Parameters
    ----------
    path
        The file, for messages.
    columns
        Arrays of n rows each, as read.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a field."""
        return name in self.columns

    def numbers(
        self, name: str, shape: tuple[int, ...] = (), *, most: float = _PLAUSIBLE
    ) -> NDArray[np.float64] | None:
        """Return a field as float64 (n, *shape), finite and at most ``most`` in size; None where there is none.

        Raises
        ------
        InputError
            If the field is of another type or shape, or a value is not finite or too large.
        """
        values = self._of_shape(name, shape, "fiu", "numbers")
        if values is None:
            return None
        with np.errstate(all="ignore"):  # long doubles may not fit
            numbers = values.astype(np.float64)
        self._refuse_rows(name, numbers, ~np.isfinite(numbers), "is not a number")
        self._refuse_rows(name, numbers, np.abs(numbers) > most, "cannot be meant")
        return numbers

    def positive(self, name: str, shape: tuple[int, ...] = ()) -> NDArray[np.float64] | None:
        """Return a field as `numbers` does, all above 0, and as the decimals that were meant: 1.345, not 1.3450000286.

        Raises
        ------
        InputError
            As `numbers`, and at 0 and below.
        """
        numbers = self.numbers(name, shape)
        if numbers is not None:
            self._refuse_rows(name, numbers, numbers <= 0, "must be above 0")
            known, place = np.unique(numbers, return_inverse=True)
            numbers = np.array([float(f"{v:.7g}") for v in known.tolist()])[place].reshape(numbers.shape)
        return numbers

    def counts(self, name: str, shape: tuple[int, ...] = (), *, most: int) -> NDArray[np.int64] | None:
        """Return a field of whole numbers from 0 to ``most`` as int64 (n, *shape); None where there is none.

        Raises
        ------
        InputError
            If the field is of another type or shape, or a value is out of range.
        """
        values = self._of_shape(name, shape, "iu", "whole numbers")
        if values is None:
            return None
        self._refuse_rows(name, values, (values < 0) | (values > most), f"must be 0 to {most}")
        return values.astype(np.int64)

    def ids(self, name: str) -> list[int] | None:
        """Return a field of whole numbers of any size, (n,); None where there is none."""
        values = self._of_shape(name, (), "iu", "whole numbers")
        return None if values is None else values.tolist()

    def text(self, name: str) -> list[str] | None:
        """Return a field of text; bytes that are no UTF-8 survive as surrogates.

        Raises
        ------
        InputError
            If the field is no text, or holds what a STAR file cannot.
        """
        values = self._of_shape(name, (), "SUO", "text")
        if values is None:
            return None
        try:
            raw = values.tolist()
        except ValueError:  # UTF-32 that is none
            raise InputError(f"{name} is damaged text", path=self.path) from None
        known: dict[bytes | str, str] = {}
        for row, value in enumerate(raw):
            if value not in known:
                word = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
                refuse_damaged_text(word, name, self.path, row)
                known[value] = word
        return [known[value] for value in raw]

    def _of_shape(self, name: str, shape: tuple[int, ...], kinds: str, what: str) -> NDArray[Any] | None:
        values = self.columns.get(name)
        if values is None:
            return None
        found = values.shape[1:]
        if found == (1,) and not shape:
            values, found = values[:, 0], ()
        if values.dtype.kind not in kinds or found != shape:
            wanted = f"{what} of shape {shape}" if shape else f"{what}, one a row"
            have = f"{values.dtype}{f' of shape {found}' if found else ''}"
            raise InputError(f"{name} must be {wanted}", path=self.path, value=have)
        return values

    def _refuse_rows(self, name: str, values: NDArray[Any], bad: NDArray[np.bool_], what: str) -> None:
        rows = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))
        if rows.size:
            more = f" ({rows.size} such rows)" if rows.size > 1 else ""
            shown = str(values[rows[0]].tolist())
            raise InputError(f"{name} {what}{more}", path=self.path, row=int(rows[0]) + 1, value=shown)


def read_cs_columns(path: Path) -> CsColumns:
    """Read all fields of a .cs file.

    Raises
    ------
    InputError
        If it is none, is damaged, holds Python objects, or no rows.
    """
    head = read_head(path)
    if kind := compression(head):
        raise InputError(f"is a {kind} file, not a .cs file", path=path, hint="unpack it first")
    with open_file(path) as stream:
        try:
            if head.startswith(csdat.MAGIC):
                columns = csdat.read_csdat(stream)
            else:
                columns = _fields(npy.read_npy(stream, os.fstat(stream.fileno()).st_size))
        except (ValueError, OSError) as error:
            what, hint = _kind(head)
            raise InputError(f"{what}: {error}", path=path, hint=hint) from None
    table = CsColumns(path, columns)
    if not len(table):
        raise InputError("holds no particles", path=path)
    return table


def _fields(data: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if not data.dtype.names:
        raise ValueError("no named fields")
    if data.ndim != 1:
        raise ValueError(f"a table is a list of rows, not of shape {data.shape}")
    return {name: data[name] for name in data.dtype.names}


def _kind(head: bytes) -> tuple[str, str]:
    """Say what a file that begins so is when it cannot be read, and what to do with it."""
    if head.startswith(csdat.MAGIC):
        return (
            "is a damaged CSDAT file, the packed form of .cs files",
            "copy it again, or save it as NumPy with cryosparc-tools: Dataset.load(FILE).save(NEW)",
        )
    if head.startswith(npy.MAGIC):
        return "is not a readable .cs file", "export or copy it again"
    return "is not a readable .cs file", "give a .cs file of cryoSPARC"
