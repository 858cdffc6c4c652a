"""What a file really is."""

import gzip

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.file_kind import read_head
from cryoalign.io.mrc import read_mrc_header
from cryoalign.io.star import read_star

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


@pytest.mark.parametrize("reader", [read_star, read_mrc_header, read_head])
def test_git_lfs_pointer_is_named(tmp_path, reader):
    path = tmp_path / "x.mrcs"
    path.write_bytes(POINTER)
    with pytest.raises(InputError, match=r"x\.mrcs: is a Git LFS pointer.*git lfs pull"):
        reader(path)


@pytest.mark.parametrize("reader", [read_star, read_mrc_header])
def test_missing_file_and_folder(tmp_path, reader):
    with pytest.raises(InputError, match=r"none\.star: no such file"):
        reader(tmp_path / "none.star")
    with pytest.raises(InputError, match="is a folder"):
        reader(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"data_x\n_a 1\n", mtime=0), "is a gzip file, not a STAR file"),
        (b"data_x\0\n", "is a binary file"),
        (b"\x93NUMPY\x01\0", "is a NumPy file"),
    ],
)
def test_not_a_star_file(tmp_path, content, message):
    path = tmp_path / "x.star"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_star(path)


def test_mrc_named_star(tmp_path, mrc_file):
    path = mrc_file(tmp_path / "x.star", np.ones((1, 4, 4)))
    with pytest.raises(InputError, match=r"x\.star: is an MRC file, not a STAR file"):
        read_star(path)
    path = mrc_file(tmp_path / "y.star", np.ones((1, 4, 4)), map_id=b"\0\0\0\0")
    with pytest.raises(InputError, match=r"y\.star: is a binary file, not a STAR file"):
        read_star(path)
