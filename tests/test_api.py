"""The Python face: its examples run, it agrees with the commands, and it costs nothing until it is used."""

from __future__ import annotations

import doctest
import linecache
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import cryoalign
import cryoalign.jobs.loaded
from cryoalign import Poses, api
from helpers.align import phantom_set

ROOT = Path(__file__).parents[1]
NUMBER = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def letter(box: int = 32) -> np.ndarray:
    """The letter F: no turn and no mirror brings it onto itself."""
    image = np.zeros((32, 32), np.float32)
    image[8:24, 12:15] = image[21:24, 12:22] = image[15:18, 12:19] = 1.0
    return np.pad(image, (box - 32) // 2)


def noisy(image: np.ndarray, seed: int, count: int = 8) -> np.ndarray:
    """Copies of an image, turned at random, in a little noise."""
    return moved(image, np.random.default_rng(seed), count, shift_px=0.0)[0]


def moved(image: np.ndarray, rng: np.random.Generator, count: int, shift_px: float) -> tuple[np.ndarray, Poses]:
    """Copies of an image, turned and shifted at random, in a little noise; and the poses that bring them back."""
    truth = Poses(rng.uniform(-180, 180, count), *rng.uniform(-shift_px, shift_px, (2, count)))
    copies = api.resample(np.stack([image] * count), truth.inverse())
    return (copies + 0.1 * rng.standard_normal(copies.shape)).astype(np.float32), truth


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict:
    """What the examples find: the face itself, a letter, noisy copies, and a folder."""
    y, x = np.mgrid[:32, :32] - 16.0
    blob = np.exp(-((x / 3) ** 2) - ((y / 8) ** 2)).astype(np.float32)
    face = {name: getattr(cryoalign, name) for name in api.__all__}
    made = {"letter": letter(), "noisy_letters": noisy(letter(), 1), "noisy_blobs": noisy(blob, 2)}
    return face | made | {"np": np, "folder": tmp_path_factory.mktemp("examples")}


FUNCTIONS = ["read_particles", "align", "average", "neighbours", "classify", "synchronise", "run", "load_run"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_every_function_runs(name, names, monkeypatch):
    monkeypatch.chdir(ROOT)
    if name == "load_run":
        cryoalign.run("simulate", output=names["folder"] / "sim", count=64, box=32, pixel_size=6.0, overwrite=True)
    module = sys.modules[getattr(cryoalign, name).__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(cryoalign, name), name, module, globs=dict(names))
    if name == "run":
        example.globs["folder"] = names["folder"] / "run"
    assert 1 <= len(example.examples) <= 3
    result = doctest.DocTestRunner(optionflags=NUMBER).run(example)
    assert result.attempted > 0 and result.failed == 0


def test_every_name_of_the_face_is_there_and_has_words():
    assert set(api.__all__) <= set(dir(cryoalign))
    for name in api.__all__:
        assert getattr(cryoalign, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cryoalign.nothing  # noqa: B018


def test_the_package_is_light_until_something_is_asked_for():
    code = (
        "import sys, time; began = time.process_time(); import cryoalign; took = time.process_time() - began;"
        "heavy = {m for m in ('numpy', 'numba', 'pandas', 'matplotlib', 'scipy') if m in sys.modules};"
        "assert not heavy and took < 0.1, (heavy, took); assert cryoalign.Poses"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert (Path(cryoalign.__file__).parent / "py.typed").is_file()


def test_arrays_and_the_command_agree_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = phantom_set(130, 32, 4.0, snr=1.0, seed=3).write(tmp_path)
    done = cryoalign.run("align", "particles.star", output="out", reference="ref.mrcs", ctf=False, guard=False)
    images = made.images.astype(np.float32)
    told = {"ctf": False, "pixel_size_angstrom": 4.0}
    seen: list[tuple[int, int]] = []
    of_array = cryoalign.align(images, made.references, progress=lambda *at: seen.append(at), **told)
    of_table = cryoalign.align(cryoalign.read_particles("particles.star"), made.references, ctf=False, threads=2)
    for found in (of_table, of_array):
        np.testing.assert_allclose(found.poses.psi, done.particles.poses().psi, atol=1e-6)
        # Names decide about halves, and halves about the filter.
        assert np.corrcoef(found.averages.averages.ravel(), done.averages.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(of_table.averages.averages, done.averages)
    assert seen[-1] == (130, 130)
    again = cryoalign.average(images, of_array.poses, of_array.reference, pixel_size_angstrom=4.0)
    np.testing.assert_array_equal(again.averages, of_array.averages.averages)
    assert (done.command, done.exit_status, done.counts["aligned"]) == ("align", 0, 130)
    assert "<img" in done._repr_html_() and "cryoalign align" in done._repr_html_()
    assert len(done.table("averages.star")) == len(done.averages) == 1


def test_mistakes_are_one_line(tmp_path):
    with pytest.raises(cryoalign.InputError, match=r"no such setting.*speed"):
        cryoalign.align(np.zeros((3, 8, 8)), np.ones((8, 8)), speed=3)
    with pytest.raises(cryoalign.InputError, match="no run of cryoalign"):
        cryoalign.load_run(tmp_path)
    with pytest.raises(cryoalign.InputError, match="no such command"):
        cryoalign.run("dance", output=tmp_path)
    with pytest.raises(cryoalign.InputError, match="shape"):
        cryoalign.align(np.zeros((8, 8)), np.ones((8, 8)))
    with pytest.raises(cryoalign.InputError, match="unknown parameters of align"):
        cryoalign.run("align", "a.star", output=tmp_path / "x", reference="r.mrcs", speed=3)


def test_classify_speaks_of_the_rows_and_pixels_of_its_input():
    images, truth = moved(letter(48), np.random.default_rng(4), 22, shift_px=3.0)
    bad = [3, 9]
    images[bad] = np.nan
    found = cryoalign.classify(images, k=4, mirror=False, on_bad_image="skip", downsample=32)
    lists, good = found.neighbours, np.delete(np.arange(22), bad)
    assert lists.index.shape == (22, 4) and len(found.centre_px) == len(found.embedding) == len(found.graph) == 22
    assert (lists.index[bad] == -1).all() and (found.weight[bad] == 0).all() and np.isnan(found.quality[bad]).all()
    assert np.isinf(found.distance[bad]).all() and not found.centre_px[bad].any()
    j = lists.index[good].ravel()
    assert not set(bad) & set(j) and not set(bad) & set(found.graph.index[good].ravel())
    # Pose of j onto i: j onto the letter, and back to i.
    expected = truth.take(j).then(truth.take(np.repeat(good, 4)).inverse())
    poses = lists.poses(good)
    off = np.stack([poses.dx - expected.dx, poses.dy - expected.dy])
    assert np.abs(off).max() < 0.5
    assert np.hypot(expected.dx, expected.dy).max() > 4
    graph = cryoalign.neighbours(images, k=4, mirror=False, on_bad_image="skip")
    assert graph.n == 22 and set(graph.i) == set(good)


@pytest.mark.parametrize("name", ["align", "average", "neighbours", "classify"])
def test_warnings_are_at_the_line_of_the_caller(tmp_path, name):
    made = phantom_set(8, 32, 4.0, snr=1.0, seed=3)
    made.write(tmp_path)
    particles = cryoalign.read_particles(tmp_path / "particles.star")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        getattr(cryoalign, name)(particles, *([made.references] if name == "align" else []))  # this very line
    assert {Path(one.filename) for one in said} == {Path(__file__)}
    assert {linecache.getline(one.filename, one.lineno).split("#")[-1].strip() for one in said} == {"this very line"}
    assert any("the CTF is not corrected" in str(one.message) for one in said)
