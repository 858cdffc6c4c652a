"""The packed form of .cs files, held against files that cryosparc-tools 5.0.3 wrote."""

import base64
import json
import struct

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.cs_file import read_cs_columns
from cryoalign.io.csdat import unpack_lz4_block
from cryoalign.io.particles import read_particles
from helpers.mutate_npz import cs_table, csdat_bytes, lz4_literals, npy_bytes

# Dataset([...]).save(..., format=CSDAT_FORMAT): 12 rows, two stacks, an alignment; one column has repeats.
MADE_BY_CRYOSPARC_TOOLS = base64.b64decode(
    """
lUNTREFUkgEAAHsibGVuZ3RoIjogMTIsICJkdHlwZSI6IFtbInVpZCIsICI8dTgiXSwgWyJibG9iL3BhdGgiLCAifE8iXSwgWyJibG9iL2lkeCIsICI8
dTQiXSwgWyJibG9iL3NoYXBlIiwgIjx1NCIsIFsyXV0sIFsiYmxvYi9wc2l6ZV9BIiwgIjxmNCJdLCBbImFsaWdubWVudHMyRC9wb3NlIiwgIjxmNCJd
LCBbImFsaWdubWVudHMyRC9zaGlmdCIsICI8ZjQiLCBbMl1dLCBbImFsaWdubWVudHMyRC9wc2l6ZV9BIiwgIjxmNCJdXSwgImNvbXByZXNzaW9uIjog
Imx6NCIsICJjb21wcmVzc2VkX2ZpZWxkcyI6IFsiYmxvYi9wYXRoIiwgImJsb2IvaWR4IiwgImJsb2Ivc2hhcGUiLCAiYmxvYi9wc2l6ZV9BIiwgImFs
aWdubWVudHMyRC9wb3NlIiwgImFsaWdubWVudHMyRC9zaGlmdCIsICJhbGlnbm1lbnRzMkQvcHNpemVfQSJdfWAAAAAHAAAAAAAAAAgAAAAAAAAACQAA
AAAAAAAKAAAAAAAAAAsAAAAAAAAADAAAAAAAAAANAAAAAAAAAA4AAAAAAAAADwAAAAAAAAAQAAAAAAAAABEAAAAAAAAAEgAAAAAAAABiAAAA8FEBAAAA
AAAAAAEAAAAAAAAAAQAAAAAAAAABAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAABAAAAAAAAAAEAAAAAAAAACgAAAAAAAAAKAAAAAAAAAAoAAAAAAAAACgAA
AAAAAAAyAAAA8CEAAAAAAQAAAAIAAAADAAAABAAAAAUAAAAGAAAABwAAAAAAAAABAAAAAgAAAAMAAABiAAAA8FEIAAAACAAAAAgAAAAIAAAACAAAAAgA
AAAIAAAACAAAAAgAAAAIAAAACAAAAAgAAAAIAAAACAAAAAgAAAAIAAAACAAAAAgAAAAIAAAACAAAAAgAAAAIAAAACAAAAAgAAAAyAAAA8CEAAABAAAAA
QAAAAEAAAABAAAAAQAAAAEAAAABAAAAAQAAAAEAAAABAAAAAQAAAAEAyAAAA8CEAAAAAzczMPc3MTD6amZk+zczMPgAAAD+amRk/MzMzP83MTD9mZmY/
AACAP83MjD9cAAAAFQABAPBHgD8AAIC/AAAAQAAAAMAAAEBAAABAwAAAgEAAAIDAAACgQAAAoMAAAMBAAADAwAAA4EAAAODAAAAAQQAAAMEAABBBAAAQ
wQAAIEEAACDBAAAwQQAAMMEyAAAA8CEAAIBAAACAQAAAgEAAAIBAAACAQAAAgEAAAIBAAACAQAAAgEAAAIBAAACAQAAAgEAASjEvcC5tcmMASjEvcS5t
cmMA
"""
)


def write(path, data):
    path.write_bytes(data)
    return path


def test_a_file_of_cryosparc_tools(tmp_path):
    found = read_cs_columns(write(tmp_path / "p.cs", MADE_BY_CRYOSPARC_TOOLS))
    n = np.arange(12)
    assert found.ids("uid") == (n + 7).tolist()
    assert found.text("blob/path") == ["J1/p.mrc"] * 8 + ["J1/q.mrc"] * 4
    np.testing.assert_array_equal(found.counts("blob/idx", most=99), n % 8)
    np.testing.assert_array_equal(found.counts("blob/shape", (2,), most=99), np.full((12, 2), 8))
    np.testing.assert_array_equal(found.numbers("alignments2D/pose"), (n / 10).astype("f4"))
    np.testing.assert_array_equal(found.numbers("alignments2D/shift", (2,)), np.stack([n, -n], axis=1))
    np.testing.assert_array_equal(found.positive("alignments2D/psize_A"), np.full(12, 4.0))


def test_both_forms_are_the_same_table(here, mrc_file, images):
    table = cs_table(6)
    mrc_file(here / "p.mrcs", images)
    write(here / "plain.cs", npy_bytes(table))
    write(here / "packed.cs", csdat_bytes(table))
    plain, packed = read_particles(["plain.cs"]), read_particles(["packed.cs"])
    assert plain.particles.equals(packed.particles) and plain.optics.equals(packed.optics)


def test_no_rows(tmp_path):
    with pytest.raises(InputError, match="holds no particles"):
        read_cs_columns(write(tmp_path / "p.cs", csdat_bytes(cs_table(3)[:0])))


def test_every_cut_is_refused(tmp_path):
    data = MADE_BY_CRYOSPARC_TOOLS
    for length in range(6, len(data) - 1):
        with pytest.raises(InputError, match=r"p\.cs: is a damaged CSDAT file, .*cryosparc-tools"):
            read_cs_columns(write(tmp_path / "p.cs", data[:length]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 10**12}, "cannot hold 1000000000000 rows|truncated in uid|bytes where"),
        ({"length": -1}, "header is damaged"),
        ({"length": True}, "header is damaged"),
        ({"compression": "zstd"}, "packed by 'zstd'"),
        ({"dtype": [["uid", "<u8", [10**12]]]}, "bytes where|header is damaged"),
        ({"dtype": [["uid", "<u8"], ["uid", "<u8"]]}, "header is damaged"),
        ({"dtype": [["uid", "|O", [2]]]}, "header is damaged"),
        ({"dtype": [[3, "<u8"]]}, "header is damaged"),
        ({"dtype": [["uid", "S0"]]}, "header is damaged"),
        ({"dtype": 3}, "header is damaged"),
        ({"compressed_fields": None}, "header is damaged"),
    ],
)
def test_headers_that_cannot_be(tmp_path, change, message):
    data = MADE_BY_CRYOSPARC_TOOLS
    length = struct.unpack("<I", data[6:10])[0]
    head = json.dumps(json.loads(data[10 : 10 + length]) | change).encode()
    with pytest.raises(InputError, match=message):
        read_cs_columns(write(tmp_path / "p.cs", data[:6] + struct.pack("<I", len(head)) + head + data[10 + length :]))


def test_texts_that_are_not_there(tmp_path):
    heap = MADE_BY_CRYOSPARC_TOOLS.index(b"J1/p.mrc\0J1/q.mrc\0")
    with pytest.raises(InputError, match="a text that is not there"):
        read_cs_columns(write(tmp_path / "p.cs", MADE_BY_CRYOSPARC_TOOLS[:heap]))


@pytest.mark.parametrize(
    ("block", "plain"),
    [
        (b"\x30abc", b"abc"),
        (b"\x31abc\x03\x00\x00", b"abcabcab"),  # token 1: three literals, a match of 5; then no literals
        (b"\x1fa\x01\x00\xff\x03\x00", b"a" * (1 + 4 + 15 + 255 + 3)),  # what is repeated runs into itself
        (lz4_literals(bytes(1000)), bytes(1000)),
        (b"\x50hello\x00"[:6], b"hello"),
    ],
)
def test_blocks_of_lz4(block, plain):
    assert unpack_lz4_block(block, len(plain)) == plain
    for size in (len(plain) - 1, len(plain) + 1):
        with pytest.raises(ValueError, match="damaged LZ4"):
            unpack_lz4_block(block, size)


@pytest.mark.parametrize(
    "block", [b"", b"\x30ab", b"\x31abc\x00\x00\x00", b"\x31abc\x09\x00\x00", b"\xf0", b"\xff\xff\xff"]
)
def test_damaged_blocks_of_lz4(block):
    with pytest.raises(ValueError, match="damaged LZ4"):
        unpack_lz4_block(block, 8)
