"""``classavg`` end to end: views that are what they say, RELION's files, the same bytes however it is run."""

from __future__ import annotations

import json
import shutil

import mrcfile
import numpy as np
import pytest

from cryoalign.core.filters import match_geometry
from cryoalign.core.poses import Poses
from cryoalign.io.graph_file import read_graph
from cryoalign.simulation.phantom import built_in_phantom
from helpers.align import correlation, numbers, read_mrcs, results, run, star, table
from helpers.classavg import FILES, classavg, rows_of, simulate, view_angles
from helpers.maps import phantom_map
from helpers.undrawn import leave_out_drawing

K = 12


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch) -> None:
    """Leave out drawing where a test is not about the report."""

    if "whole" not in request.fixturenames:
        leave_out_drawing(monkeypatch, "classavg")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with 400 particles of 48 px with CTF in all views, and a finished run in ``out``, report and all."""
    folder = simulate(tmp_path_factory.mktemp("classavg"), 400, 48, "--ctf", "--snr", 0.5)
    classavg(folder, "-k", K, "--classes", 20)
    return folder


@pytest.fixture(scope="module")
def few_made(tmp_path_factory):
    """160 particles of 32 px; tests only read them."""
    return simulate(tmp_path_factory.mktemp("few"), 160, 32, "--snr", 0.5)


@pytest.fixture
def few(few_made, tmp_path):
    """The same in a folder of its own."""
    shutil.copytree(few_made / "sim", tmp_path / "sim")
    return tmp_path


def test_all_files_are_there_and_the_record_says_what_was_done(whole):
    assert {path.name for path in (whole / "out").iterdir()} == FILES
    record = json.loads((whole / "out/run.json").read_text())
    counts = record["counts"]
    assert record["exit_status"] == 0 and counts["signal"]["found"] is True
    assert (counts["read"], counts["classified"], counts["skipped"]) == (400, 400, 0)
    assert (counts["views"], counts["memberships"]) == (20, 20 * K)
    assert {"prepare", "classify", "averaging", "partition"} <= set(record["timings_s"])
    nodes = (whole / "out/RELION_OUTPUT_NODES.star").read_text()
    assert "out/averages.star 5 " in nodes and "out/run_data.star 3 " in nodes
    text = (whole / "out/report.html").read_text()
    assert "Views" in text and len(text) > 100_000


def test_members_are_views_close_to_the_seed_which_is_not_among_them(whole):
    members = table(whole / "out/members.star", "members")
    views = table(whole / "out/averages.star", "averages")
    seeds = rows_of(views["cryoalignSeedImage"])
    number = members["rlnClassNumber"].astype(int).to_numpy() - 1
    rows = rows_of(members["rlnImageName"])
    assert np.bincount(number).tolist() == [K] * 20
    assert not (rows == seeds[number]).any()
    angle = view_angles(whole, seeds[number], rows)
    # Of 400 evenly spread views the 12 nearest lie within 20 degrees; any other would be 57 degrees away.
    assert np.median(angle) < 15
    mirrored = members["rlnIsFlip"].astype(int).mean()
    assert 0.35 < mirrored < 0.65


def test_an_average_is_the_clean_projection_of_its_seed(whole):
    views = table(whole / "out/averages.star", "averages")
    seeds = rows_of(views["cryoalignSeedImage"])
    rot, tilt, psi = numbers(whole / "sim/truth.star", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    poses = Poses(psi[seeds], 0 * seeds, 0 * seeds)
    phantom = built_in_phantom(0.66 * 48 * 4.0, 1.25 * 4.0)  # that of simulate
    clean = phantom.project(rot[seeds], tilt[seeds], poses, 48, 4.0)
    averages = read_mrcs(whole / "out/averages.mrcs")
    # The centre of the frame is free: averages may lie a fraction of a pixel off.
    found = [best_correlation(a, c) for a, c in zip(averages, clean, strict=True)]
    assert np.median(found) > 0.9 and min(found) > 0.6


def best_correlation(image: np.ndarray, clean: np.ndarray) -> float:
    """Correlate within 18 px, at the best of the shifts by whole pixels."""
    shifts = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    return max(correlation(np.roll(image, shift, (0, 1)), clean, 18) for shift in shifts)


def test_members_star_gives_the_same_averages(whole):
    again = run(whole, "average", "-q", "-j", 1, "sim/particles.star", "-o", "again", "--members", "out/members.star")
    assert again.status == 0, again.lines
    for name in ("averages.mrcs", "averages_half1.mrcs", "averages_half2.mrcs"):
        assert read_mrcs(whole / "again" / name).tobytes() == read_mrcs(whole / "out" / name).tobytes()


def test_every_particle_is_in_one_class_for_relion(whole):
    data = table(whole / "out/run_data.star")
    assert data["rlnImageName"].tolist() == table(whole / "sim/particles.star")["rlnImageName"].tolist()
    number = data["rlnClassNumber"].astype(int).to_numpy()
    classes = read_mrcs(whole / "out/run_classes.mrcs")
    assert set(number) == set(range(1, len(classes) + 1))
    assert "rlnIsFlip" not in data
    model = table(whole / "out/run_model.star", "model_classes")
    np.testing.assert_allclose(model["rlnClassDistribution"].astype(float), np.bincount(number)[1:] / 400, atol=1e-6)


def test_the_graph_lists_the_members(whole):
    graph = read_graph(whole / "out/graph.npz", table(whole / "sim/particles.star")["rlnImageName"].tolist())
    assert graph.i.tolist() == np.repeat(np.arange(400), K).tolist()
    assert graph.weight is not None and graph.weight.max() <= 1
    assert np.median(view_angles(whole, graph.i, graph.j)) < 16
    members = table(whole / "out/members.star", "members")
    seeds = rows_of(table(whole / "out/averages.star", "averages")["cryoalignSeedImage"])
    of_first = graph.j[graph.i == seeds[0]]
    assert sorted(rows_of(members["rlnImageName"][members["rlnClassNumber"] == "1"])) == sorted(of_first)


def test_chosen_particles_in_their_order(few):
    classavg(few, "-k", 6, "--particles", "7,3,100")
    views = table(few / "out/averages.star", "averages")
    assert rows_of(views["cryoalignSeedImage"]).tolist() == [6, 2, 99]
    assert len(read_mrcs(few / "out/averages.mrcs")) == 3


def test_every_particle_has_its_view(few):
    classavg(few, "-k", 4, "--every-particle", "--rounds", 1)
    assert len(read_mrcs(few / "out/averages.mrcs")) == 160
    views = table(few / "out/averages.star", "averages")
    assert rows_of(views["cryoalignSeedImage"]).tolist() == list(range(160))


def test_a_graph_can_be_given(few):
    words = ("rid-distance", "-q", "-j", 1, "sim/particles.star", "-o", "graph", "-k", 20)
    assert run(few, *words).status == 0
    classavg(few, "-k", 8, "--classes", 5, "--graph", "graph/graph.npz")
    record = json.loads((few / "out/run.json").read_text())
    assert any(entry["path"].endswith("graph.npz") for entry in record["inputs"])
    graph = read_graph(few / "out/graph.npz")
    assert np.median(view_angles(few, graph.i, graph.j)) < 20
    classavg(few, "-k", 8, "--classes", 5, "--graph", "graph/graph.npz", "--reweight", "--overwrite")
    again = read_graph(few / "out/graph.npz")
    assert not np.array_equal(graph.j, again.j) and np.median(view_angles(few, again.i, again.j)) < 25


@pytest.mark.parametrize("algorithm", ["mfca", "vdm", "kmeans"])
def test_published_algorithms_side_by_side(few, algorithm):
    classavg(few, "-k", 6, "--classes", 8, "--algorithm", algorithm, "--no-shifts")
    members = table(few / "out/members.star", "members")
    seeds = rows_of(table(few / "out/averages.star", "averages")["cryoalignSeedImage"])
    angle = view_angles(few, seeds[members["rlnClassNumber"].astype(int) - 1], rows_of(members["rlnImageName"]))
    # Views at random would be 60 degrees apart; 160 particles are few for the older of these.
    assert np.median(angle) < 45


def test_without_mirrors_nothing_is_flipped(few):
    classavg(few, "-k", 5, "--classes", 3, "--no-mirror", "--no-shifts")
    assert not read_graph(few / "out/graph.npz").mirror.any()
    assert (table(few / "out/members.star", "members")["rlnIsFlip"] == "0").all()


def test_averages_brought_to_the_centre(few):
    classavg(few, "-k", 8, "--classes", 3, "--recenter")
    views = table(few / "out/averages.star", "averages")
    assert {"cryoalignMovedXAngst", "cryoalignMovedYAngst"} <= set(views)


def test_same_bytes_for_threads_blocks_parts_and_after_a_stop(few):
    basic = ("-k", 6, "--classes", 4)
    classavg(few, *basic)
    expected = results(few / "out")
    assert len(expected) == 11
    classavg(few, *basic, "-j", 2, "--block-size", 64, "--overwrite")
    assert results(few / "out") == expected
    shutil.rmtree(few / "out")
    for k in (1, 2):
        classavg(few, *basic, "--block-size", 64, "--part", f"{k}/2")
    assert not (few / "out/averages.mrcs").exists()
    assert run(few, "merge", "-q", "out").status == 0
    assert results(few / "out") == expected


def test_a_resumed_run_does_not_classify_again(few, monkeypatch):
    basic = ("-k", 6, "--classes", 4)
    classavg(few, *basic)
    expected = results(few / "out")
    shutil.rmtree(few / "out")
    (few / "out").mkdir()
    (few / "out/members.star").write_text("mine")
    failed = classavg(few, *basic, status=1)
    assert "members.star" in failed.errors[0]
    (few / "out/members.star").unlink()

    def never(*_, **__):
        raise AssertionError("classified again")

    monkeypatch.setattr("cryoalign.jobs.classavg.classify.classify", never)
    classavg(few, *basic, "--resume", "-j", 2)
    assert results(few / "out") == expected


def test_particles_of_two_pixel_sizes_are_averaged_together(tmp_path):
    """The same particle at 3 A and 64 px, and at 4 A and 56 px: neighbours and averages know no difference."""
    phantom = built_in_phantom(125.0, 5.0)
    for name, n, box, pixel, seed in (("a", 200, 64, 3.0, 1), ("b", 120, 56, 4.0, 2)):
        mrcfile.write(tmp_path / f"{name}.mrc", phantom_map(phantom, box, pixel), voxel_size=pixel)
        words = ("simulate", "-q", "-o", name, "-n", n, "--map", f"{name}.mrc", "--noise", "white")
        assert run(tmp_path, *words, "--snr", 1, "--shift-sd", 1, "--seed", seed, "-j", 1).status == 0
    done = run(
        tmp_path, "classavg", "-q", "-j", 1, "a/particles.star", "b/particles.star", "-o", "out", "-k", 10,
        "--classes", 8,
    )  # fmt: skip
    assert done.status == 0 and any("2 geometries are compared at 64 px and 3 A" in line for line in done.lines)
    members = table(tmp_path / "out/members.star", "members")
    share = members["rlnImageName"].str.contains("b/").mean()
    assert 0.15 < share < 0.6
    graph = read_graph(tmp_path / "out/graph.npz")
    from_b = graph.i >= 200
    assert 0.15 < (graph.j[from_b] >= 200).mean() < 0.65
    # Each class averaged from either set alone shows the same picture: angles, shifts and sizes are right in both.
    halves = {}
    for name in ("a", "b"):
        rows = members["rlnImageName"].str.contains(f"{name}/")
        star(tmp_path / f"{name}.star", members=members[rows].to_dict("list"))
        words = ("average", "-q", "-j", 1, "a/particles.star", "b/particles.star", "--plain", "--members")
        assert run(tmp_path, *words, f"{name}.star", "-o", f"only-{name}").status == 0
        views = table(tmp_path / f"only-{name}/averages.star", "averages")
        stack = read_mrcs(tmp_path / f"only-{name}/averages.mrcs")
        halves[name] = dict(zip(views["rlnClassNumber"], stack, strict=True))
    assert {one.shape for name in halves for one in halves[name].values()} == {(64, 64), (56, 56)}
    both = [number for number in halves["a"] if number in halves["b"]]
    small = {number: match_geometry(halves["a"][number][None], 3.0, 56, 4.0)[0] for number in both}
    assert np.median([correlation(small[number], halves["b"][number], 17) for number in both]) > 0.75
