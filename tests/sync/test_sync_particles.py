"""From images to one frame: particles of a single view, their graph, ``sync``, and the average of what it wrote."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from helpers.align import Ran, angle_difference, correlation, numbers, read_mrcs, rms, run, star, table
from helpers.sync import angles, apart, record, sync

PIXEL = 4.0


def poses_in(path) -> Poses:
    """Return the poses of a particle table, in pixels, read without the code under test."""
    psi, x, y, flip = numbers(path, "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnIsFlip")
    return Poses(psi, x / PIXEL, y / PIXEL, flip)


def test_a_single_view_comes_into_one_frame_and_the_wrong_sign_does_not(one_view):
    folder, made = one_view
    sync(folder, "Near/graph.npz")
    found = poses_in(folder / "out" / "particles.star")
    truth = made.poses
    # The frame is free: one rotation, and one handedness.
    other = found.mirror != truth.mirror
    turned = other.mean() > 0.5
    assert min(other.mean(), 1 - other.mean()) < 0.03
    right = other == turned
    true = truth.then(Poses([0], [0], [0], [turned]))
    # (The mirror image of the common frame turns every psi about.)
    good = np.abs(apart(found.psi[right], true.psi[right]))
    assert np.median(good) < 3 and rms(np.clip(good, 0, 30)) < 6
    assert np.median(np.abs(apart(found.psi[right], -true.psi[right]))) > 45
    # Origins: where the pose carries the true centre of the particle, which its own image has at -F^m d.
    step = found.take(right).then(true.take(right).inverse()).then(true.take(right))
    x, y = step.apply_to_points(*true.take(right).inverse().apply_to_points(0.0, 0.0))
    assert rms(np.hypot(x - np.median(x), y - np.median(y))) < 0.8
    assert record(folder)["counts"]["signal"]


def test_average_of_what_sync_writes_is_the_view(one_view):
    folder, made = one_view
    sync(folder, "Near")
    assert run(folder, "average", "-q", "-j", 1, "out/particles.star", "-o", "Averages").status == 0
    average = read_mrcs(folder / "Averages" / "averages.mrcs")
    assert len(average) == 1
    # Bring the clean view onto the average: a search over angle, handedness and small shifts.
    assert best_correlation(average[0], made.references[0]) > 0.9


def best_correlation(average: np.ndarray, view: np.ndarray) -> float:
    """Return the largest correlation within 16 px over turns of the view by 2 degrees, its flip, and shifts."""
    from cryoalign.core.resample.resample import resample

    angle = np.arange(0, 360, 2.0)
    best = -1.0
    for flip in (False, True):
        many = Poses(angle, np.zeros(180), np.zeros(180), np.full(180, flip))
        for turned in resample(np.broadcast_to(view, (180, *view.shape)).copy(), many):
            moved = np.fft.ifft2(np.fft.fft2(average) * np.conj(np.fft.fft2(turned))).real
            dy, dx = np.unravel_index(np.argmax(moved), moved.shape)
            best = max(best, correlation(average, np.roll(turned, (dy, dx), (0, 1)), 16))
    return best


def test_input_columns_are_kept_classes_are_components_and_psi_follows_the_input(one_view):
    folder, made = one_view
    n = len(made.images)
    first = angle_difference(made.poses.psi + 25, 0)
    made.write(
        folder, rlnAnglePsi=np.round(first, 4), rlnAngleRot=[11] * n, rlnAngleTilt=[40] * n, rlnClassNumber=[7] * n,
        rlnIsFlip=made.poses.mirror.astype(int), rlnMicrographName=["m.mrc"] * n, wrongColumn=range(n),
    )  # fmt: skip
    ran = run(folder, "sync", "-j", 1, "Near", "-o", "out")
    assert ran.status == 0
    found, before = table(folder / "out" / "particles.star"), table(folder / "particles.star")
    for label in ("rlnImageName", "rlnMicrographName", "wrongColumn", "rlnAngleRot", "rlnAngleTilt", "rlnDefocusU"):
        assert found[label].tolist() == before[label].tolist()
    assert found.cryoalignClassNumberInput.tolist() == ["7"] * n and set(found.rlnClassNumber) == {"1"}
    assert (found.rlnIsFlip.astype(int) == made.poses.mirror).mean() > 0.97  # the input's handedness decides
    gap = angle_difference(found.rlnAnglePsi.astype(float), first)
    good = np.abs(gap) < 30
    assert good.mean() > 0.8 and abs(np.mean(gap[good])) < 3
    assert any("rlnAngleTilt is not 0" in line for line in ran.lines)
    assert any("RELION does not apply it" in line for line in ran.lines)
    names = angles(folder).rlnImageName
    assert names.tolist() == before.rlnImageName.tolist()


def test_a_graph_without_mirrors_and_shifts_keeps_origins_and_clears_an_old_flip(one_view):
    folder, made = one_view
    n = len(made.images)
    made.write(folder, rlnIsFlip=[1] * n, rlnOriginXAngst=range(n), rlnOriginYAngst=[2] * n)
    rows = np.arange(1, n + 1)
    hops = [(i, i + hop) for hop in (1, 7, 50) for i in range(1, n + 1 - hop)]
    columns = {"i": [i for i, _ in hops], "j": [j for _, j in hops], "angle": [10 * (j - i) for i, j in hops]}
    star(folder / "e.star", edges=columns)
    sync(folder, "e.star", "--particles", "particles.star", "--allow-no-signal")
    found = table(folder / "out" / "particles.star").astype({"rlnAnglePsi": float})
    assert set(found.rlnIsFlip) == {"0"}
    assert found.rlnOriginXAngst.astype(float).tolist() == list(range(n)) and "cryoalignConfidence" in found
    np.testing.assert_allclose(angle_difference(found.rlnAnglePsi, 10 * (rows - 1)), 0, atol=0.05)


def test_particles_without_edges_go_to_skipped_star(one_view):
    folder, made = one_view
    n = len(made.images)
    names = table(folder / "particles.star").rlnImageName.tolist()
    (folder / "e.csv").write_text(f"i,j,angle\n{names[4]},{names[2]},30\n{names[2]},{names[9]},5\n")
    sync(folder, "e.csv", "--particles", "particles.star", "--allow-no-signal", "--anchor", f"{names[2]}=12")
    kept, skipped = table(folder / "out" / "particles.star"), table(folder / "out" / "skipped.star")
    assert kept.rlnImageName.tolist() == [names[2], names[4], names[9]]
    np.testing.assert_allclose(kept.rlnAnglePsi.astype(float), [12, -18, 17], atol=0.01)
    assert len(skipped) == n - 3 and set(skipped.cryoalignReason) == {"no edges, so no angle"}
    found = angles(folder)
    assert found.cryoalignNode.tolist() == names and found.cryoalignIsolated.sum() == n - 3


def test_particles_are_found_from_another_folder_and_after_a_move(one_view):
    folder, _ = one_view
    (folder.parent / "elsewhere").mkdir()
    ran = run(folder.parent / "elsewhere", "sync", "-q", "-j", 1, "../one-view/Near", "-o", "out")
    assert ran.status == 0 and len(table(folder.parent / "elsewhere" / "out" / "particles.star")) == 200
    # Named by hand, in a folder of another name.
    shutil.copytree(folder, folder.parent / "moved")
    shutil.rmtree(folder)
    ran = run(folder.parent, "sync", "-q", "-j", 1, "moved/Near", "-o", "out", "--particles", "moved/particles.star")
    assert ran.status == 0
    assert table(folder.parent / "out" / "particles.star").rlnImageName[0] == "000001@moved/particles.mrcs"


def test_particles_that_are_gone_or_others_are_said_and_not_used(one_view):
    folder, _ = one_view
    (folder / "particles.star").rename(folder / "renamed.star")
    run_json = folder / "Near" / "run.json"
    run_json.write_text(re.sub(r'"working_directory": "[^"]*"', '"working_directory": "/gone"', run_json.read_text()))
    ran = run(folder, "sync", "-q", "-j", 1, "Near", "-o", "out")
    assert ran.status == 0 and len(ran.lines) == 1
    assert "no particles.star" in ran.lines[0] and "particles.star: not found from here" in ran.lines[0]
    assert not (folder / "out" / "particles.star").exists() and (folder / "out" / "angles.star").exists()
    names = [f"{k + 1:06d}@particles.mrcs" for k in range(200)][::-1]
    star(folder / "other.star", particles={"rlnImageName": names, "rlnMagnification": 1e4, "rlnDetectorPixelSize": 4})
    for words, message in (
        (["--particles", "other.star"], "a graph of other particles: row 1 is 000001@particles.mrcs, not 000200@"),
        (["--particles", "no.star"], "no.star: no such file"),
    ):
        ran = sync(folder, "Near", "--overwrite", *words, status=1)
        assert_error(ran, message)
    few = {"rlnImageName": names[::-1][:50], "rlnMagnification": 1e4, "rlnDetectorPixelSize": 4}
    star(folder / "few.star", particles=few)
    assert_error(sync(folder, "Near", "--overwrite", "--particles", "few.star", status=1), "a graph of 200 particles")


def assert_error(ran: Ran, words: str) -> None:
    """Hold that a run said one line, with these words."""
    assert len(ran.errors) == 1 and words in ran.errors[0], ran.errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n1,201,3\n", "e.csv:2: a node that is no row of 200 particles (201); rows count from 1"),
        ("0,2,3\n", "e.csv:1: a node that is no row of 200 particles (0)"),
        ("a,b,3\n", "e.csv:1: a node that is none of 200 particles ('a')"),
    ],
)
def test_ids_that_are_no_particles(one_view_made, tmp_path, text, words):
    (tmp_path / "e.csv").write_text(text)
    ran = sync(tmp_path, "e.csv", "--particles", one_view_made[0] / "particles.star", status=1)
    assert_error(ran, words)


def test_more_particles_than_the_graph_has(one_view):
    folder, _ = one_view
    words = ("rid-distance", "-q", "-j", 1, "-k", 5, "--limit", 60, "particles.star", "-o", "Few")
    assert run(folder, *words).status == 0
    ran = run(folder, "sync", "-q", "-j", 1, "Few", "-o", "out", "--allow-no-signal")
    assert ran.status == 0 and any("first 60 of 200 particles" in line for line in ran.lines)
    assert len(table(folder / "out" / "particles.star")) == 60


def test_the_report_of_particles(one_view, with_report):
    folder, _ = one_view
    sync(folder, "Near")
    page = (folder / "out" / "report.html").read_text()
    for words in ("200 particles", "Density of residuals", "Confidence of angles", "Shifts", "Solved by"):
        assert words in page
