"""Class lists, conditions and amounts: what is read, what is refused, what they mean."""

import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoalign.core.errors import InputError
from cryoalign.jobs.select.expressions import (
    Amount,
    Condition,
    cell_numbers,
    parse_amount,
    parse_condition,
    unknown_column,
)
from cryoalign.passes.class_lists import in_ranges, parse_classes

OPERATORS = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
SPACE = st.sampled_from(["", " ", "  "])
FINITE = st.floats(-1e12, 1e12, allow_nan=False)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 9)), min_size=1, max_size=6), SPACE)
def test_class_lists_mean_the_numbers_in_them(pairs, space):
    text = f"{space},{space}".join(f"{a}" if not b else f"{a}{space}-{space}{a + b}" for a, b in pairs)
    expected = {number for a, b in pairs for number in range(a, a + b + 1)}
    numbers = np.arange(1, 120)
    assert set(numbers[in_ranges(numbers, parse_classes(text))].tolist()) == expected


@given(st.text(alphabet="0123456789,- ax.", max_size=8))
def test_any_text_is_a_class_list_or_refused(text):
    try:
        ranges = parse_classes(text)
    except InputError:
        return
    assert all(1 <= first <= last for first, last in ranges)
    assert len(ranges) == text.count(",") + 1


@pytest.mark.parametrize("text", ["", "a", "1,", ",1", "1--3", "3-1", "0", "0-4", "-3", "1.5", "1;2", "²", "9" * 12])
def test_no_class_list(text):
    with pytest.raises(InputError):
        parse_classes(text)


@given(
    st.sampled_from(sorted(OPERATORS)), FINITE, st.lists(FINITE, min_size=1, max_size=8), SPACE, SPACE, st.booleans()
)
def test_numbers_are_compared_as_numbers(sign, value, cells, left, right, underscore):
    condition = parse_condition(f"{left}{'_' * underscore}rlnDefocusU{right}{sign}{left}{value!r}{right}")
    assert (condition.label, condition.operator, condition.number) == ("rlnDefocusU", sign, value)
    expected = [OPERATORS[sign](cell, value) for cell in cells]
    assert condition.holds(pd.Series([repr(c) for c in cells], dtype=str)).tolist() == expected


WORDS = st.text(
    st.characters(codec="ascii", exclude_characters="'\"\n\r", min_codepoint=32, max_codepoint=126), max_size=9
)


@given(st.sampled_from(["==", "!="]), WORDS, st.lists(WORDS, min_size=1, max_size=5), st.sampled_from("'\""))
def test_quoted_values_are_text(sign, value, cells, quote):
    condition = parse_condition(f"rlnMicrographName {sign} {quote}{value}{quote}")
    assert (condition.text, condition.number) == (value, None)
    cells = [*cells, value]
    assert condition.holds(pd.Series(cells, dtype=str)).tolist() == [OPERATORS[sign](c, value) for c in cells]


@given(st.text(alphabet="ab_1.<>=! '\"", max_size=12))
def test_what_is_read_is_written_back_the_same(text):
    try:
        condition = parse_condition(text)
    except InputError:
        return
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "COLUMN"),
        ("rlnDefocusU", "COLUMN"),
        ("rlnDefocusU <", "COLUMN"),
        ("< 3", "COLUMN"),
        ("rlnDefocusU = 3", "equality is =="),
        ("rlnDefocusU =< 3", "COLUMN"),
        ("rlnDefocusU >== 3", "COLUMN"),
        ("a < b < c", "needs a number"),
        ("rlnDefocusU < high", "text takes == and !="),
        ("rlnDefocusU < '3'", "text takes == and !="),
        ("rlnDefocusU < nan", "needs a number"),
        ("rlnDefocusU < inf", "needs a number"),
        ("rlnDefocusU < 1_000", "needs a number"),
        ("rlnMicrographName == 'a", "COLUMN"),
    ],
)
def test_no_condition(text, said):
    with pytest.raises(InputError, match=said):
        parse_condition(text)


def test_equality_is_numeric_where_all_cells_are_numbers_else_textual():
    three = parse_condition("x == 3")
    assert three.holds(pd.Series(["3", "3.000", "30e-1", "4"], dtype=str)).tolist() == [True, True, True, False]
    assert three.holds(pd.Series(["3", "3.000", "b"], dtype=str)).tolist() == [True, False, False]
    assert parse_condition("x == '3'").holds(pd.Series(["3", "3.000"], dtype=str)).tolist() == [True, False]
    assert parse_condition("x != b c").holds(pd.Series(["b c", "3"], dtype=str)).tolist() == [False, True]


@pytest.mark.parametrize(("sign", "expected"), [("<", [True, False, False]), (">=", [False, False, True]),
                                                ("==", [False] * 3), ("!=", [True] * 3)])  # fmt: skip
def test_nan_passes_nothing_but_unequal(sign, expected):
    cells = pd.Series(["1", "nan", "inf"], dtype=str)
    assert parse_condition(f"x {sign} 2").holds(cells).tolist() == expected
    assert parse_condition("x != nan").holds(cells).tolist() == [True, False, True]


def test_an_order_of_text_names_the_cell():
    with pytest.raises(InputError, match=r"row 2: x is not a number.*'abc'.*text takes") as caught:
        Condition("x", "<", "3").holds(pd.Series(["1", "abc", "d"], dtype=str))
    assert caught.value.row == 2


def test_cells_to_numbers():
    values, bad = cell_numbers(pd.Series(["1e3", "NaN", "-inf", "0x1", "", "7"], dtype=str))
    np.testing.assert_array_equal(values, [1000, np.nan, -np.inf, np.nan, np.nan, 7])
    assert bad.tolist() == [3, 4]


@given(st.integers(1, 10**9), st.integers(1, 10**7))
def test_amounts_as_numbers(count, n):
    assert parse_amount(str(count)) == Amount(count)
    assert parse_amount(f" {count} ").of(n) == min(count, n)


@given(st.floats(0.001, 100).map(lambda x: round(x, 3)), st.integers(1, 10**6))
def test_amounts_as_shares(percent, n):
    found = parse_amount(f"{percent:.3f}%").of(n)
    assert 1 <= found <= n
    assert abs(found - n * percent / 100) <= 0.5 + 1e-6 or found == 1


@pytest.mark.parametrize("text", ["", "0", "-5", "ten", "1.5", "0%", "101%", "%", "5 %%", "1e3", "١"])
def test_no_amount(text):
    with pytest.raises(InputError):
        parse_amount(text)


def test_near_names_are_offered():
    known = ["rlnDefocusU", "rlnDefocusV", "cryoalignScore", "cryoalignScoreMargin", "rlnImageName"]
    for wrong in ("rlnDefocusu", "DefocusU", "rlndefocus_u", "defocusU", "rlnDefocsU"):
        assert "rlnDefocusU" in str(unknown_column(wrong, known, "a.star"))
    assert str(unknown_column("score", known, "a.star")).startswith("a.star: there is no column score; did you mean c")
    assert "cryoalignScore" in str(unknown_column("rlnScore", known, "a.star"))
    assert str(unknown_column("zzz", known, "a.star")) == "a.star: there is no column zzz"
