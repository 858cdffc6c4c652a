"""Averages of views: right pictures, from members with right poses, that ``average --members`` makes again to a bit."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.classification.classification import SignalTest
from helpers.align import read_mrcs, run, table
from helpers.view_runs import PARTICLES, PIXEL, Made, average_neighbours, clean_views, signal, simulate

FILES = ("averages.mrcs", "averages_half1.mrcs", "averages_half2.mrcs", "frc.star")
K = 12


@pytest.fixture(scope="module", params=[48, 49])
def made(request, tmp_path_factory) -> tuple[Path, Made]:
    """400 particles with CTF and shifts of 2 px, even and odd box, SNR 1; 30 views of 12 true neighbours."""
    folder = simulate(
        tmp_path_factory.mktemp(f"box{request.param}"), 400, request.param, "--ctf", "--snr", 1, "--shift-sd", 2
    )
    return folder, average_neighbours(folder, "out", K, count=30)


def reproduced(folder: Path, out: str, *words: object) -> None:
    """Hold that ``average --members`` makes the files of a run again."""
    ran = run(
        folder, "average", "-q", "-j", 1, PARTICLES, "--members", f"{out}/members.star", "-o", "again", "--overwrite",
        *words,
    )  # fmt: skip
    assert ran.status == 0, ran.lines
    for name in FILES:
        assert (folder / "again" / name).read_bytes() == (folder / out / name).read_bytes(), name


def test_averages_look_like_the_clean_projections_of_their_middle_particle(made):
    folder, run_ = made
    clean = signal(clean_views(folder, run_.members.seeds), 18)
    found = signal(read_mrcs(folder / "out/averages.mrcs"), 18)
    correlation = (clean * found).sum(axis=1)
    # Neighbours are up to 20 degrees away: the best of them, averaged without noise, do not reach 1 either.
    assert np.median(correlation) > 0.93
    assert correlation.min() > 0.8


def test_mirrored_members_lie_where_the_others_do(made):
    """Averages of mirrored and of plain members alone have the same centre: no shift by a pixel from flipping."""
    folder, run_ = made
    members = table(folder / "out/members.star", "members")
    flip = members["rlnIsFlip"].astype(int)
    assert 0.35 < flip.mean() < 0.65
    for number in (0, 1):
        kept = members[flip == number]
        text = "data_members\n\nloop_\n" + "".join(f"_{label}\n" for label in kept)
        rows = "".join(" ".join(row) + "\n" for row in kept.to_numpy().tolist())
        (folder / f"some{number}.star").write_text(text + rows)
        ran = run(
            folder, "average", "-q", "-j", 1, PARTICLES, "--members", f"some{number}.star", "--all", "-o",
            f"some{number}", "--overwrite",
        )  # fmt: skip
        assert ran.status == 0, ran.lines
    # All views in one: a round blob, whose centre is that of the particles.
    box = run_.found.averages.averages.shape[-1]
    offset = np.arange(box) - box // 2
    centres = []
    for number in (0, 1):
        blob = read_mrcs(folder / f"some{number}/averages.mrcs")[0].astype(float)
        blob = np.where(np.hypot(*np.meshgrid(offset, offset)) < 16, blob - np.percentile(blob, 30), 0).clip(0)
        centres.append([(blob.sum(axis=0) @ offset) / blob.sum(), (blob.sum(axis=1) @ offset) / blob.sum()])
    assert np.hypot(*np.subtract(*centres)) < 0.25


def test_members_are_the_neighbours_without_the_middle(made):
    folder, run_ = made
    members = table(folder / "out/members.star", "members")
    averages = table(folder / "out/averages.star", "averages")
    assert len(members) == 30 * K
    assert (averages["cryoalignCount"].astype(int) == K).all()
    seeds = averages["cryoalignSeedImage"].tolist()
    lists = run_.classification.neighbours
    names = run_.particles.image_names()
    for number, seed in enumerate(seeds, 1):
        here = members[members["rlnClassNumber"].astype(int) == number]
        assert here["rlnImageName"].tolist() == [names[j] for j in lists.index[names.index(seed)]]
        assert seed not in here["rlnImageName"].tolist()
        distance = here["cryoalignDistance"].astype(float).to_numpy()
        assert (np.diff(distance) >= 0).all()
    spread = averages["cryoalignViewSpread"].astype(float)
    wanted = np.sqrt((run_.classification.viewing_angle_deg[run_.members.seeds] ** 2).mean(axis=1))
    np.testing.assert_allclose(spread, wanted, rtol=1e-5)
    assert (np.diff(averages["cryoalignScore"].astype(float)) <= 0).all()


def test_members_make_the_averages_again(made, monkeypatch):
    folder, _ = made
    reproduced(folder, "out")
    monkeypatch.setattr("cryoalign.passes.average.plan._MEMORY_SHARE", 32)
    reproduced(folder, "out", "--block-size", 64, "--memory", "200M", "-j", 2)


def test_weights_and_moved_centres_are_in_the_members(made):
    folder, run_ = made
    weighted = replace(run_.classification, weight=np.linspace(1, 0.2, K, dtype=np.float32)[None].repeat(400, 0))
    average_neighbours(folder, "weighted", K, classification=weighted, count=10, recenter=True)
    assert (folder / "weighted/averages.mrcs").read_bytes() != (folder / "out/averages.mrcs").read_bytes()
    reproduced(folder, "weighted")
    moved = table(folder / "weighted/averages.star", "averages")
    shift = np.hypot(*moved[[f"cryoalignMoved{axis}Angst" for axis in "XY"]].astype(float).to_numpy().T)
    assert 0.1 < shift.max() < 4 * PIXEL
    members = table(folder / "weighted/members.star", "members")
    assert members["cryoalignWeight"].astype(float).to_numpy()[:K] == pytest.approx(np.linspace(1, 0.2, K), abs=1e-6)


def test_no_plan_of_the_work_changes_a_byte(made, monkeypatch):
    folder, run_ = made
    wanted = [(folder / "out" / name).read_bytes() for name in (*FILES, "members.star", "averages.star")]
    monkeypatch.setattr("cryoalign.passes.average.plan.BLOCK_BYTES", 7 * 60_000)
    average_neighbours(folder, "out", K, classification=run_.classification, count=30, block_size=64, threads=2)
    found = [(folder / "out" / name).read_bytes() for name in (*FILES, "members.star", "averages.star")]
    assert found == wanted


def test_every_particle_gets_its_average(made):
    folder, run_ = made
    every = average_neighbours(folder, "every", K, classification=run_.classification, every=True)
    assert len(every.members) == len(every.particles) == 400
    assert (every.members.seeds == np.arange(400)).all()
    all_averages = read_mrcs(folder / "every/averages_half1.mrcs")
    np.testing.assert_array_equal(all_averages[run_.members.seeds], read_mrcs(folder / "out/averages_half1.mrcs"))
    reproduced(folder, "every")


def test_rings_that_chose_the_members_are_no_evidence(made):
    folder, run_ = made
    frc = table(folder / "out/frc.star", "class_000001")
    kinds = frc["cryoalignFrcKind"].tolist()
    assert kinds == ["frc_common_reference"] * 19 + ["independent"] * (len(kinds) - 19)
    silent = replace(run_.classification, signal=SignalTest(1.0, 0.0, False))
    average_neighbours(folder, "silent", K, classification=silent, count=5)
    averages = table(folder / "silent/averages.star", "averages")
    assert set(averages["cryoalignFrcKind"]) == {"frc_common_reference"}
    assert set(averages["rlnEstimatedResolution"].astype(float)) == {999.0}
    reproduced(folder, "silent")


def test_a_shared_resolution_that_is_none_is_refused(made):
    folder, _ = made
    text = (folder / "out/members.star").read_text()
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if line[:1].isdigit())
    lines[row] = "\t".join([*lines[row].split("\t")[:-1], "-1"])
    (folder / "wrong.star").write_text("\n".join(lines) + "\n")
    ran = run(folder, "average", "-q", PARTICLES, "--members", "wrong.star", "-o", "wrong")
    assert ran.status == 1
    assert f"wrong.star:{row + 1}: " in ran.errors[0]
    with contextlib.suppress(FileNotFoundError):
        assert not (folder / "wrong/averages.mrcs").exists()
