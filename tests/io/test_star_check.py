"""The line checker: dialects that are legal, and every problem with its line."""

import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.star_check import scan_star, split_values


def scan(tmp_path, text, newline="\n"):
    path = tmp_path / "t.star"
    path.write_bytes(text.replace("\n", newline).encode())
    return scan_star(path)


LOOP = "data_x\n\nloop_\n_a #1\n_b #2\n"


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("a b", ["a", "b"]),
        ("\ta\t b \t", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("'' \"\"", ["", ""]),
        ("a b # comment", ["a", "b"]),
        ("a#1 b", ["a#1", "b"]),
        ("'#a' b", ["#a", "b"]),
        ("O'Brien b\"c", ["O'Brien", 'b"c']),
        ("'it's' b", ["it's", "b"]),
        ("' ' b", [" ", "b"]),
        ("a\u00a0b c", ["a\u00a0b", "c"]),
        ("'open b", None),
        ('a "open', None),
    ],
)
def test_values_of_a_row(line, values):
    assert split_values(line) == values


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "text",
    [
        LOOP + "1 2\n3 4\n",
        LOOP + "1 2\n3 4",
        LOOP.replace(" #1", "").replace(" #2", "  # the second") + "1 2\n3 4\n",
        "some junk\n\n" + LOOP + "1 2\n3 4\n\n\n",
        LOOP + "1 2\n# a comment inside\n  # another\n3 4 # after a row\n",
        LOOP + "\n1\t2 \n 3   4\n \n# version 30001\n\ndata_y\n_c 1\n",
        "# comment\ndata_x\nloop_ # comment\n_a\n_b [what it is]\n".replace(" [what", " #2 [what") + "1 2\n3 4\n",
    ],
)
def test_legal_tables(tmp_path, text, newline):
    found = scan(tmp_path, text, newline)
    assert found.problems == []
    block = found.blocks[0]
    assert (block.name, block.is_loop, block.labels) == ("x", True, ["a", "b"])
    assert [split_values(row) for row in block.rows] == [["1", "2"], ["3", "4"]]


def test_byte_order_mark_and_latin1_are_read(tmp_path):
    path = tmp_path / "t.star"
    path.write_bytes(b"\xef\xbb\xbf" + LOOP.encode() + b"caf\xe9 2\n")
    assert scan_star(path).problems == []


def test_row_that_begins_like_a_block_is_a_row(tmp_path):
    found = scan(tmp_path, LOOP + "data_2020/mic.mrc 1\ndata_2021/mic.mrc 2\n\ndata_y\n_c 1\n")
    assert found.problems == []
    assert [block.name for block in found.blocks] == ["x", "y"]
    assert len(found.blocks[0].rows) == 2


def test_bare_hash_is_a_value_where_the_row_needs_one(tmp_path):
    found = scan(tmp_path, LOOP + "1 #2\n#3 #4\n1 2 #5\n")
    assert found.problems == []
    # A line that begins with a hash is a comment all the same.
    assert [found.blocks[0].odd[i] for i in range(2)] == [["1", "#2"], ["1", "2"]]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (LOOP + "1 2\n3\n", 7, "short row: 1 values where data_x has 2 columns"),
        (LOOP + "1 2\n3 4 5\n", 7, "long row: 3 values where data_x has 2 columns"),
        (LOOP + "1 2\n\n3 4\n", 7, "blank line inside the table data_x"),
        (LOOP + "1 2\n \t\n\n# c\n3 4\n", 7, "blank line inside the table data_x"),
        ("data_x\nloop_\n_a\n\n_b\n1 2\n", 4, "blank line between the labels of data_x"),
        ("loop_\n_a\n_b\n1 2\n", 1, "label outside of any block"),
        ("_a 1\n", 1, "label outside of any block"),
        ("1 2\n3 4\n", 1, "no table"),
        ("", 1, "no table"),
        ("data_x\nloop_\n1 2\n", 1, "the loop of data_x has no labels"),
        ("data_x\n_a 1\nloop_\n_b\n1\n", 3, "second table in block data_x"),
        (LOOP + "1 2\nloop_\n_c\n1\n", 7, "second table in block data_x"),
        ("data_x\n_a 1\n\ndata_x\n_a 2\n", 4, "second block named data_x (the first is at line 1)"),
        ("data_x\nloop_\n_a\n_a\n1 2\n", 4, "second column a in data_x"),
        (LOOP + "1 'two\n", 6, "quote that is not closed"),
        ("data_x\n_a 1 2\n", 2, "label with 2 values"),
        ("data_x\n_a 'open\n", 2, "quote that is not closed"),
        ("data_x\nhello\n", 2, "text that belongs to no table"),
        ("data_x\nloop_\n_a 5\n1\n", 3, "label of a loop followed by a value"),
        ("data_x\nloop_\n", 1, "the loop of data_x has no labels"),
    ],
)
def test_problem_with_its_line(tmp_path, text, line, what):
    found = scan(tmp_path, text)
    assert (found.problems[0].line, what in found.problems[0].what) == (line, True), found.problems
    with pytest.raises(InputError) as caught:
        found.refuse()
    assert f"t.star:{line}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_problem_is_collected_before_it_speaks(tmp_path):
    found = scan(tmp_path, LOOP + "1\n2 3\n\n4 5 6\n7 8\n9\n")
    assert [problem.line for problem in found.problems] == [6, 8, 9, 11]
    with pytest.raises(InputError, match=r"t\.star:6: short row.*line 8: blank line.*line 9: long row.*line 11: short"):
        found.refuse()


def test_many_problems_stay_one_short_line(tmp_path):
    found = scan(tmp_path, LOOP + "1\n" * 1000)
    with pytest.raises(InputError, match="and 995 more problems") as caught:
        found.refuse()
    assert len(str(caught.value)) < 600


def test_empty_blocks_are_kept(tmp_path):
    found = scan(tmp_path, "data_x\n\nloop_\n_a\n\ndata_y\n\ndata_z\n_b 1\n")
    assert found.problems == []
    assert [(block.name, len(block.rows)) for block in found.blocks] == [("x", 0), ("y", 0), ("z", 1)]
