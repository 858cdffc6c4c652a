"""STAR tables in and out, cell by cell."""

import string

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoalign.core.errors import InputError
from cryoalign.io.star import read_star, star_text, write_star, write_star_blocks, write_star_loop

CELLS = [
    "01", "1.2e-7", "nan", "NaN", "<NA>", "", " ", "a b", "O'Brien", "#x", "x#y", "_x", "data_1", "loop_", "None",
    "1e400", "99999999999999999999999", "café", "\udce9", "F:\\mic\\a.mrc", "'", '"', "it's a", 'say "x" now', "cell",
    "True", "-0", "[Modulation Transfer Function]", "N/A", "null", "a\tb", "\x1f", "\u2028", "a\u00a0b",
]  # fmt: skip


def test_cells_stay_verbatim(tmp_path):
    table = pd.DataFrame(
        {"rlnA": CELLS, "fooB": CELLS[::-1], "plain": [str(i) for i in range(len(CELLS))]}, dtype=object
    )
    write_star(tmp_path / "a.star", {"x": table})
    found = read_star(tmp_path / "a.star").blocks["x"]
    assert list(found.columns) == ["rlnA", "fooB", "plain"]
    for label in table:
        assert found[label].tolist() == table[label].tolist()


def test_pairs_stay_verbatim(tmp_path):
    pairs = {f"rln{i}": cell for i, cell in enumerate(CELLS)}
    write_star(tmp_path / "a.star", {"x": pairs})
    assert read_star(tmp_path / "a.star").blocks["x"] == pairs


def test_single_quoted_and_commented_rows(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("junk\ndata_\r\nloop_\r\n_a #1\r\n_b #2\r\n'x y' 1 # c\r\n# inside\r\n\"\" '2'")
    found = read_star(path).blocks[""]
    assert found["a"].tolist() == ["x y", ""]
    assert found["b"].tolist() == ["1", "2"]


def test_blocks_keep_their_order_and_emptiness(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("data_c\n\nloop_\n_x\n\ndata_b\n\ndata_a\n_y 1\n\ndata_\nloop_\n_z\n1\n")
    star = read_star(path)
    assert list(star.blocks) == ["c", "b", "a", ""]
    assert star.blocks["c"].shape == (0, 1)
    assert star.blocks["b"] == {}
    assert star.lines == {"c": 1, "b": 6, "a": 8, "": 11}
    write_star(tmp_path / "b.star", star.blocks)
    again = read_star(tmp_path / "b.star").blocks
    assert list(again) == ["c", "b", "a", ""]
    assert again["c"].shape == (0, 1)


def test_text_has_no_date_and_is_the_same_each_time():
    blocks = {"x": pd.DataFrame({"a": ["1", "b c"]}, dtype=str), "y": {"k": "v"}}
    assert star_text(blocks) == star_text(blocks)
    assert star_text(blocks) == (
        '# version 30001\n\ndata_x\n\nloop_\n_a #1\n1\n"b c"\n\n\n# version 30001\n\ndata_y\n\n_k\tv\n\n'
    )


@pytest.mark.parametrize("cell", ["a\nb", "a\rb", "x\0", "'a' \"b\" c", None, float("nan"), 1])
def test_what_cannot_be_written_is_refused(cell):
    with pytest.raises(InputError, match=r"row 2: col"):
        star_text({"x": pd.DataFrame({"col": ["ok", cell]}, dtype=object)})


LABELS = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=8)
VALUES = st.one_of(
    st.text(string.printable.replace("\n", "").replace("\r", ""), max_size=8),
    st.text(st.characters(blacklist_characters="\n\r\0"), max_size=6),
    st.sampled_from(CELLS),
    st.floats().map(str),
    st.integers().map(str),
).filter(lambda v: not ("'" in v and '"' in v) and not v.endswith("\\"))


@st.composite
def tables(draw):
    labels = draw(st.lists(LABELS, min_size=1, max_size=5, unique=True))
    rows = draw(st.lists(st.lists(VALUES, min_size=len(labels), max_size=len(labels)), min_size=1, max_size=6))
    return pd.DataFrame(rows, columns=labels, dtype=object)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(blocks=st.dictionaries(LABELS, tables(), min_size=1, max_size=3))
def test_any_table_survives_the_round_trip(tmp_path, blocks):
    write_star(tmp_path / "a.star", blocks)
    found = read_star(tmp_path / "a.star").blocks
    assert list(found) == list(blocks)
    for name, table in blocks.items():
        assert found[name].to_dict("list") == table.to_dict("list")


def test_files_written_in_pieces_are_those_written_at_once(tmp_path):
    columns = {"rlnA": [str(i) for i in range(10)], "rlnB": ["a", "two words", *"cdefghi", ""]}
    blocks = {"one": columns, "two": {"rlnC": ["1"]}}
    write_star(tmp_path / "whole.star", blocks)
    write_star_blocks(tmp_path / "blocks.star", iter(blocks.items()))
    assert (tmp_path / "blocks.star").read_bytes() == (tmp_path / "whole.star").read_bytes()
    write_star(tmp_path / "loop.star", {"one": columns})
    pieces = ({label: cells[k : k + 4] for label, cells in columns.items()} for k in (0, 4, 8))
    write_star_loop(tmp_path / "pieces.star", "one", pieces)
    assert (tmp_path / "pieces.star").read_bytes() == (tmp_path / "loop.star").read_bytes()
