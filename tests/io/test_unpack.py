"""Packed stacks in the scratch folder."""

import gzip

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import read_mrc_header, unpacked


def test_plain_file_is_itself(tmp_path, mrc_file, images):
    header = read_mrc_header(mrc_file(tmp_path / "a.mrcs", images))
    assert unpacked(header, tmp_path / "scratch") == tmp_path / "a.mrcs"
    assert not (tmp_path / "scratch").exists()


def test_equal_names_from_different_folders_do_not_meet(tmp_path, mrc_file, images):
    copies = []
    for i in range(2):
        folder = tmp_path / str(i)
        folder.mkdir()
        plain = mrc_file(folder / "a.mrcs", images + i).read_bytes()
        (folder / "a.mrcs.gz").write_bytes(gzip.compress(plain))
        copies.append(unpacked(read_mrc_header(folder / "a.mrcs.gz"), tmp_path / "scratch"))
        assert copies[-1].read_bytes() == plain
    assert copies[0] != copies[1]


def test_copy_that_was_damaged_is_refused(tmp_path, mrc_file, images):
    (tmp_path / "a.mrcs.gz").write_bytes(gzip.compress(mrc_file(tmp_path / "a.mrcs", images).read_bytes()))
    header = read_mrc_header(tmp_path / "a.mrcs.gz")
    copy = unpacked(header, tmp_path / "scratch")
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.mrcs\.gz: truncated"):
        unpacked(header, tmp_path / "scratch")


def test_scratch_that_cannot_be_made(tmp_path, mrc_file):
    (tmp_path / "a.mrcs.gz").write_bytes(gzip.compress(mrc_file(tmp_path / "a.mrcs", np.ones((1, 4, 4))).read_bytes()))
    (tmp_path / "scratch").write_text("a file")
    with pytest.raises(InputError, match="cannot be unpacked into"):
        unpacked(read_mrc_header(tmp_path / "a.mrcs.gz"), tmp_path / "scratch")
