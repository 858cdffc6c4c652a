"""Tables of memberships: a particle in many classes, poses of their own, names that must be found."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import correlation, run, star, table
from helpers.average import PARTICLES, average, averages, pose_columns, set_cells


def members_star(few, rows, classes, **columns):
    """Write members.star: these particle rows in these classes, with their true poses."""
    names = [f"{row + 1:06d}@particles.mrcs" for row in rows]
    poses = {label: values[rows] for label, values in pose_columns(few.made).items()}
    star(
        few.folder / "members.star",
        members={"rlnClassNumber": classes, "rlnImageName": names, **poses, **columns},
    )


def test_members_that_repeat_the_particles_give_the_same_bytes(few):
    average(few.folder, PARTICLES, "-o", "out")
    wanted = (few.folder / "out/averages.mrcs").read_bytes()
    rows = np.random.default_rng(1).permutation(260)
    members_star(few, rows, few.numbers[rows])
    for label in ("rlnClassNumber", "rlnAnglePsi", "rlnOriginXAngst"):
        set_cells(few.folder / PARTICLES, label, None)
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--members", "members.star")
    assert (few.folder / "out/averages.mrcs").read_bytes() == wanted


def test_a_particle_may_be_in_many_classes(few):
    rows = np.concatenate([np.flatnonzero(few.numbers == 2), np.arange(260)])
    classes = np.concatenate([np.full((few.numbers == 2).sum(), 7), few.numbers])
    members_star(few, rows, classes)
    average(few.folder, PARTICLES, "-o", "out", "--members", "members.star", "--plain")
    found = averages(few.folder)
    assert len(found) == 4
    np.testing.assert_array_equal(found[3], found[0])
    rows = table(few.folder / "out/averages.star", "averages")
    assert rows["rlnClassNumber"].tolist() == ["2", "5", "6", "7"]


def test_a_mirrored_membership(few):
    """The mirror image of a class: its members flipped after their pose, psi -> -psi composed by hand."""
    rows = np.flatnonzero(few.numbers == 5)
    poses = pose_columns(few.made)
    star(
        few.folder / "members.star",
        members={
            "rlnClassNumber": 1, "rlnImageName": [f"{row + 1:06d}@particles.mrcs" for row in rows],
            "rlnAnglePsi": -poses["rlnAnglePsi"][rows], "rlnOriginXAngst": -poses["rlnOriginXAngst"][rows],
            "rlnOriginYAngst": poses["rlnOriginYAngst"][rows], "rlnIsFlip": 1,
        },
    )  # fmt: skip
    average(few.folder, PARTICLES, "-o", "out", "--members", "members.star")
    mirrored = np.roll(few.references[1][:, ::-1], 1, axis=1)
    assert correlation(averages(few.folder)[0], mirrored, 18) > 0.98
    assert correlation(averages(few.folder)[0], few.references[1], 18) < 0.95


def test_names_are_found_in_whatever_folder_and_padding(few):
    rows = np.arange(260)
    members_star(few, rows, few.numbers)
    average(few.folder, PARTICLES, "-o", "out", "--members", "members.star")
    wanted = (few.folder / "out/averages.mrcs").read_bytes()
    set_cells(
        few.folder / "members.star", "rlnImageName", [f"{row + 1}@old/place/particles.mrcs" for row in rows], "members"
    )
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--members", "members.star")
    assert (few.folder / "out/averages.mrcs").read_bytes() == wanted


def test_weights_scores_and_limit_of_memberships(few):
    members_star(
        few, np.arange(260), few.numbers, cryoalignWeight=(np.arange(260) < 130) * 0.5,
        cryoalignScore=few.numbers / 10,
    )  # fmt: skip
    average(few.folder, PARTICLES, "-o", "out", "--members", "members.star", "--weights", "cryoalignWeight", "--plain")
    rows = table(few.folder / "out/averages.star", "averages")
    assert rows["cryoalignCount"].astype(int).sum() == 130
    assert rows["cryoalignScoreMean"].astype(float).tolist() == [0.2, 0.5, 0.6]
    first = (few.folder / "out/averages.mrcs").read_bytes()
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--members", "members.star", "--limit", 130, "--plain")
    np.testing.assert_allclose(
        averages(few.folder), np.frombuffer(first[1024:], np.float32).reshape(3, 48, 48), atol=1e-5
    )


@pytest.mark.parametrize(
    ("row", "label", "value", "said"),
    [
        (3, "rlnImageName", "000999@particles.mrcs", "not among the particles"),
        (3, "rlnImageName", "other.mrcs", "not among the particles"),
        (4, "rlnAnglePsi", "nan", "rlnAnglePsi is not a number"),
        (5, "rlnClassNumber", "1.5", "not a whole number"),
        (6, "rlnClassNumber", "0", "below 1"),
        (7, "rlnIsFlip", "2", "rlnIsFlip"),
        (8, "w", "-1", "negative"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(few, row, label, value, said):
    members_star(few, np.arange(260), few.numbers, rlnIsFlip=np.zeros(260, int), w=np.ones(260))
    cells = table(few.folder / "members.star", "members")[label].tolist()
    cells[row] = value
    set_cells(few.folder / "members.star", label, cells, "members")
    ran = run(few.folder, "average", "-q", PARTICLES, "-o", "out", "--members", "members.star", "--weights", "w")
    assert ran.status == 1 and len(ran.lines) == 1 and said in ran.lines[0]
    lines = (few.folder / "members.star").read_text().split("\n")
    first = next(i for i, line in enumerate(lines) if "@" in line)
    assert "members.star" in ran.lines[0] and value in ran.lines[0]
    if label != "rlnClassNumber" or value != "0":
        assert f"members.star:{first + row + 1}:" in ran.lines[0]


@pytest.mark.parametrize("label", ["rlnClassNumber", "rlnImageName", "rlnAnglePsi"])
def test_a_column_that_memberships_need(few, label):
    members_star(few, np.arange(260), few.numbers)
    set_cells(few.folder / "members.star", label, None, "members")
    ran = average(few.folder, PARTICLES, "-o", "out", "--members", "members.star", status=1)
    assert len(ran.errors) == 1 and "members.star" in ran.lines[0] and label in ran.lines[0]
