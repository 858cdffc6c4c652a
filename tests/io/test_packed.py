"""Packed stacks: bounded by what their header declares and by the room on the disk."""

import bz2
import gzip
import shutil
import time
from collections import namedtuple

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import read_mrc_header, unpacked
from cryoalign.io.packed import unpack

PACK = {"gz": gzip.compress, "bz2": bz2.compress}
WORDS = {"gz": "gzip", "bz2": "bzip2"}


@pytest.fixture(params=list(PACK))
def ending(request):
    return request.param


def pack(path, ending, data):
    path = path.with_name(f"{path.name}.{ending}")
    path.write_bytes(PACK[ending](data))
    return path


def test_what_follows_the_images_may_be_there_as_in_plain_files(tmp_path, mrc_file, images, ending):
    plain = mrc_file(tmp_path / "a.mrcs", images).read_bytes()
    path = pack(tmp_path / "a.mrcs", ending, plain + b"x" * 1000)
    assert unpacked(read_mrc_header(path), tmp_path / "scratch").read_bytes() == plain


def test_a_bomb_behind_a_small_header(tmp_path, mrc_file, images, ending):
    plain = mrc_file(tmp_path / "a.mrcs", images).read_bytes()
    path = pack(tmp_path / "a.mrcs", ending, plain + bytes(64 << 20))
    assert path.stat().st_size < 200_000
    start = time.process_time()
    with pytest.raises(InputError, match=rf"a\.mrcs\.{ending}: holds far more than the {len(plain)} bytes"):
        unpacked(read_mrc_header(path), tmp_path / "scratch")
    assert time.process_time() - start < 2
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_header_that_speaks_of_more_than_the_disk_holds(tmp_path, ending, monkeypatch):
    header = bytearray(1024)
    header[:16] = np.array([1000, 1000, 2_000_000, 2], "<i4").tobytes()
    header[208:216] = b"MAP DD\0\0"
    path = pack(tmp_path / "a.mrcs", ending, bytes(header) + bytes(1 << 20))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, 5 << 30))
    with pytest.raises(InputError, match=r"its header speaks of 7629395 MiB, .*scratch has room for 5120"):
        unpacked(read_mrc_header(path), tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("cut", [20, 60, -9, -1])
def test_damaged_files(tmp_path, mrc_file, images, ending, cut):
    data = PACK[ending](mrc_file(tmp_path / "a.mrcs", images).read_bytes())
    path = tmp_path / f"a.mrcs.{ending}"
    path.write_bytes(data[:cut])
    with pytest.raises(InputError, match=rf"a\.mrcs\.{ending}: (damaged {WORDS[ending]} file|truncated)"):
        unpacked(read_mrc_header(path), tmp_path / "scratch")


def test_every_flipped_bit_is_refused_or_harmless(tmp_path, mrc_file, images, ending):
    plain = mrc_file(tmp_path / "a.mrcs", images).read_bytes()
    data = PACK[ending](plain)
    path, rng = tmp_path / f"a.mrcs.{ending}", np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(data)
        changed[int(rng.integers(2, len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            copy = unpacked(read_mrc_header(path), tmp_path / "scratch")
        except InputError as error:
            assert str(error).startswith(str(path))
        else:
            assert copy.read_bytes() == plain
            copy.unlink()


def test_a_folder_that_cannot_be_written(tmp_path, mrc_file, images, ending):
    path = pack(tmp_path / "a.mrcs", ending, mrc_file(tmp_path / "a.mrcs", images).read_bytes())
    with pytest.raises(InputError, match=r"cannot be unpacked into .*none: No such file"):
        unpack(path, WORDS[ending], tmp_path / "none" / "a", 10)
