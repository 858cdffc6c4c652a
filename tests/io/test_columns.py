"""Cells to numbers and numbers to cells."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoalign.core.errors import InputError
from cryoalign.io.columns import format_number, numbers, text_column, text_series, whole_numbers


def test_numbers_of_text():
    column = text_series(["1", "-2.50", "1e-7", "999.000000", "+3", "01"])
    np.testing.assert_array_equal(numbers(column, "x"), [1, -2.5, 1e-7, 999, 3, 1])


@pytest.mark.parametrize(
    "cell", ["nan", "NaN", "inf", "-inf", "", "abc", "1,5", "<NA>", "None", "0x10", "1e999", "1 2"]
)
def test_cell_that_is_no_number(cell):
    with pytest.raises(InputError, match=r"p\.star, row 12: rlnAnglePsi is not a number"):
        numbers(text_series(["1", cell]), "rlnAnglePsi", path=Path("p.star"), rows=np.array([5, 12]))


def test_all_such_rows_are_counted():
    with pytest.raises(InputError, match=r"row 2: x is not a number \(3 such rows\) \('a'\)"):
        numbers(text_series(["1", "a", "b", "c"]), "x")


def test_whole_numbers():
    assert whole_numbers(text_series(["1", "2.000", "-3"]), "x").tolist() == [1, 2, -3]
    with pytest.raises(InputError, match=r"row 2: x is not a whole number \('1\.5'\)"):
        whole_numbers(text_series(["1", "1.5"]), "x")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000000"), (-0.0, "0.000000"), (1.5, "1.500000"), (-179.9999994, "-179.999999"), (1.2e-7, "1.2e-07"),
     (0.01234567, "0.01234567"), (123456.125, "123456.125000"), (1e12, "1e+12"), (-0.05, "-0.05")],
)  # fmt: skip
def test_format(value, text):
    assert format_number(value) == text


@settings(derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_formatted_numbers_come_back(value):
    assert float(format_number(value)) == pytest.approx(value, rel=6e-6, abs=1e-300)


def test_text_columns():
    assert text_column("x", np.array([True, False])) == ["1", "0"]
    assert text_column("x", np.array([3, -1])) == ["3", "-1"]
    assert text_column("x", np.array([0.5], np.float32)) == ["0.500000"]
    assert text_column("x", ["a b", ""]) == ["a b", ""]
    assert text_column("x", pd.Series(["a"])) == ["a"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_never_written(value):
    with pytest.raises(InputError, match="row 2: score would be written as"):
        text_column("score", np.array([1.0, value]))
