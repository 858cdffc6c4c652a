"""Prepared images: white noise of variance 1 whatever the input's, CTF signs undone, one geometry, the same bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.ctf import ctf_images
from cryoalign.core.errors import InputError
from cryoalign.core.filters import fourier_resize
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.prepared import Prepared, prepare
from cryoalign.passes.prepare.settings import ComparisonParameters
from cryoalign.passes.reading import read_table
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from helpers.align import correlation, optics, phantom_set, star, write_mrcs


class Stopped(Exception):
    """Ends a run before its commit."""


def prepared(folder: Path, *, keep: list | None = None, **options) -> Prepared:
    """Prepare particles.star of a folder; images come back in memory."""
    with contextlib.chdir(folder):
        p = ComparisonParameters(inputs=(Path("particles.star"),), output=Path("out"), **options)
        values = {"overwrite": not p.resume and Path("out").exists(), "resume": p.resume}
        with (
            contextlib.suppress(Stopped),
            RunDirectory.begin(
                p.output,
                command="test",
                argv=[],
                parameters={},
                reads=Reads(particles=p.inputs),
                **values,
                verbosity=-1,
                threads=p.threads,
            ) as run,
        ):
            images = ParticleImages.of(read_table(p, run), p, scratch=run.scratch("unpacked"), warn=run.warn)
            found = prepare(p, images, run, block_size=p.block_size)
            if keep is not None:
                keep += run.warnings
            object.__setattr__(found, "images", np.array(found.images))
            raise Stopped
    return found


def power(images: np.ndarray) -> np.ndarray:
    """Mean power of every Fourier pixel, 1 for white noise of variance 1."""
    return (np.abs(np.fft.fft2(images.astype(float))) ** 2).mean(axis=0) / images.shape[-1] ** 2


def coloured(n: int, box: int, seed: int) -> np.ndarray:
    """Noise whose spectrum falls by a factor of 11 towards high frequencies, about a level of 30."""
    k = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None, :])
    noise = np.random.default_rng(seed).standard_normal((n, box, box))
    return 30 + np.fft.irfft2(np.fft.rfft2(noise) * np.sqrt(4 * (0.1 + np.exp(-((k / 0.12) ** 2)))), s=(box, box))


def write_set(folder: Path, images: np.ndarray, pixel: float = 3.0, **columns) -> None:
    """Write particles.star and particles.mrcs."""
    write_mrcs(folder / "particles.mrcs", images.astype(np.float32), pixel)
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(len(images))]
    star(folder / "particles.star", optics=optics(images.shape[-1], pixel),
         particles={"rlnImageName": names, "rlnOpticsGroup": 1, **columns})  # fmt: skip


@pytest.mark.parametrize("box", [64, 65])
def test_coloured_noise_becomes_white_with_variance_one(tmp_path, box):
    write_set(tmp_path, coloured(700, box, 1))
    found = prepared(tmp_path, ctf=False)
    assert found.images.shape == (700, 32, 32) and found.images.dtype == np.float32
    spectrum = power(found.images)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(32) * 32, np.fft.fftfreq(32) * 32))
    assert abs(spectrum[k > 1.5].mean() - 1) < 0.02
    for low in (2, 5, 9, 13):
        assert abs(spectrum[(k >= low) & (k < low + 3)].mean() - 1) < 0.05
    assert np.abs(found.images.mean()) < 0.05


def test_without_whitening_the_mean_noise_is_one(tmp_path):
    write_set(tmp_path, coloured(300, 64, 2))
    spectrum = power(prepared(tmp_path, ctf=False, whiten=False, downsample=64).images)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(64) * 64, np.fft.fftfreq(64) * 64))
    rings = [spectrum[(k >= r - 0.5) & (k < r + 0.5)].mean() for r in range(1, 33)]
    assert abs(np.mean(rings) - 1) < 0.05
    assert rings[1] > 8 * rings[-1]


def test_small_boxes_stay(tmp_path):
    write_set(tmp_path, coloured(80, 24, 3))
    found = prepared(tmp_path, ctf=False)
    assert found.images.shape == (80, 24, 24)
    assert abs(found.images.var() - 1) < 0.04


@pytest.fixture(scope="module")
def with_ctf():
    """90 particles with CTF, almost no noise."""
    return phantom_set(90, 64, 3.0, snr=300, seed=6, views=2, ctf=True)


def test_the_signs_of_the_ctf_are_undone(with_ctf, tmp_path):
    with_ctf.write(tmp_path)
    found = prepared(tmp_path, whiten=False).images
    signs = np.sign(ctf_images(with_ctf.ctf, 64, 3.0))
    flipped = np.fft.irfft2(np.fft.rfft2(with_ctf.images) * signs, s=(64, 64))
    expected = fourier_resize(flipped - flipped.mean(axis=(1, 2), keepdims=True), 32)
    for n in range(5):
        assert correlation(found[n], expected[n]) > 0.995
    untouched = prepared(tmp_path, whiten=False, ctf=False).images
    plain = fourier_resize(with_ctf.images, 32)
    assert min(correlation(untouched[n], plain[n]) for n in range(5)) > 0.995
    assert correlation(found[0], untouched[0]) < 0.98


@pytest.mark.parametrize(
    ("column", "gain", "least"),
    [("rlnCtfDataArePhaseFlipped", np.sign, 0.9999), ("rlnCtfDataAreCtfPremultiplied", lambda c: c, 0.99)],
)
def test_data_that_were_corrected_before_are_not_corrected_twice(tmp_path, column, gain, least):
    made = phantom_set(300, 64, 3.0, snr=1.0, seed=8, ctf=True)
    (tmp_path / "raw").mkdir()
    made.write(tmp_path / "raw")
    values = gain(ctf_images(made.ctf, 64, 3.0))
    corrected = np.fft.irfft2(np.fft.rfft2(made.images) * values, s=(64, 64)).astype(np.float32)
    write_mrcs(tmp_path / "particles.mrcs", corrected, 3.0)
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(300)]
    star(tmp_path / "particles.star", optics=optics(64, 3.0, **{column: 1}),
         particles={"rlnImageName": names, "rlnOpticsGroup": 1, **made.columns})  # fmt: skip
    # A plane that is taken off after phases were flipped is another one.
    raw, found = (prepared(path, normalize=False).images for path in (tmp_path / "raw", tmp_path))
    assert min(correlation(raw[n], found[n]) for n in range(20)) > least
    assert abs(found.var() / raw.var() - 1) < 0.1


def test_inverted_contrast(with_ctf, tmp_path):
    with_ctf.write(tmp_path)
    np.testing.assert_array_equal(prepared(tmp_path, invert=True).images, -prepared(tmp_path).images)


def test_other_boxes_and_pixel_sizes_come_to_one(tmp_path):
    """The same views at 3 A and 64 px, 2 A and 110 px, 4 A and 40 px."""
    sets = [(96, 64, 3.0), (40, 110, 2.0), (40, 40, 4.0)]
    made = [phantom_set(n, box, pixel, snr=20, seed=4, shift_sd=0, diameter=110) for n, box, pixel in sets]
    names, groups = [], []
    for g, one in enumerate(made):
        write_mrcs(tmp_path / f"s{g}.mrcs", one.images, one.pixel)
        names += [f"{i + 1:06d}@s{g}.mrcs" for i in range(len(one.images))]
        groups += [g + 1] * len(one.images)
    about = [optics(box, pixel) for _, box, pixel in sets]
    table = {label: [one[label] for one in about] for label in about[0]}
    table |= {"rlnOpticsGroup": [1, 2, 3], "rlnOpticsGroupName": ["a", "b", "c"]}
    star(tmp_path / "particles.star", optics=table, particles={"rlnImageName": names, "rlnOpticsGroup": groups})
    said: list[str] = []
    found = prepared(tmp_path, ctf=False, whiten=False, mask_diameter=130.0, keep=said)
    assert (found.plan.raw_box, found.plan.raw_pixel_size, found.plan.pixel_size_angstrom) == (64, 3.0, 6.0)
    assert any("3 geometries" in text for text in said)
    for g, start in ((0, 0), (1, 96), (2, 136)):
        for n in range(3):
            own = _centre_of_mass(made[g].clean[n]) * sets[g][2] / 6.0
            np.testing.assert_allclose(_centre_of_mass(found.images[start + n]), own, atol=0.2)
            extent = _extent(made[g].clean[n]) * sets[g][2] / 6.0
            np.testing.assert_allclose(_extent(found.images[start + n]), extent, rtol=0.06)


def _dense(image: np.ndarray) -> np.ndarray:
    return np.clip(image - 0.3 * image.max(), 0, None)


def _extent(image: np.ndarray) -> float:
    """Root mean square distance of the dense part from its centre of mass, in pixels."""
    box, (cx, cy) = image.shape[-1], _centre_of_mass(image)
    y, x = np.mgrid[:box, :box] - box // 2
    return float(np.sqrt((_dense(image) * ((x - cx) ** 2 + (y - cy) ** 2)).sum() / _dense(image).sum()))


def _centre_of_mass(image: np.ndarray) -> np.ndarray:
    box = image.shape[-1]
    y, x = np.mgrid[:box, :box] - box // 2
    dense = _dense(image)
    return np.array([(dense * x).sum(), (dense * y).sum()]) / dense.sum()


def test_particles_that_cannot_come_to_one_geometry_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for g, (box, n) in enumerate([(64, 9), (24, 4)]):
        write_mrcs(tmp_path / f"s{g}.mrcs", rng.standard_normal((n, box, box)).astype(np.float32), 3.0)
    names = [f"{i + 1:06d}@s0.mrcs" for i in range(9)] + [f"{i + 1:06d}@s1.mrcs" for i in range(4)]

    def write(box: int, pixel: float) -> None:
        two = [optics(64, 3.0), optics(box, pixel)]
        table = {label: [one[label] for one in two] for label in two[0]} | {"rlnOpticsGroup": [1, 2]}
        table["rlnOpticsGroupName"] = ["a", "b"]
        star(tmp_path / "particles.star", optics=table,
             particles={"rlnImageName": names, "rlnOpticsGroup": [1] * 9 + [2] * 4})  # fmt: skip

    write(24, 3.0)
    with pytest.raises(InputError, match="row 10: images of 24 px at 3 A are smaller than the particle's mask"):
        prepared(tmp_path, ctf=False)
    write(24, 8.0)
    with pytest.raises(InputError, match=r"row 10: .* too coarse to be compared at 6 A; give --downsample 24"):
        prepared(tmp_path, ctf=False)


def test_same_bytes_for_any_threads_blocks_and_after_a_stop(tmp_path):
    phantom_set(200, 48, 4.0, snr=0.3, seed=5, ctf=True, coloured=True).write(tmp_path)
    whole = prepared(tmp_path, block_size=512).images
    np.testing.assert_array_equal(prepared(tmp_path, threads=2, block_size=64).images, whole)
    # Half of the parts are lost, as after a kill.
    for part in sorted((tmp_path / "out/.cryoalign/prepared-parts").glob("part-*.npz"))[::2]:
        part.unlink()
    np.testing.assert_array_equal(prepared(tmp_path, threads=2, block_size=64, resume=True).images, whole)


def test_unusable_images_are_errors_or_left_out(tmp_path):
    images = coloured(70, 32, 9)
    images[3], images[66, 2, 2] = 7.0, np.nan
    with pytest.warns(RuntimeWarning, match="NaN"):  # mrcfile's, while the file is made
        write_set(tmp_path, images)
    with pytest.raises(InputError, match=r"row 4: .*constant.*000004@particles.mrcs"):
        prepared(tmp_path, ctf=False)
    found = prepared(tmp_path, ctf=False, on_bad_image="skip")
    assert found.rows.tolist() == [n for n in range(70) if n not in (3, 66)]
    assert {n: int(code) for n, code in enumerate(found.look["reason"]) if code} == {3: 2, 66: 1}
    assert np.isfinite(found.images).all() and len(found.images) == 68
    clean = images.copy()
    clean[[3, 66]] = images[[4, 67]]
    write_set(tmp_path, clean)
    again = prepared(tmp_path, ctf=False)
    assert correlation(found.images[3], again.images[4]) > 0.999


def test_too_few_particles(tmp_path):
    write_set(tmp_path, coloured(3, 32, 9))
    with pytest.raises(InputError, match="only 3 usable particles"):
        prepared(tmp_path, ctf=False)


def test_identical_images_are_named(tmp_path):
    images = coloured(20, 32, 9)
    images[7], images[12] = images[2], images[2]
    write_set(tmp_path, images)
    said: list[str] = []
    prepared(tmp_path, ctf=False, keep=said)
    assert [text for text in said if "rows 8 = 3, 13 = 3" in text and text.startswith("2 images are identical")]
