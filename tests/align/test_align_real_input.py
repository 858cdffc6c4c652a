"""Real files that others made: they run, and what is known of them is recovered."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from helpers.align import (
    align,
    angle_difference,
    correlation,
    flipped,
    numbers,
    read_mrcs,
    rms,
    run,
    table,
    write_mrcs,
)

POSE = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


def warnings_of(folder: Path) -> str:
    """All warnings of a run as one text."""
    return " | ".join(json.loads((folder / "run.json").read_text())["warnings"])


def raw_images(path: Path) -> np.ndarray:
    """Read pixels whatever the header lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.open(path, permissive=True) as mrc:
            return np.array(mrc.data, np.float32)


def average_by(poses: Poses, images: np.ndarray) -> np.ndarray:
    """Average images after their poses, on a level of 0."""
    return resample(images - images.mean(axis=(1, 2), keepdims=True), poses).mean(axis=0, keepdims=True)


# ---- relion_project, shifted and centred -------------------------------------------------------------------------


@pytest.mark.parametrize("box", [64, 65])
def test_origins_of_relion_project_are_recovered(real_data, tmp_path, box):
    folder = real_data / "aspire"
    write_mrcs(tmp_path / "centred.mrcs", raw_images(folder / f"rln_proj_{box}_centered.mrcs"), 1.5)
    words = ("--reference", "centred.mrcs", "--max-shift-px", 14, "--mask-diameter", 0.7 * box * 1.5)
    write_mrcs(tmp_path / "shifted.mrcs", raw_images(folder / f"rln_proj_{box}_shifted.mrcs"), 1.5)
    align(tmp_path, "shifted.mrcs", *words, "-o", "out")
    psi, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    true_x, true_y = numbers(folder / f"rln_proj_{box}_shifted.star", "rlnOriginX", "rlnOriginY")
    classes = table(tmp_path / "out/particles.star")["rlnClassNumber"].astype(int)
    assert classes.tolist() == list(range(1, len(classes) + 1)) and np.hypot(true_x, true_y).max() > 8
    assert np.abs(x / 1.5 - true_x).max() < 0.05 and np.abs(y / 1.5 - true_y).max() < 0.05
    assert np.abs(angle_difference(psi, 0)).max() < 0.2
    assert ("odd" in warnings_of(tmp_path / "out")) == (box == 65)
    aligned, centred = read_mrcs(tmp_path / "out/aligned.mrcs"), read_mrcs(tmp_path / "centred.mrcs")
    for one, other in zip(aligned, centred, strict=True):
        assert correlation(one, other, 0.35 * box) > 0.995


@pytest.mark.parametrize("box", [64, 65])
def test_pixel_origins_in_a_table_of_31_are_where_the_search_begins(real_data, tmp_path, box):
    folder = real_data / "aspire"
    write_mrcs(tmp_path / "centred.mrcs", raw_images(folder / f"rln_proj_{box}_centered.mrcs"), 1.0)
    table_file = folder / f"rln_proj_{box}_shifted.star"
    align(tmp_path, table_file, "--reference", "centred.mrcs", "-o", "out", "--angpix", 1, "--max-shift-px", 1)
    _, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    true_x, true_y = numbers(table_file, "rlnOriginX", "rlnOriginY")
    assert np.abs(x - true_x).max() < 0.05 and np.abs(y - true_y).max() < 0.05


# ---- toy projections -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(real_data):
    """1000 images of 30 px, their rotations, 60 of them that have a close neighbour in view, and the neighbours.

    The rows of a rotation are the x, y and view directions of its image. The pixels are not moved by the translations
    that come with them (image centres do not follow them), so that the tests move them.
    """
    folder = real_data / "cryodrgn"
    known = np.load(folder / "toy_rot_trans.npz")
    rotation = known["rotation"].astype(float)
    view = rotation[:, 2]
    apart = np.degrees(np.arccos(np.clip(view @ view.T, -1, 1)))
    np.fill_diagonal(apart, 180)
    references: list[int] = []
    for one, other in zip(*np.unravel_index(np.argsort(apart, axis=None), apart.shape), strict=True):
        # Well apart from the other references, so that there is one right answer.
        if all(apart[one, r] > 12 and apart[other, r] > 12 and one != r for r in references):
            references.append(int(one))
        if len(references) == 60:
            break
    images = raw_images(folder / "toy_projections.mrc")
    return images, rotation, 30 * known["translation_fraction_of_box"], np.array(references), apart


def in_plane(rotation: np.ndarray, image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Angle psi that brings images onto references of nearly the same view."""
    x, y = (np.einsum("nj,nj->n", rotation[image, 0], rotation[reference, axis]) for axis in (0, 1))
    return np.degrees(np.arctan2(y, x))


@pytest.mark.parametrize("moved", [False, True], ids=["as they are", "moved"])
def test_known_rotations_and_shifts_of_toy_projections(toy, tmp_path, moved):
    images, rotation, translation, references, apart = toy
    shift = translation if moved else np.zeros_like(translation)
    stack = resample(images, Poses(np.zeros(1000), *(-shift.T))) if moved else images
    write_mrcs(tmp_path / "toy.mrcs", stack, 3.0)
    write_mrcs(tmp_path / "ref.mrcs", images[references], 3.0)
    align(tmp_path, "toy.mrcs", "--reference", "ref.mrcs", "-o", "out", "--max-shift-px", 6, "--mask-diameter", 84)
    psi, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    chosen = references[table(tmp_path / "out/particles.star")["rlnClassNumber"].astype(int).to_numpy() - 1]
    # A reference is its own best match, and comes back exactly.
    assert np.mean(chosen[references] == references) > 0.98
    own = references[chosen[references] == references]
    assert rms(angle_difference(psi[own], 0)) < 0.3
    assert rms(np.hypot(x[own] / 3 - shift[own, 0], y[own] / 3 - shift[own, 1])) < 0.05
    # Others with a reference within 4 degrees of their view.
    distance = apart[:, references].copy()
    distance[references] = 180
    near = np.flatnonzero(distance.min(axis=1) < 4)
    assert len(near) > 60
    right = near[chosen[near] == references[distance[near].argmin(axis=1)]]
    assert len(right) / len(near) > 0.95
    assert np.median(np.abs(angle_difference(psi[right], in_plane(rotation, right, chosen[right])))) < 1.5
    assert np.median(np.hypot(x[right] / 3 - shift[right, 0], y[right] / 3 - shift[right, 1])) < 0.25


def test_toy_projections_straight_from_the_file(toy, real_data, tmp_path):
    """An .mrc without map id, as a stack; the table names it .mrcs, which is not there."""
    folder = real_data / "cryodrgn"
    write_mrcs(tmp_path / "ref.mrcs", toy[0][toy[3]], 1.0)
    words = ("--reference", "ref.mrcs", "-o", "out", "--angpix", 1)
    align(tmp_path, folder / "toy_projections.mrc", *words, "--limit", 200)
    assert len(table(tmp_path / "out/particles.star")) == 200 and "map id" in warnings_of(tmp_path / "out")
    ran = align(tmp_path, folder / "toy_projections.star", *words, "--overwrite", status=1)
    assert (
        len(ran.lines) == 1 and "toy_projections.mrcs" in ran.lines[0] and "toy_projections.mrc exists" in ran.lines[0]
    )


# ---- particles from microscopes -----------------------------------------------------------------------------------


def numbers_of_30(path: Path) -> str:
    """Name of the particle block of the 3.0 file."""
    return next(line[5:].strip() for line in path.read_text().splitlines() if line.startswith("data_"))


@pytest.mark.parametrize("version", ["30", "31"])
def test_the_aspire_sample(real_data, tmp_path, version):
    folder = real_data / "aspire"
    old = folder / "sample_particles_relion30.star"
    before = table(old, numbers_of_30(old))
    psi, x, y = (before[label].astype(float).to_numpy() for label in ("rlnAnglePsi", "rlnOriginX", "rlnOriginY"))
    pixel = {"30": 1.338, "31": 1.4}[version]
    write_mrcs(tmp_path / "ref.mrcs", average_by(Poses(psi, x, y), raw_images(folder / "sample.mrcs")), pixel)
    align(tmp_path, folder / f"sample_particles_relion{version}.star", "--reference", "ref.mrcs", "-o", "out",
          "--lowpass", 25)  # fmt: skip
    particles, groups = table(tmp_path / "out/particles.star"), table(tmp_path / "out/particles.star", "optics")
    assert len(particles) == 17
    np.testing.assert_allclose(groups["rlnImagePixelSize"].astype(float), pixel, rtol=1e-4)
    assert set(groups["rlnImageSize"]) == {"200"}
    assert groups["rlnVoltage"].astype(float).tolist() == [300, 200]
    # Views differ and an image is 1/17 of its reference: most come back to where the table of a 3D refinement has them.
    found, found_x, found_y = numbers(tmp_path / "out/particles.star", *POSE)
    turned = np.abs(angle_difference(found, psi)) < 5
    assert turned.mean() > 0.75  # 1 in 36 would by chance
    assert np.median(np.hypot(found_x / pixel - x, found_y / pixel - y)[turned]) < 3
    said = warnings_of(tmp_path / "out")
    assert "found at, and written as" in said
    assert ("RELION 3.0" in said) == (version == "30")
    assert (
        particles["cryoalignClassNumberInput"].tolist()
        == (before if version == "30" else particles_of_31(folder))["rlnClassNumber"].tolist()
    )
    gain = bandpass(200, pixel, 25.0)
    ours, theirs = (apply_ring_gain(read_mrcs(tmp_path / f), gain)[0] for f in ("out/averages.mrcs", "ref.mrcs"))
    assert correlation(ours, theirs, 80) > 0.7


def particles_of_31(folder: Path):
    """The particle table of the 3.1 file."""
    return table(folder / "sample_particles_relion31.star")


@pytest.mark.parametrize("name", ["relion31.star", "relion31.v2.star"])
def test_filaments_with_a_local_search(real_data, tmp_path, name):
    folder = real_data / "cryodrgn"
    psi, x, y = numbers(folder / name, *POSE)
    pixel = 2.806
    images = raw_images(folder / "relion31.mrcs")
    write_mrcs(tmp_path / "ref.mrcs", average_by(Poses(psi, x / pixel, y / pixel), images), pixel)
    words = ("--reference", "ref.mrcs", "-o", "out", "--datadir", folder)
    align(tmp_path, folder / name, *words, "--local", 10, "--max-shift", 30)
    found, found_x, found_y = numbers(tmp_path / "out/particles.star", *POSE)
    assert np.abs(angle_difference(found, psi)).max() <= 10.01
    assert np.abs(angle_difference(found, psi)).max() < 3
    assert np.hypot(found_x - x, found_y - y).max() <= 30 + pixel
    said = warnings_of(tmp_path / "out")
    assert "map id" in said and "rlnAngleTilt" in said
    before, after = table(folder / name), table(tmp_path / "out/particles.star")
    for label in set(before) - {"rlnImageName", "rlnClassNumber", "rlnMaxValueProbDistribution", *POSE}:
        assert after[label].tolist() == before[label].tolist(), label
    align(tmp_path, folder / name, *words, "--local", 10, "--local-flip", "--max-shift", 30, "--overwrite")
    again = numbers(tmp_path / "out/particles.star", *POSE)[0]
    off = np.abs(angle_difference(again, psi))
    assert np.minimum(off, 180 - off).max() <= 10.01


def test_cryosparc_export_without_its_images(real_data, tmp_path):
    write_mrcs(tmp_path / "ref.mrcs", np.random.default_rng(1).normal(size=(1, 64, 64)).astype(np.float32), 1.0)
    source = real_data / "cryodrgn/cryosparc_J2_particles_exported.cs"
    ran = run(tmp_path, "align", "-q", source, "--reference", "ref.mrcs", "-o", "out")
    assert ran.status == 1 and len(ran.lines) == 1 and "not found" in ran.lines[0] and "--datadir" in ran.lines[0]


def test_xmipp_classes_as_references_and_particles(real_data, tmp_path):
    """Class-average-like images, turned and flipped, against themselves."""
    images = raw_images(real_data / "xmipp/smallStack.mrcs")
    write_mrcs(tmp_path / "ref.mrcs", images, 2.0)
    rng = np.random.default_rng(2)
    psi = rng.uniform(-180, 180, len(images))
    turned = resample(flipped(images), Poses(psi, *np.zeros((2, len(images)))))
    write_mrcs(tmp_path / "turned.mrcs", turned, 2.0)
    align(tmp_path, "turned.mrcs", "--reference", "ref.mrcs", "-o", "out", "--mirror")
    found = table(tmp_path / "out/particles.star")
    assert found["rlnClassNumber"].tolist() == [str(i + 1) for i in range(len(images))]
    assert set(found["rlnIsFlip"]) == {"1"}
    # Mirror first, then psi: turning the flipped image by psi is undone by flipping, then turning by psi.
    assert np.abs(angle_difference(found["rlnAnglePsi"].astype(float), psi)).max() < 1.0
