"""Pixels: any mode, byte order and packing, in any order, from any thread."""

import bz2
import gzip
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoalign.core.errors import InputError
from cryoalign.core.source import ImageSource
from cryoalign.io import stacks
from cryoalign.io.particles import read_particles
from cryoalign.io.stacks import StackSource, bad_images


def test_images_in_order_and_out_of_order(project, images):
    source = StackSource(read_particles(["particles.star"]))
    assert isinstance(source, ImageSource)
    assert (len(source), source.box) == (6, 8)
    for rows in ([0, 1, 2, 3, 4, 5], [5, 4, 3], [2, 2, 0, 1, 2], [], [3]):
        found = source.read(np.array(rows, dtype=np.int64))
        assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(found, images[rows])


def test_invert(project, images):
    source = StackSource(read_particles(["particles.star"]), invert=True)
    np.testing.assert_array_equal(source.read(np.arange(6)), -images)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    mode=st.sampled_from([0, 1, 2, 6, 12]),
    order=st.sampled_from("<>"),
    stamp=st.booleans(),
    extended=st.sampled_from([0, 80, 1001]),
    pack=st.sampled_from([None, gzip.compress, bz2.compress]),
    rows=st.lists(st.integers(0, 5), max_size=12),
    signed=st.booleans(),
)
def test_any_mode_and_byte_order(tmp_path_factory, mrc_file, images, mode, order, stamp, extended, pack, rows, signed):
    folder = tmp_path_factory.mktemp("stack")
    pixels = images - 50 if signed and mode != 6 else images + (60000 - 100 if mode == 6 else 0)
    path = mrc_file(folder / "a.mrcs", pixels, mode=mode, order=order, stamp=stamp, extended=extended)
    if pack is not None:
        path = folder / ("a.mrcs.gz" if pack is gzip.compress else "a.mrcs.bz2")
        path.write_bytes(pack((folder / "a.mrcs").read_bytes()))
    source = StackSource(read_particles([path]), scratch_dir=folder / "scratch")
    np.testing.assert_array_equal(source.read(np.array(rows, dtype=np.int64)), pixels[rows])


def test_large_runs_are_converted_piece_by_piece(tmp_path, mrc_file, monkeypatch):
    monkeypatch.setattr(stacks, "_CONVERT_BYTES", 300)
    pixels = np.random.default_rng(1).integers(-99, 99, (20, 8, 8)).astype(np.float32)
    source = StackSource(read_particles([mrc_file(tmp_path / "a.mrcs", pixels, mode=1)]))
    np.testing.assert_array_equal(source.read(np.arange(20)), pixels)


def test_several_stacks_from_several_threads(here, mrc_file, star_file, optics):
    rng = np.random.default_rng(2)
    pixels = {name: rng.normal(size=(5, 8, 8)).astype(np.float32) for name in ("a", "b", "c")}
    for name, stack in pixels.items():
        mrc_file(here / f"{name}.mrcs", stack)
    order = [(name, i) for i in range(5) for name in "cab"]
    star_file(here / "p.star", ["rlnImageName"], [[f"{i + 1}@{name}.mrcs"] for name, i in order], optics=optics)
    source = StackSource(read_particles(["p.star"]))
    expected = np.stack([pixels[name][i] for name, i in order])
    picks = [rng.integers(0, 15, 40) for _ in range(30)]
    with ThreadPoolExecutor(4) as pool:
        for rows, found in zip(picks, pool.map(source.read, picks), strict=True):
            np.testing.assert_array_equal(found, expected[rows])


def test_rows_out_of_range(project):
    source = StackSource(read_particles(["particles.star"]))
    for rows in ([6], [-1]):
        with pytest.raises(IndexError):
            source.read(np.array(rows))


def test_subset_reads_its_own_rows(project, images):
    source = StackSource(read_particles(["particles.star"]).take([4, 1]))
    np.testing.assert_array_equal(source.read(np.arange(2)), images[[4, 1]])


def test_packed_stack_is_unpacked_once(tmp_path, mrc_file, images):
    plain = mrc_file(tmp_path / "a.mrcs", images).read_bytes()
    (tmp_path / "a.mrcs.gz").write_bytes(gzip.compress(plain))
    particles = read_particles([tmp_path / "a.mrcs.gz"])
    StackSource(particles, scratch_dir=tmp_path / "scratch")
    (copy,) = (tmp_path / "scratch").iterdir()
    before = copy.stat().st_mtime_ns
    StackSource(particles, scratch_dir=tmp_path / "scratch")
    assert copy.stat().st_mtime_ns == before
    np.testing.assert_array_equal(StackSource(particles).read(np.arange(6)), images)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_truncated_packed_stack(tmp_path, mrc_file, pack):
    noise = np.random.default_rng(3).normal(size=(60, 40, 40))
    plain = mrc_file(tmp_path / "a.mrcs", noise).read_bytes()
    path = tmp_path / "a.mrcs.gz"
    path.write_bytes(pack(plain[:-100]))
    with pytest.raises(InputError, match=r"a\.mrcs\.gz: truncated"):
        StackSource(read_particles([path]), scratch_dir=tmp_path / "scratch")
    path.write_bytes(pack(plain)[:-2000])
    with pytest.raises(InputError, match=r"a\.mrcs\.gz: damaged"):
        StackSource(read_particles([path], angpix=2.0), scratch_dir=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_stack_that_shrinks_while_it_is_read(project, mrc_file, images):
    source = StackSource(read_particles(["particles.star"]))
    mrc_file(project / "stack.mrcs", images, cut=300)
    with pytest.raises(InputError, match=r"stack\.mrcs: became shorter"):
        source.read(np.arange(6))


def test_several_boxes_need_several_sources(here, mrc_file, images):
    mrc_file(here / "a.mrcs", images)
    mrc_file(here / "b.mrcs", np.ones((2, 4, 4)))
    particles = read_particles(["a.mrcs", "b.mrcs"])
    with pytest.raises(InputError, match="images of 4 and 8 px"):
        StackSource(particles)
    first, second = particles.groups_by_box()
    assert (first.box, second.box) == (8, 4)
    assert StackSource(particles.take(second.rows)).read(np.arange(2)).shape == (2, 4, 4)


def test_bad_images_are_named(images):
    images[1, 2, 3] = np.nan
    images[2] = 7
    images[4, 0, 0] = np.inf
    images[5, :2, 0] = -np.inf
    assert bad_images(images) == [
        (1, "1 pixels are NaN or infinite"),
        (2, "constant image (all pixels 7)"),
        (4, "1 pixels are NaN or infinite"),
        (5, "2 pixels are NaN or infinite"),
    ]
    assert bad_images(images[:1]) == []
    assert bad_images(images[:0]) == []
