"""Shifts on images that are moved and mirrored explicitly, with coefficients from a plain basis of waves on rings."""

import numpy as np
import pytest

from cryoalign.classification import shift_search
from cryoalign.classification.shift_search import search_shifts, shift_pattern
from helpers.pair_oracle import angle_between

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


def displaced(density, dx, dy):
    """Return a density moved by (dx, dy)."""
    return lambda x, y: density(x - dx, y - dy)


SD = 1.0
POSES = [
    (0, 0, 0, False),
    (40, 1.1, 0, False),
    (-100, 0, -2.2, True),
    (75, -0.6, 1.4, True),
    (160, 1.3, -0.8, False),
    (-30, 0.5, 0.5, True),
]


@pytest.fixture(scope="module")
def moved():
    """Weighted coefficients of image 0 and of images that the poses bring onto it, moved by any shift."""
    densities = [blobs] + [posed(*pose) for pose in POSES]

    def coefficients(shift_px):
        return np.stack([coefficients_of(displaced(density, *shift_px)) for density in densities]).astype(np.complex64)

    return coefficients


def others(n):
    return np.array([[j for j in range(n) if j != i] for i in range(n)], np.int32)


def test_poses_come_back_with_shift_and_mirror(moved):
    pattern = shift_pattern(SD)
    scale = 200.0  # a strong signal: the penalty does not matter
    lists = search_shifts(
        moved((0.0, 0.0)) * scale, FREQUENCY, others(len(POSES) + 1), lambda d: moved(d) * scale, pattern, len(POSES)
    )
    for j, (psi, dx, dy, mirror) in enumerate(POSES, start=1):
        entry = int(np.nonzero(lists.index[0] == j)[0][0])
        assert lists.mirror[0, entry] == mirror
        # Most shifts lie between the steps of the pattern, which are 1.1 px apart: parabolas are a little short.
        np.testing.assert_allclose(lists.shift_px[0, entry], (dx, dy), atol=0.2)
        assert angle_between(lists.angle_deg[0, entry], psi) < 1.5


def test_a_weak_signal_stays_at_the_centre(moved):
    lists = search_shifts(
        moved((0.0, 0.0)) * 1e-3, FREQUENCY, others(len(POSES) + 1), lambda d: moved(d) * 1e-3, shift_pattern(SD), 4
    )
    assert np.hypot(*lists.shift_px.reshape(-1, 2).T).max() < 0.05


def test_the_pattern_has_thirteen_shifts_zero_first():
    pattern = shift_pattern(2.0)
    assert len(pattern) == 13 and not pattern.steps[0].any() and pattern.penalty[0] == 0
    shifts = pattern.steps * pattern.step_px
    radius = np.hypot(*shifts.T)
    assert radius.max() == pytest.approx(4.4)
    np.testing.assert_allclose(pattern.penalty, radius**2 / (2 * 2.8**2), rtol=1e-6)
    apart = np.hypot(*(shifts[:, None] - shifts).T)
    assert apart[~np.eye(13, dtype=bool)].min() == pytest.approx(2.2)


def test_no_shift_is_one_variant(moved):
    none = shift_pattern(0.0)
    assert len(none) == 1 and not none.steps.any() and not none.penalty.any()
    lists = search_shifts(moved((0.0, 0.0)), FREQUENCY, others(len(POSES) + 1), moved, none, 3)
    assert not lists.shift_px.any()


def test_lists_with_gaps_and_fewer_than_k(moved):
    rows = others(len(POSES) + 1)
    rows[1] = -1
    rows[0, 1:] = -1
    lists = search_shifts(moved((0.0, 0.0)), FREQUENCY, rows, moved, shift_pattern(SD), 8)
    assert np.all(lists.index[1] == -1) and not lists.shift_px[1].any()
    assert lists.index[0, 0] == 1 and np.all(lists.index[0, 1:] == -1)
    assert np.all(np.isneginf(lists.score[:, len(POSES) :]))
    assert np.isfinite(lists.angle_deg).all() and np.isfinite(lists.shift_px).all()


def test_threads_and_held_copies_change_no_bit(moved, monkeypatch):
    pattern, start = shift_pattern(SD), moved((0.0, 0.0))

    def search(threads):
        return search_shifts(start, FREQUENCY, others(len(POSES) + 1), moved, pattern, 5, threads=threads)

    one = search(1)
    monkeypatch.setattr(shift_search, "HELD_BYTES", 0)
    two = search(2)
    for name in ("index", "score", "angle_deg", "mirror", "shift_px"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
