"""Intensities, variance and centring: what was put into the particles is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryoalign.core.poses import Poses
from helpers.align import correlation, disc, flipped, optics, read_mrcs, results, star, table, write_mrcs
from helpers.average import PARTICLES, ClassSet, average, averages, class_set, pose_columns, set_cells
from helpers.blobs import Blobs, random_blobs

# ---- intensities ---------------------------------------------------------------------------------------------------


def with_intensities(folder, spread, seed=8, n=420) -> tuple[ClassSet, np.ndarray]:
    """Particles whose signal is multiplied by 1 + spread N(0, 1)."""
    made = class_set(folder, n, 48, 4.0, snr=0.25, seed=seed, ctf=True)
    factor = np.clip(1 + spread * np.random.default_rng(seed).standard_normal(n), 0.1, None)
    noise = made.made.images - made.made.clean
    images = (factor[:, None, None] * made.made.clean + noise).astype(np.float32)
    write_mrcs(folder / "particles.mrcs", images, 4.0)
    return made, factor


def test_intensities_are_recovered_and_the_averages_gain(tmp_path):
    made, factor = with_intensities(tmp_path, 0.45)
    average(tmp_path, PARTICLES, "-o", "out", "--ssnr", "1e7")
    before = [correlation(a, b, 18) for a, b in zip(averages(tmp_path), made.references, strict=True)]
    average(tmp_path, PARTICLES, "-o", "out", "--overwrite", "--scale", "--ssnr", "1e7")
    after = [correlation(a, b, 18) for a, b in zip(averages(tmp_path), made.references, strict=True)]
    found = table(tmp_path / "out/particles.star")["cryoalignScale"].astype(float).to_numpy()
    assert np.corrcoef(found, factor)[0, 1] > 0.93
    assert abs(found.mean() - 1) < 0.05 and 0.3 < found.std() < 0.5
    assert np.std(found - factor / factor.mean()) < 0.18
    # Variance of the error: 1 / (1 + 0.45^2) of what it was, 17 % less.
    gain = [(1 - b) / (1 - a) for b, a in zip(before, after, strict=True)]
    assert np.mean(gain) > 1.08


def test_a_spread_of_a_third_is_recovered(tmp_path):
    _, factor = with_intensities(tmp_path, 0.3, seed=9)
    average(tmp_path, PARTICLES, "-o", "out", "--scale")
    found = table(tmp_path / "out/particles.star")["cryoalignScale"].astype(float).to_numpy()
    assert np.corrcoef(found, factor)[0, 1] > 0.85
    assert 0.2 < found.std() < 0.36


def test_equal_intensities_stay_near_one(few):
    average(few.folder, PARTICLES, "-o", "out", "--scale")
    found = table(few.folder / "out/particles.star")["cryoalignScale"].astype(float).to_numpy()
    assert np.abs(found - 1).max() < 0.2
    # Everything else of the table is as it came.
    before, after = table(few.folder / PARTICLES), table(few.folder / "out/particles.star")
    assert [label for label in after if label not in before] == ["cryoalignScale"]
    for label in before:
        assert after[label].tolist() == before[label].tolist()


# ---- variance ------------------------------------------------------------------------------------------------------

PART = (9.0, -6.0)
"""Where the part is that half of the members have, in pixels from the centre."""


def with_a_part(folder, *, height, ctf=False, n=500, box=48):
    """One class of blobs; every second member has one blob more."""
    rng = np.random.default_rng(12)
    body = random_blobs(rng, 11, count=9)
    part = Blobs(np.array([PART[0]]), np.array([PART[1]]), np.array([1.8]), np.array([height]))
    poses = Poses(rng.uniform(-180, 180, n), *rng.uniform(-1.5, 1.5, (2, n)), rng.random(n) < 0.5)
    where = (poses.psi, poses.dx, poses.dy, poses.mirror)
    clean = body.images(box, *where)
    clean[::2] += part.images(box, *where)[::2]
    columns = {}
    if ctf:
        from cryoalign.core.ctf import CtfParameters, ctf_images

        u = np.round(rng.uniform(10000, 20000, n), 2)
        columns = {"rlnDefocusU": u, "rlnDefocusV": u - 500, "rlnDefocusAngle": np.round(rng.uniform(0, 180, n), 2)}
        values = ctf_images(CtfParameters(300.0, 2.7, 0.1, u, u - 500, columns["rlnDefocusAngle"]), box, 4.0)
        clean = np.fft.irfft2(np.fft.rfft2(clean) * values, s=(box, box))
    write_mrcs(folder / "particles.mrcs", (clean + rng.standard_normal(clean.shape)).astype(np.float32), 4.0)
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(n)]
    star(
        folder / PARTICLES, optics=optics(box, 4.0),
        particles={
            "rlnImageName": names, "rlnOpticsGroup": 1, "rlnClassNumber": 1, **columns, "rlnAnglePsi": poses.psi,
            "rlnOriginXAngst": poses.dx * 4, "rlnOriginYAngst": poses.dy * 4, "rlnIsFlip": poses.mirror.astype(int),
        },
    )  # fmt: skip
    y, x = np.mgrid[:box, :box] - box // 2
    return np.hypot(x - PART[0], y - PART[1])


@pytest.mark.parametrize("options", ["", "--no-normalize", "--plain"])
def test_a_part_that_half_of_the_members_have_lights_up(tmp_path, options):
    distance = with_a_part(tmp_path, height=1.5)
    average(tmp_path, PARTICLES, "-o", "out", "--variance", *options.split(), "--mask-diameter", 150)
    found = averages(tmp_path, "variance_maps.mrcs")[0]
    far = (distance > 7) & disc(48, 22)
    assert found[distance < 1.5].mean() > 1.35
    assert abs(found[far].mean() - 1) < 0.04
    assert found[far].max() < 1.3 < found[distance < 1].min()


def test_with_a_ctf_the_part_is_still_where_the_variance_is(tmp_path):
    distance = with_a_part(tmp_path, height=2.5, ctf=True)
    average(tmp_path, PARTICLES, "-o", "out", "--variance", "--mask-diameter", 150)
    found = gaussian_filter(averages(tmp_path, "variance_maps.mrcs")[0], 1.0)
    assert distance.ravel()[np.argmax(found)] < 2
    far = (distance > 9) & disc(48, 22)
    assert abs(found[far].mean() - 1) < 0.06
    assert found[far].max() - 1 < 0.4 * (found.max() - 1)


def test_members_that_are_alike_have_the_variance_of_noise(few):
    average(few.folder, PARTICLES, "-o", "out", "--variance")
    inside = disc(48, 18)
    for image in averages(few.folder, "variance_maps.mrcs"):
        assert abs(image[inside].mean() - 1) < 0.06
        assert gaussian_filter(image, 2)[inside].max() < 1.3


# ---- centring ------------------------------------------------------------------------------------------------------


def centre_of_mass(image: np.ndarray, radius: float) -> np.ndarray:
    """Positive density of a smoothed picture within a radius, against the mean outside, without the code under test."""
    smooth = gaussian_filter(image.astype(np.float64), 1.5, mode="wrap")
    inside = disc(len(image), radius)
    density = np.clip(smooth - smooth[~inside].mean(), 0, None) * inside
    y, x = np.mgrid[: len(image), : len(image)] - len(image) // 2
    return np.array([(density * x).sum(), (density * y).sum()]) / density.sum()


def off_centre(folder, box, pixel=4.0, n=150):
    """True poses, but with every class displaced by some pixels of its own; returns its displacements."""
    made = class_set(folder, n, box, pixel, snr=1.0, seed=20, ctf=True, mirror=True, diameter=0.45 * box * pixel)
    shift = np.array([[4.0, -2.5], [-3.0, -3.0], [0.5, 5.0]])[made.made.view]
    moved = made.made.poses.recentred(*-shift.T)
    for label, value in (("rlnOriginXAngst", moved.dx), ("rlnOriginYAngst", moved.dy)):
        set_cells(folder / PARTICLES, label, np.round(value * pixel, 6))
    set_cells(folder / PARTICLES, "note", [f"row{i}" for i in range(n)])
    return made


@pytest.mark.parametrize("box", [64, 65])
def test_averages_come_to_the_centre_and_the_table_with_them(tmp_path, box):
    off_centre(tmp_path, box)
    average(tmp_path, PARTICLES, "-o", "before")
    average(tmp_path, PARTICLES, "-o", "out", "--recenter")
    before, after = (read_mrcs(tmp_path / name / "averages.mrcs") for name in ("before", "out"))
    radius = 0.4 * box
    assert min(np.hypot(*centre_of_mass(image, radius)) for image in before) > 2
    assert max(np.hypot(*centre_of_mass(image, radius)) for image in after) < 0.2
    # The table that was written gives the averages that were written.
    average(tmp_path, "out/particles.star", "-o", "again")
    again = read_mrcs(tmp_path / "again/averages.mrcs")
    np.testing.assert_array_equal(again, after)
    old, new = table(tmp_path / PARTICLES), table(tmp_path / "out/particles.star")
    assert list(old) == list(new)
    for label in old:
        assert (old[label].tolist() == new[label].tolist()) == (not label.startswith("rlnOrigin")), label
    rows = table(tmp_path / "out/averages.star", "averages")
    assert {"cryoalignMovedXAngst", "cryoalignMovedYAngst"} <= set(rows)
    nodes = table(tmp_path / "out/RELION_OUTPUT_NODES.star", "output_nodes")["rlnPipeLineNodeName"].tolist()
    assert nodes == ["out/averages.star", "out/particles.star"]


def test_the_move_that_is_stated_is_the_move(tmp_path):
    made = off_centre(tmp_path, 48)
    average(tmp_path, PARTICLES, "-o", "out", "--recenter")
    rows = table(tmp_path / "out/averages.star", "averages")
    x, y = (rows[f"cryoalignMoved{axis}Angst"].astype(float).to_numpy() / 4 for axis in "XY")
    placed = np.array([centre_of_mass(image, 19) for image in made.references])
    wanted = -np.array([[4.0, -2.5], [-3.0, -3.0], [0.5, 5.0]]) - placed
    np.testing.assert_allclose(np.stack([x, y], axis=1), wanted, atol=0.5)


def test_classes_that_were_not_asked_for_keep_their_origins(few):
    average(few.folder, PARTICLES, "-o", "out", "--recenter", "--classes", "5")
    old, new = table(few.folder / PARTICLES), table(few.folder / "out/particles.star")
    assert len(new) == len(old)
    same = old["rlnOriginXAngst"].astype(float).to_numpy() == new["rlnOriginXAngst"].astype(float).to_numpy()
    assert same[few.numbers != 5].all() and not same[few.numbers == 5].any()


def test_memberships_are_centred_in_their_own_table(tmp_path):
    made = off_centre(tmp_path, 48)
    particles = table(tmp_path / PARTICLES)
    labels = ["rlnClassNumber", "rlnImageName", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnIsFlip"]
    # Everything twice: once more in the classes 12, 15 and 16, where the mirror images are averaged.
    poses = Poses(*(particles[label].astype(float) for label in labels[2:5]), made.made.poses.mirror)
    other = poses.then(Poses([0.0], [0.0], [0.0], [True]))
    first = {label: particles[label].tolist() for label in labels}
    second = {
        "rlnClassNumber": made.numbers + 10, "rlnImageName": first["rlnImageName"], "rlnAnglePsi": other.psi,
        "rlnOriginXAngst": other.dx, "rlnOriginYAngst": other.dy, "rlnIsFlip": other.mirror.astype(int),
    }  # fmt: skip
    both = {label: [*first[label], *second[label]] for label in labels}
    star(tmp_path / "members.star", other={"kept": [1, 2]}, members=both | {"mark": np.arange(300)})
    average(tmp_path, PARTICLES, "-o", "out", "--members", "members.star", "--recenter", "--scale")
    found = averages(tmp_path)
    assert len(found) == 6
    assert max(np.hypot(*centre_of_mass(image, 19)) for image in found) < 0.2
    assert not (tmp_path / "out/particles.star").exists()
    new = table(tmp_path / "out/members.star", "members")
    assert new["mark"].tolist() == [str(i) for i in range(300)] and "cryoalignScale" in new
    assert table(tmp_path / "out/members.star", "other")["kept"].tolist() == ["1", "2"]
    for one, mirrored in zip(found[:3], found[3:], strict=True):
        assert correlation(flipped(mirrored[None])[0], one, 18) > 0.99
    average(tmp_path, PARTICLES, "-o", "again", "--members", "out/members.star")
    average(tmp_path, PARTICLES, "-o", "centred", "--members", "members.star", "--recenter")
    assert results(tmp_path / "again")["averages.mrcs"] == results(tmp_path / "centred")["averages.mrcs"]


# ---- robust means --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["median", "winsorised", "sigma-clip"])
def test_robust_means_shrug_off_what_spoils_the_mean(few, method):
    """Some particles have a bright scar: the plain mean has it, robust ones have not."""
    images = few.made.images.copy()
    images[:13] += 60 * np.exp(-((np.arange(48) - 30) ** 2) / 8)[:, None]
    write_mrcs(few.folder / "particles.mrcs", images, 4.0)
    average(few.folder, PARTICLES, "-o", "out", "--no-normalize")
    plain = [correlation(a, b, 18) for a, b in zip(averages(few.folder), few.references, strict=True)]
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--no-normalize", "--robust", method)
    robust = [correlation(a, b, 18) for a, b in zip(averages(few.folder), few.references, strict=True)]
    assert max(plain) < 0.9 < 0.96 < min(robust)


def test_a_median_of_noiseless_images_is_on_the_scale_of_the_view(tmp_path):
    """Amplitudes are restored: a median of phase-flipped images alone would be about 0.6 of it."""
    made = class_set(tmp_path, 150, 48, 4.0, snr=20, seed=4, ctf=True)
    average(tmp_path, PARTICLES, "-o", "out", "--robust", "median")
    for a, b in zip(averages(tmp_path), made.references, strict=True):
        inside = disc(48, 18)
        assert correlation(a, b, 18) > 0.99
        assert 0.93 < np.polyfit(b[inside], a[inside], 1)[0] < 1.07


def test_plain_medians_are_medians_of_the_aligned_images(few):
    labels = pose_columns(few.made)
    for label in labels:
        set_cells(few.folder / PARTICLES, label, None)
    words = ("--plain", "--interpolation", "nearest", "--no-normalize")
    average(few.folder, PARTICLES, "-o", "out", "--robust", "median", *words)
    for number, image in zip((2, 5, 6), averages(few.folder), strict=True):
        np.testing.assert_allclose(image, np.median(few.made.images[few.numbers == number], axis=0), atol=1e-6)
