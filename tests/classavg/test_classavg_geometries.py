"""Particles of several boxes and pixel sizes: shifts are as long in A in each, and all averages have one geometry."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.jobs.classavg.members import view_members
from helpers.align import optics, read_mrcs, run, star, table, write_mrcs
from helpers.undrawn import leave_out_drawing


def test_shifts_are_as_long_in_angstrom_whatever_the_geometry():
    """Particles of 64 px at 3 A, 56 px at 4 A and 110 px at 2 A, compared at 32 px of 6 A."""
    box, pixel = np.array([64, 56, 110, 64]), np.array([3.0, 4.0, 2.0, 3.0])
    particles = SimpleNamespace(box=box, pixel_size_angstrom=pixel, magnification=None)
    rng = np.random.default_rng(1)
    index = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]], np.int32)
    shift = rng.normal(0, 1, (4, 3, 2)).astype(np.float32)
    lists = NeighbourLists(
        index, np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32), np.zeros((4, 3), bool), shift
    )
    ones = np.ones((4, 3), np.float32)
    found = Classification(
        lists, ones, ones, ones, np.zeros((4, 2), np.float32), lists, np.zeros((4, 3), np.float32),
        np.ones(4, np.float32), 1.0, SignalTest(9.0, 0.9, True), 1, {},
    )  # fmt: skip
    views = view_members(found, np.array([0, 1]), particles, np.arange(4), 32, 6.0)
    members = views.memberships
    angstrom = np.stack([members.poses.dx, members.poses.dy], axis=1) * pixel[members.particle][:, None]
    np.testing.assert_allclose(angstrom, 6.0 * shift[:2].reshape(6, 2), atol=1e-5)
    # The halves share what the prepared images hold, to 12 A, and a little more that the mask smears.
    assert 8 < members.shared_angstrom < 12


def test_views_and_classes_have_the_box_that_most_particles_have_and_of_equals_the_first(tmp_path, monkeypatch):
    """As many of 32 px as of 40 px: either kind has its neighbours among its own, and all views are of the second."""
    told: list = []
    leave_out_drawing(monkeypatch, "classavg", told)
    rng, count, names = np.random.default_rng(3), 16, []
    for box, pixel, widths in ((32, 4.0, (12.0, 12.0)), (40, 3.2, (6.0, 30.0))):
        y, x = (np.mgrid[:box, :box] - box / 2) * pixel
        blob = np.exp(-((x / widths[0]) ** 2) - (y / widths[1]) ** 2)
        write_mrcs(tmp_path / f"b{box}.mrcs", (blob + 0.1 * rng.standard_normal((count, box, box))).astype("f4"), pixel)
        names += [f"{i + 1:06d}@b{box}.mrcs" for i in range(count)]
    both = [optics(32, 4.0), optics(40, 3.2, rlnOpticsGroup=2, rlnOpticsGroupName="g2")]
    star(
        tmp_path / "p.star", optics={label: [one[label] for one in both] for label in both[0]},
        particles={"rlnImageName": names, "rlnOpticsGroup": np.repeat([1, 2], count)},
    )  # fmt: skip
    words = ("--no-ctf", "--no-shifts", "--allow-no-signal", "-k", 5, "--particles", "20-22")
    done = run(tmp_path, "classavg", "-q", "-j", 1, "p.star", "-o", "out", *words)
    assert done.status == 0, done.lines
    members = table(tmp_path / "out/members.star", "members")
    assert members["rlnImageName"].str.contains("b40").mean() > 0.5
    stacks = [read_mrcs(tmp_path / "out" / name) for name in ("averages.mrcs", "run_classes.mrcs")]
    assert {stack.shape[1:] for stack in stacks} == {(32, 32)}
    assert told[0].views.pixel_size_angstrom == told[0].classes.pixel_size_angstrom == 4.0
