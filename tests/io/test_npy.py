"""Arrays from files of any origin: nothing is believed, nothing is left out, nothing is unpacked for ever."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from cryoalign.io.npy import LONGEST_HEADER, read_npy
from cryoalign.io.npz import read_npz
from helpers.mutate_npz import npy_bytes, npz_bytes


def read(data):
    return read_npy(io.BytesIO(data), len(data))


def with_header(text, body=b"", version=1):
    """Return a .npy file whose header is any text."""
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("utf-8") + body


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.asarray(3),
        np.array(["a", "bc"]), np.zeros(0), np.zeros((0, 5), "f4"), np.arange(4, dtype=">i2"),
        np.zeros(3, [("a/b", "<f4", (2,)), ("c", "S3")]),
    ],
    ids=str,
)  # fmt: skip
def test_what_numpy_writes(array):
    found = read(npy_bytes(array))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype and found.shape == array.shape


def test_python_2_wrote_an_l_behind_long_numbers():
    found = read(with_header("{'descr': '<i2', 'fortran_order': False, 'shape': (3L,), }", bytes(6)))
    assert found.tolist() == [0, 0, 0]


def test_headers_are_long_where_fields_are_many():
    table = np.zeros(2, [(f"alignments_class_{k}/class_posterior", "<f4") for k in range(3000)])
    with pytest.warns(UserWarning, match="format 2.0"):
        data = npy_bytes(table)
    assert read(data).dtype == table.dtype


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy_bytes(np.arange(3))[:-1], "truncated: 23 bytes where 3 rows need 24"),
        (npy_bytes(np.arange(3)) + b"\0", "longer than its header says"),
        (npy_bytes(np.array([1], object), pickles=True), "Python objects"),
        (pickle.dumps(3), "does not begin as"),
        (b"", "does not begin as"),
        (b"\x93NUMPY\x09\0", "of version 9.0"),
        (b"\x93NUMPY\x01", "of version 1"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "longer than"),
        (with_header("x" * 50)[:30], "truncated in its header"),
        (with_header("{" * 1000), "header is damaged"),
        (with_header("(" * 60000), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': 3}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", bytes(12)), "is damaged"),
        (with_header("{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), "is damaged"),
        (with_header("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}"), "header is damaged"),
        (with_header("__import__('os').system('true')"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", bytes(8)), "truncated"),
        (with_header("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,)}"), "without a byte"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 10**30)}"), "header is damaged"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1%s)}" % ("0" * 30)), "no array has"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (%s)}" % ("1," * 99), b"four"), "no array"),
    ],
)  # fmt: skip
def test_what_is_no_array(data, message):
    with pytest.raises(ValueError, match=message):
        read(data)
    assert LONGEST_HEADER < 1 << 21  # what a parser takes in seconds


def npz(path, data):
    path.write_bytes(data)
    with path.open("rb") as handle:
        return read_npz(handle, {"a", "b"})


def test_some_arrays_of_an_archive(tmp_path):
    members = {"a": npy_bytes(np.arange(3)), "c": b"not an array"}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        arrays, others = npz(tmp_path / "x.npz", npz_bytes(members, method))
        assert list(arrays) == ["a"] and arrays["a"].tolist() == [0, 1, 2] and others == ["c"]


def test_archives_that_cannot_be_used(tmp_path):
    three = npy_bytes(np.arange(3))
    good = npz_bytes({"a": three})
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = io.BytesIO()
        with zipfile.ZipFile(twice, "w") as archive:
            archive.writestr("a.npy", three)
            archive.writestr("a.npy", three)
    for data, message in (
        (good[:-5], "damaged"),
        (good.replace(three[-8:], b"12345678", 1), "damaged"),  # its checksum
        (b"PK\3\4" + bytes(100), "damaged"),
        (twice.getvalue(), "an array is there twice"),
        (npz_bytes({"a": three}, zipfile.ZIP_BZIP2), "packed in a way that NumPy does not"),
        (npz_bytes({"a": three}, zipfile.ZIP_LZMA), "packed in a way that NumPy does not"),
        (npz_bytes({"a": npy_bytes(np.array([1], object), pickles=True)}), "Python objects"),
    ):
        with pytest.raises(ValueError, match=message):
            npz(tmp_path / "x.npz", data)


def test_a_bomb_is_not_unpacked(tmp_path):
    zeros = npy_bytes(np.zeros(80 << 20, np.uint8))
    bomb = npz_bytes({"a": zeros}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    with pytest.raises(ValueError, match=r"its \d+ bytes would unpack to \d+"):
        npz(tmp_path / "x.npz", bomb)
    # A member that says it is small does not grow beyond that.
    lie = bomb.replace(struct.pack("<I", len(zeros)), struct.pack("<I", 1000))
    with pytest.raises(ValueError, match=r"damaged|truncated"):
        npz(tmp_path / "x.npz", lie)
