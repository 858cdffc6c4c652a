"""MRC headers as they really are."""

import bz2
import gzip

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import read_mrc_header


def test_header_of_a_plain_stack(tmp_path, mrc_file, images):
    header = read_mrc_header(mrc_file(tmp_path / "a.mrcs", images, voxel=1.5, extended=100))
    assert (header.nx, header.ny, header.count, header.mode) == (8, 8, 6, 2)
    assert (header.offset, header.image_bytes, header.expected_bytes) == (1124, 256, 1124 + 6 * 256)
    assert header.voxel_size_angstrom == 1.5
    assert (header.big_endian, header.compression, header.oddities) == (False, None, ())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [True, False])
@pytest.mark.parametrize("map_id", [b"MAP ", b"STK ", b"\0\0\0\0"])
def test_odd_headers_are_read_and_said(tmp_path, mrc_file, images, order, stamp, map_id):
    header = read_mrc_header(mrc_file(tmp_path / "a.mrcs", images, order=order, stamp=stamp, map_id=map_id))
    assert (header.big_endian, header.count) == (order == ">", 6)
    assert len(header.oddities) == (not stamp) + (map_id != b"MAP ")


def test_wrong_machine_stamp_loses_against_the_numbers(tmp_path, mrc_file, images):
    path = mrc_file(tmp_path / "a.mrcs", images, order=">")
    raw = bytearray(path.read_bytes())
    raw[212:214] = b"\x44\x44"
    path.write_bytes(raw)
    header = read_mrc_header(path)
    assert header.big_endian
    assert "no machine stamp" in header.oddities[0]


@pytest.mark.parametrize(
    ("voxel", "mx", "expected"),
    [(0.0, None, None), (float("nan"), None, None), (float("inf"), None, None), (-1.0, None, None), (1.0, 0, None),
     (1.34, None, 1.34), (1.0, None, 1.0)],
)  # fmt: skip
def test_voxel_size_that_says_nothing(tmp_path, mrc_file, images, voxel, mx, expected):
    assert read_mrc_header(mrc_file(tmp_path / "a.mrcs", images, voxel=voxel, mx=mx)).voxel_size_angstrom == expected


@pytest.mark.parametrize("cut", [1, 256, 6 * 256])
def test_truncated_stack_is_refused(tmp_path, mrc_file, images, cut):
    path = mrc_file(tmp_path / "a.mrcs", images, cut=cut, extended=64)
    whole = (6 * 256 - cut) // 256
    with pytest.raises(InputError, match=rf"a\.mrcs: truncated: .*\({whole} of 6 images are whole\)"):
        read_mrc_header(path)


def test_trailing_bytes_do_no_harm(tmp_path, mrc_file, images):
    path = mrc_file(tmp_path / "a.mrcs", images)
    path.write_bytes(path.read_bytes() + b"\0" * 512)
    assert read_mrc_header(path).count == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty file"), (b"x" * 500, "500 bytes, shorter than an MRC header"), (b"x" * 2000, "not an MRC file")],
)
def test_no_mrc_file(tmp_path, content, message):
    path = tmp_path / "a.mrcs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.mrcs: {message}"):
        read_mrc_header(path)


@pytest.mark.parametrize(("mode", "name"), [(3, "complex int16"), (4, "complex float32"), (101, "4-bit")])
def test_modes_without_real_pixels(tmp_path, mrc_file, images, mode, name):
    path = mrc_file(tmp_path / "a.mrcs", images)
    raw = bytearray(path.read_bytes())
    raw[12:16] = np.int32(mode).tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match=f"{mode}, {name}"):
        read_mrc_header(path)


@pytest.mark.parametrize(("pack", "ending", "name"), [(gzip.compress, "gz", "gzip"), (bz2.compress, "bz2", "bzip2")])
def test_packed_header(tmp_path, mrc_file, images, pack, ending, name):
    plain = mrc_file(tmp_path / "a.mrcs", images).read_bytes()
    path = tmp_path / f"a.mrcs.{ending}"
    path.write_bytes(pack(plain))
    header = read_mrc_header(path)
    assert (header.count, header.compression) == (6, name)
    path.write_bytes(pack(plain)[:40])
    with pytest.raises(InputError, match=f"damaged {name} file|shorter than an MRC header|empty file"):
        read_mrc_header(path)


@pytest.mark.parametrize(
    ("name", "ispg", "shape", "volume"),
    [("a.mrc", 1, (8, 8, 8), True), ("a.mrc", 0, (8, 8, 8), True), ("a.MAP", 0, (8, 8, 8), True),
     ("a.mrcs", 1, (8, 8, 8), False), ("a.mrcs", 0, (8, 8, 8), False), ("a.st", 0, (8, 8, 8), False),
     ("a.st", 1, (8, 8, 8), True), ("a.mrc", 1, (6, 8, 8), False), ("a.mrc", 1, (1, 1, 1), False)],
)  # fmt: skip
def test_volume_or_stack(tmp_path, mrc_file, name, ispg, shape, volume):
    path = mrc_file(tmp_path / name, np.ones(shape), ispg=ispg)
    assert read_mrc_header(path).looks_like_volume is volume
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_mrc_header(packed).looks_like_volume is volume


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("stamp", "flags", "kind"),
    [(1146047817, 0, "u1"), (1146047817, 2, "u1"), (1146047817, 1, "i1"), (1146047817, 13, "i1"), (0, 0, "i1")],
)
def test_bytes_are_unsigned_by_imods_stamp(tmp_path, mrc_file, images, order, stamp, flags, kind):
    path = mrc_file(tmp_path / "a.mrcs", images, mode=0, order=order)
    raw = bytearray(path.read_bytes())
    raw[152:160] = np.array([stamp, flags], order + "i4").tobytes()
    path.write_bytes(raw)
    header = read_mrc_header(path)
    assert header.dtype == np.dtype(kind)
    assert bool(header.oddities) is (kind == "u1")
    raw[12:16] = np.array(1, order + "i4").tobytes()  # the stamp speaks of bytes alone
    path.write_bytes(raw + raw[1024:])
    assert read_mrc_header(path).dtype == np.dtype(order + "i2")


def test_two_pixels_in_a_byte_by_imods_stamp(tmp_path, mrc_file, images):
    path = mrc_file(tmp_path / "a.mrcs", images, mode=0)
    raw = bytearray(path.read_bytes())
    raw[152:160] = np.array([1146047817, 16], "<i4").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.mrcs: MRC mode without real pixels \(\"4-bit, by IMOD's stamp\"\)"):
        read_mrc_header(path)
