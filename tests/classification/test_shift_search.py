"""Shifts on images that are moved and mirrored explicitly, with coefficients from a plain basis of waves on rings."""

import numpy as np
import pytest
from pair_oracle import angle_between

from cryoalign.classification.shift_search import search_shifts, shift_pattern

BOX = 32
RINGS = np.arange(1.0, 13.5, 0.75)
K_MAX = 9


def blobs(x, y):
    """Density without symmetry at points from the centre, band-limited enough to be sampled."""
    value = np.zeros(np.broadcast(x, y).shape)
    for cx, cy, height, width in ((3, 1, 1.0, 2.0), (-4, 2, 0.7, 2.5), (1, -5, -0.8, 2.0), (-2, -3, 0.5, 1.8)):
        value += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return value


def coefficients_of(density):
    """Sum a density on rings against exp(-i k phi); components sorted by frequency."""
    phi = 2 * np.pi * np.arange(64) / 64
    samples = density(RINGS[:, None] * np.cos(phi), RINGS[:, None] * np.sin(phi))
    spectrum = np.fft.fft(samples, axis=1)[:, : K_MAX + 1] / 64 * np.sqrt(RINGS[:, None])
    spectrum[:, 1:] *= np.sqrt(2)
    return spectrum.T.ravel()


FREQUENCY = np.repeat(np.arange(K_MAX + 1), len(RINGS))


def posed(psi_deg, dx, dy, mirror):
    """Return a density q -> blobs(pose of q): the pose brings what is returned onto the blobs."""
    c, s = np.cos(np.deg2rad(psi_deg)), np.sin(np.deg2rad(psi_deg))

    def density(x, y):
        u, v = (-x if mirror else x) + dx, y + dy
        return blobs(c * u - s * v, s * u + c * v)

    return density


def moved(density, dx, dy):
    """Return a density moved by (dx, dy)."""
    return lambda x, y: density(x - dx, y - dy)


SD = 1.0
POSES = [(0, 0, 0, False), (40, 1.1, 0, False), (-100, 0, -2.2, True), (75, -1.1, 1.1, True), (160, 1.1, -1.1, False)]


@pytest.fixture(scope="module")
def case():
    """Image 0 and images that the poses bring onto it, for each shift of the pattern."""
    pattern = shift_pattern(SD)
    densities = [blobs] + [posed(*pose) for pose in POSES]
    copies = [
        np.stack([coefficients_of(moved(density, *d)) for density in densities]).astype(np.complex64)
        for d in pattern.shifts_px
    ]
    return pattern, copies


def others(n):
    return np.array([[j for j in range(n) if j != i] for i in range(n)], np.int32)


def test_poses_come_back_with_shift_and_mirror(case):
    pattern, copies = case
    scale = 200.0  # a strong signal: the penalty does not matter
    lists = search_shifts(copies[0] * scale, FREQUENCY, others(6), lambda v: copies[v] * scale, pattern, 5)
    for j, (psi, dx, dy, mirror) in enumerate(POSES, start=1):
        entry = int(np.nonzero(lists.index[0] == j)[0][0])
        assert lists.mirror[0, entry] == mirror
        np.testing.assert_allclose(lists.shift_px[0, entry], (dx, dy), atol=0.1)
        assert angle_between(lists.angle_deg[0, entry], psi) < 1.0


def test_a_weak_signal_stays_at_the_centre(case):
    pattern, copies = case
    lists = search_shifts(copies[0] * 1e-3, FREQUENCY, others(6), lambda v: copies[v] * 1e-3, pattern, 5)
    assert np.hypot(*lists.shift_px.reshape(-1, 2).T).max() < 0.2


def test_the_pattern_has_thirteen_shifts_zero_first():
    pattern = shift_pattern(2.0)
    assert len(pattern) == 13 and not pattern.shifts_px[0].any() and pattern.penalty[0] == 0
    radius = np.hypot(*pattern.shifts_px.T)
    assert radius.max() == pytest.approx(4.4)
    np.testing.assert_allclose(pattern.penalty, radius**2 / (2 * 2.8**2), rtol=1e-6)
    apart = np.hypot(*(pattern.shifts_px[:, None] - pattern.shifts_px).T)
    assert apart[~np.eye(13, dtype=bool)].min() == pytest.approx(2.2)


def test_no_shift_is_one_variant(case):
    _, copies = case
    none = shift_pattern(0.0)
    assert len(none) == 1 and not none.shifts_px.any()
    lists = search_shifts(copies[0], FREQUENCY, others(6), lambda v: copies[0], none, 3)
    assert not lists.shift_px.any()


def test_threads_change_no_bit(case):
    pattern, copies = case
    one, two = (
        search_shifts(copies[0], FREQUENCY, others(6), lambda v: copies[v], pattern, 5, threads=threads)
        for threads in (1, 2)
    )
    for name in ("index", "score", "angle_deg", "mirror", "shift_px"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
