"""Stacks out: what others read, and the same bytes each time."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import mrcfile
import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import read_mrc_header
from cryoalign.io.stack_writer import StackWriter, write_stack


def test_mrcfile_reads_it_and_finds_nothing_wrong(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images, 1.34)
    assert mrcfile.validate(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with mrcfile.open(path) as file:
            np.testing.assert_array_equal(file.data, images)
            assert file.is_image_stack()
            header = file.header
            assert (int(header.mode), int(header.ispg), int(header.mz), int(header.nversion)) == (2, 0, 1, 20140)
            assert file.voxel_size.x == pytest.approx(1.34)
            assert header.dmax < header.dmin
            assert file.get_labels() == ["cryoalign: stack of images"]
    assert read_mrc_header(path).oddities == ()


def test_same_bytes_for_any_order_of_writing_and_any_thread(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images, 2.0)
    with StackWriter(tmp_path / "b.mrcs", 6, 8, 2.0) as writer, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda row: writer.write(row, images[row : row + 2]), (4, 0, 2)))
    assert (tmp_path / "a.mrcs").read_bytes() == (tmp_path / "b.mrcs").read_bytes()


def test_types_and_strides_are_brought_to_float32(tmp_path, images):
    write_stack(tmp_path / "a.mrcs", images[::-1].astype(">f8"), 2.0)
    with mrcfile.open(tmp_path / "a.mrcs") as file:
        np.testing.assert_array_equal(file.data, images[::-1])


def test_old_pixels_are_kept_only_when_asked(tmp_path, images):
    path = tmp_path / "a.mrcs"
    write_stack(path, images, 2.0)
    with StackWriter(path, 6, 8, 2.0, keep_existing=True) as writer:
        writer.write(0, np.zeros((1, 8, 8), np.float32))
    with mrcfile.open(path) as file:
        assert not file.data[0].any()
        np.testing.assert_array_equal(file.data[1:], images[1:])
    with StackWriter(path, 6, 8, 2.0):
        pass
    with mrcfile.open(path) as file:
        assert not file.data.any()
    with StackWriter(path, 3, 8, 2.0, keep_existing=True):
        pass
    assert path.stat().st_size == 1024 + 3 * 256


def test_what_does_not_fit_is_refused(tmp_path, images):
    with StackWriter(tmp_path / "a.mrcs", 6, 8, 2.0) as writer:
        writer.write(6, images[:0])
        for start, block in ((1, images), (-1, images[:1]), (0, images[:, :4]), (0, images[0])):
            with pytest.raises(ValueError):
                writer.write(start, block)
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(0, images)
    for arguments in ((0, 8, 2.0), (6, 8, 0.0), (6, 8, float("nan"))):
        with pytest.raises(ValueError):
            StackWriter(tmp_path / "b.mrcs", *arguments)
    with pytest.raises(ValueError):
        write_stack(tmp_path / "b.mrcs", images[0], 2.0)


def test_folder_that_is_not_there(tmp_path, images):
    with pytest.raises(InputError, match=r"none/a\.mrcs: cannot be written"):
        write_stack(tmp_path / "none" / "a.mrcs", images, 2.0)
