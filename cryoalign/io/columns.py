"""Cells to numbers and numbers to cells: the one place where text becomes a number, and a number text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import LARGEST_ANGLE_DEG, UNKNOWN_ANGLE
from cryoalign.core.refusals import refuse

_MOST = 1 << 53
"""Beyond this, floating-point numbers are no longer whole numbers one by one."""


def numbers(
    column: pd.Series, label: str, *, path: Path | None = None, rows: NDArray | None = None, what: str = ""
) -> NDArray[np.float64]:
    """Return a text column as finite float64.

    Parameters
    ----------
    column
        Cells as text.
    label
        The column's label, for messages.
    path, rows
        File and 1-based rows that messages speak of; rows count from 1 if omitted.
    what
        Words before "row" values, for example "in the optics table".

    Raises
    ------
    InputError
        At the first cell that is no finite number.
    """
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        first = int(bad[0])
        more = f" ({bad.size} such rows)" if bad.size > 1 else ""
        refuse(InputError(
            f"{label}{' ' + what if what else ''} is not a number{more}", path=path,
            row=first + 1 if rows is None else int(rows[first]), value=str(column.iloc[first]),
            hint="correct or remove the row", kind="value",
        ))  # fmt: skip
        good = values[np.isfinite(values)]
        return np.where(np.isfinite(values), values, good[0] if good.size else 1.0)
    return values


def whole_numbers(
    column: pd.Series, label: str, *, path: Path | None = None, rows: NDArray | None = None
) -> NDArray[np.int64]:
    """Return a text column as int64; 1.0 counts as 1. Raises InputError like ``numbers``."""
    values = numbers(column, label, path=path, rows=rows)
    bad = np.flatnonzero((values != np.rint(values)) | (np.abs(values) > _MOST))
    if bad.size:
        first = int(bad[0])
        row = first + 1 if rows is None else int(rows[first])
        what = "too large" if abs(values[first]) > _MOST else "not a whole number"
        refuse(InputError(f"{label} is {what}", path=path, row=row, value=str(column.iloc[first]), kind="value"))
        values = values.copy()  # pandas gives what may not be written to
        values[bad] = 1.0
    return values.astype(np.int64)


def angles(
    column: pd.Series, label: str, *, path: Path | None = None, rows: NDArray | None = None
) -> NDArray[np.float64]:
    """Return a text column as angles in degrees. Raises InputError like ``numbers``, and for -999: unknown."""
    values = numbers(column, label, path=path, rows=rows)
    bad = np.flatnonzero((values == UNKNOWN_ANGLE) | (np.abs(values) > LARGEST_ANGLE_DEG))
    if bad.size:
        first = int(bad[0])
        unknown = values[first] == UNKNOWN_ANGLE
        refuse(InputError(
            f"{label} is {'unknown, as -999 stands for' if unknown else 'no angle in degrees'}", path=path,
            row=first + 1 if rows is None else int(rows[first]), value=str(column.iloc[first]),
            hint="correct or remove the row", kind="pose",
        ))  # fmt: skip
    return values


def are_unknown(column: pd.Series) -> bool:
    """Tell whether all cells are RELION's mark for an angle that is not known."""
    return bool((pd.to_numeric(column, errors="coerce") == UNKNOWN_ANGLE).all())


def format_number(value: float) -> str:
    """Write a number as RELION does, six decimals, but never lose small or large ones to it."""
    size = abs(value)
    if value == 0:
        return "0.000000"
    return f"{value:.6f}" if 0.1 <= size < 1e9 else f"{value:.7g}"


def text_column(label: str, values: ArrayLike) -> list[str]:
    """Return the cells of a column: text stays, whole numbers and booleans become digits, others ``format_number``.

    Raises
    ------
    InputError
        If a number is NaN or infinite: RELION would read it as 0.
    """
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return [str(v) for v in array.astype(np.int8).tolist()]
    if array.dtype.kind in "iu":
        return [str(v) for v in array.tolist()]
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise InputError(f"{label} would be written as {array[bad[0]]}", row=int(bad[0]) + 1)
        return [format_number(v) for v in array.astype(np.float64).tolist()]
    return [str(v) for v in array.tolist()]


def text_series(values: list[str], index: pd.Index | None = None) -> pd.Series:
    """Return text as a column; bytes that are no UTF-8 (kept as surrogates) fit only into Python objects."""
    try:
        return pd.Series(values, index=index, dtype=str)
    except UnicodeEncodeError:
        return pd.Series(values, index=index, dtype=object)


def text_table(columns: Mapping[str, ArrayLike | Sequence[str]]) -> pd.DataFrame:
    """Return a table of columns with cells as text, as `text_column` writes them."""
    return pd.DataFrame({label: text_series(text_column(label, values)) for label, values in columns.items()})
