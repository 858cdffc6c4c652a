"""The partition: every particle in one class, aligned without mirror, and images of exactly the rows of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.search.search import mirror_images
from helpers.align import read_mrcs, run, star, table
from helpers.true_neighbours import true_rotations
from helpers.view_runs import PARTICLES, PIXEL, Made, average_neighbours, clean_views, signal, simulate

N, BOX, VIEWS = 400, 48, 12


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Made]:
    """400 particles with CTF and shifts, SNR 0.5, among 12 views and their mirror images."""
    folder = simulate(tmp_path_factory.mktemp("partition"), N, BOX, "--ctf", "--snr", 0.5, "--shift-sd", 1.5)
    return folder, average_neighbours(folder, "out", 12, count=VIEWS, partition=True, jitter_deg=2, jitter_px=0.5)


def test_every_particle_is_in_one_class_without_mirror(made):
    folder, run_ = made
    data, given = table(folder / "out/run_data.star"), table(folder / PARTICLES)
    assert data["rlnImageName"].tolist() == given["rlnImageName"].tolist()
    classes = data["rlnClassNumber"].astype(int).to_numpy()
    m = len(run_.partition)
    assert VIEWS < m <= 2 * VIEWS
    assert set(classes) == set(range(1, m + 1))
    assert "rlnIsFlip" not in data
    assert (data["rlnDefocusU"] == given["rlnDefocusU"]).all()
    model = table(folder / "out/run_model.star", "model_classes")
    assert model["rlnReferenceImage"].tolist() == [f"{i + 1:06d}@out/run_classes.mrcs" for i in range(m)]
    share = model["rlnClassDistribution"].astype(float)
    np.testing.assert_allclose(share, np.bincount(classes)[1:] / N, atol=1e-6)
    assert read_mrcs(folder / "out/run_classes.mrcs").shape == (m, BOX, BOX)


def test_images_are_the_averages_of_exactly_their_rows(made):
    folder, _ = made
    ran = run(folder, "average", "-q", "-j", 1, "out/run_data.star", "-o", "again", "--overwrite")
    assert ran.status == 0, ran.lines
    assert (folder / "again/averages.mrcs").read_bytes() == (folder / "out/run_classes.mrcs").read_bytes()


def test_particles_of_a_class_show_its_view(made):
    """Views of one class lie together in truth, mirrored ones in classes of their own, and poses turn them alike."""
    folder, run_ = made
    part = run_.partition
    plain, mirrored, centre = true_rotations(folder / "sim/truth.star")
    seeds = run_.members.seeds[part.view]
    wanted = np.where(part.mirrored[:, None, None], mirrored[seeds], plain[seeds])
    mine = wanted[part.class_of]
    all_angles = np.rad2deg(np.arccos(np.clip(plain[:, 2] @ wanted[:, 2].T, -1, 1)))
    angle = all_angles[np.arange(N), part.class_of]
    # Few views leave particles between them, which resemble others as much; those near a view must be in its class.
    close = all_angles.min(axis=1) < 8
    assert close.sum() > 20
    assert np.mean(angle[close] < 25) >= 0.95
    assert np.median(angle) < 25
    relative = mine @ plain.transpose(0, 2, 1)
    psi = np.rad2deg(np.arctan2(relative[:, 1, 0] - relative[:, 0, 1], relative[:, 0, 0] + relative[:, 1, 1]))
    near = angle < 20
    error = (part.poses.psi - psi + 180)[near] % 360 - 180
    assert np.median(np.abs(error)) < 4
    off = np.hypot(part.poses.dx - centre[:, 0], part.poses.dy - centre[:, 1])[near]
    assert np.median(off) < 0.8


def test_class_images_look_like_their_views(made):
    folder, run_ = made
    part = run_.partition
    clean = clean_views(folder, run_.members.seeds)
    views = np.concatenate([clean, mirror_images(clean)])[part.view + VIEWS * part.mirrored]
    found = read_mrcs(folder / "out/run_classes.mrcs")
    correlation = (signal(views, 18) * signal(found, 18)).sum(axis=1)
    assert np.median(correlation) > 0.9


def test_small_classes_are_dissolved(made):
    folder, run_ = made
    sizes = np.bincount(run_.partition.class_of)
    least = int(np.sort(sizes)[3]) + 1
    fewer = average_neighbours(
        folder, "few", 12, classification=run_.classification, count=VIEWS, partition=True, min_class_size=least
    ).partition
    assert len(fewer) < len(run_.partition)
    assert np.bincount(fewer.class_of).min() >= least
    assert len(fewer.class_of) == N


def test_no_block_size_or_thread_changes_a_byte(made):
    folder, run_ = made
    average_neighbours(
        folder, "blocks", 12, classification=run_.classification, count=VIEWS, partition=True, block_size=64, threads=2
    )
    for name in ("run_data.star", "run_classes.mrcs"):
        assert (folder / "blocks" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_classes_and_mirrors_of_the_input_are_put_aside(made):
    folder, run_ = made
    given = table(folder / PARTICLES).to_dict("list")
    text = (folder / PARTICLES).read_text()
    more = {"rlnClassNumber": np.arange(N) % 7 + 1, "rlnIsFlip": np.ones(N, int), "rlnAnglePsi": np.full(N, 17.0)}
    try:
        star(folder / PARTICLES, optics=table(folder / PARTICLES, "optics").to_dict("list"), particles=given | more)
        average_neighbours(folder, "classed", 12, classification=run_.classification, count=VIEWS, partition=True)
    finally:
        (folder / PARTICLES).write_text(text)
    old, new = table(folder / "out/run_data.star"), table(folder / "classed/run_data.star")
    assert new["cryoalignClassNumberInput"].astype(int).tolist() == (np.arange(N) % 7 + 1).tolist()
    assert set(new["rlnIsFlip"]) == {"0"}
    for label in ("rlnClassNumber", "rlnAnglePsi", "rlnOriginXAngst"):
        assert new[label].tolist() == old[label].tolist()
    assert np.ptp(new["rlnOriginXAngst"].astype(float)) > PIXEL
