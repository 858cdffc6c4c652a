"""What a selection is told in words: conditions on columns, amounts; read here, and applied to cells."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError

_CONDITION = re.compile(
    r"""\s*_?(?P<label>[^\s<>=!'"]+)\s*(?P<operator>>=|<=|==|!=|>|<)\s*"""
    r"""(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<plain>[^\s'"<>=!](?:.*\S)?))\s*""",
    re.DOTALL,
)
_ORDER = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    ">": np.greater,
    "<": np.less,
    "==": np.equal,
    "!=": np.not_equal,
}
_NOT_A_NUMBER = ("nan", "+nan", "-nan")


@dataclass(frozen=True)
class Condition:
    """A column, an operator and a value.

    Attributes
    ----------
    label
        Without the leading underscore.
    operator
        One of >= <= > < == !=.
    text
        The value as written, without its quotes.
    quoted
        Quoted values are text, never numbers.
    """

    label: str
    operator: str
    text: str
    quoted: bool = False

    def __str__(self) -> str:
        """Write the condition so that `parse_condition` reads it."""
        quote = "" if not self.quoted else "'" if "'" not in self.text else '"'
        return f"{self.label} {self.operator} {quote}{self.text}{quote}"

    @property
    def number(self) -> float | None:
        """The value as a finite number; None where it is text."""
        if self.quoted:
            return None
        try:
            value = float(self.text)
        except ValueError:
            return None
        return value if math.isfinite(value) and "_" not in self.text else None

    def holds(self, cells: pd.Series) -> NDArray[np.bool_]:
        """Tell which cells fulfil the condition; a NaN fulfils only ``!=``.

        Cells and value are compared as numbers where all of them are, else == and != compare them as text.

        Raises
        ------
        InputError
            If an order is asked of cells that are no numbers; ``row`` is the 1-based place among the cells.
        """
        compare = _ORDER[self.operator]
        if self.number is not None:
            values, bad = cell_numbers(cells)
            if not bad.size:
                return compare(values, self.number)
            if self.operator not in ("==", "!="):
                first = int(bad[0])
                raise InputError(
                    f"{self.label} is not a number, so it cannot be compared with {self.operator}", row=first + 1,
                    value=str(cells.iloc[first]), hint="text takes == and !=",
                )  # fmt: skip
        equal = (cells == self.text).to_numpy(dtype=bool)
        return equal if self.operator == "==" else ~equal


@dataclass(frozen=True)
class Amount:
    """So many rows, or so many percent of them."""

    count: int | None = None
    percent: float | None = None

    def of(self, n: int) -> int:
        """Return how many of n rows are meant: percentages rounded to the nearest, at least one."""
        if self.count is not None:
            return min(self.count, n)
        assert self.percent is not None
        return min(n, max(1, math.floor(n * self.percent / 100 + 0.5)))


def parse_condition(text: str) -> Condition:
    """Read ``COLUMN OPERATOR VALUE``.

    Raises
    ------
    InputError
        If it is something else, or an order is asked of text.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        single = re.search(r"(?<![<>=!])=(?![<>=])", text)
        hint = "equality is ==" if single else "write COLUMN, one of >= <= > < == !=, and a value"
        raise InputError("is not a condition", value=text, hint=hint)
    value = next(v for v in match.group("single", "double", "plain") if v is not None)
    condition = Condition(match["label"], match["operator"], value, match["plain"] is None)
    if condition.number is None and condition.operator not in ("==", "!="):
        raise InputError(f"{condition.operator} needs a number", value=text, hint="text takes == and !=")
    return condition


def parse_amount(text: str) -> Amount:
    """Read ``500`` or ``10%``.

    Raises
    ------
    InputError
        If it is neither, or not above 0, or more than 100 %.
    """
    match = re.fullmatch(r"\s*(?:([0-9]{1,18})|([0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)\s*%)\s*", text)
    if match is None:
        raise InputError("is not a number of particles such as 500, or a share such as 10%", value=text)
    amount = Amount(int(match[1])) if match[1] else Amount(percent=float(match[2]))
    if not (amount.count or amount.percent):
        raise InputError("must be above 0", value=text)
    if amount.percent is not None and amount.percent > 100:
        raise InputError("cannot be more than 100 %", value=text)
    return amount


def cell_numbers(cells: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return cells as float64 (NaN and infinity are taken as such), and the places of those that are no numbers."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    unclear = np.flatnonzero(np.isnan(values))
    bad = [i for i in unclear.tolist() if str(cells.iloc[i]).lower() not in _NOT_A_NUMBER]
    return values, np.array(bad, dtype=np.int64)


def unknown_column(label: str, known: Iterable[str], path: Path | None) -> InputError:
    """Return the error about a column that is not there, with names that are near."""
    by_form: dict[str, str] = {}
    for name in known:
        by_form.setdefault(name.lower(), name)
        by_form.setdefault(name.lower().removeprefix("rln").removeprefix("cryoalign"), name)
    wanted = label.lower()
    near = difflib.get_close_matches(wanted, by_form, n=6, cutoff=0.7)
    near += difflib.get_close_matches(wanted.removeprefix("rln").removeprefix("cryoalign"), by_form, n=6, cutoff=0.7)
    names = list(dict.fromkeys(by_form[form] for form in near))[:3]
    hint = f"did you mean {' or '.join(names)}?" if names else None
    return InputError(f"there is no column {label}", path=path, hint=hint)
