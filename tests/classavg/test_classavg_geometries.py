"""Shifts of members of other boxes and pixel sizes: as long in A as the prepared images have them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.jobs.classavg.members import view_members


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
