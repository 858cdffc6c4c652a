"""The distance that neighbours are ranked by: what it is made of, and whose views come out near."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.ramp_filtered import RampFilteredSlicedWasserstein
from cryoalign.metrics.rfsw_ncc import SHARE, RfswWithCorrelation
from cryoalign.simulation.phantom import Phantom
from helpers.blobs import random_blobs

BOX = 48
KNOWN = Preparation(mask_radius_px=19.0)
RANK = RfswWithCorrelation()


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    with threadpool_limits(1):
        yield


def turned(seeds, psi, dx=0.0, dy=0.0, mirror=False):
    return np.concatenate(
        [
            random_blobs(np.random.default_rng(s), 11.0, width=(1.5, 3.0)).images(
                BOX, np.atleast_1d(psi), np.atleast_1d(dx), np.atleast_1d(dy), mirror
            )
            for s in seeds
        ]
    ).astype(np.float32)


def test_the_square_is_that_of_transport_and_a_share_of_what_does_not_correlate():
    a, b = turned([0], 0.0), turned([1], 0.0)
    found = RANK.table(RANK.prepare(a, KNOWN), RANK.prepare(b, KNOWN), SearchLimits())
    psi = found.psi[0]
    sliced = RampFilteredSlicedWasserstein(exponent=1.5)
    transport = sliced.curve(sliced.prepare(a, KNOWN), sliced.prepare(b, KNOWN), psi)[0]
    # Blobs turned by formula; the mean over the frame is left out.
    again = turned([1], -psi)[0]
    one, other = (image - image.mean() for image in (a[0].astype(float), again.astype(float)))
    correlation = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    expected = np.hypot(transport, SHARE * KNOWN.mask_radius_px * np.sqrt(2 * (1 - correlation)))
    assert found.value[0, 0] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("mirror", [False, True])
def test_copies_are_at_no_distance_whatever_their_pose(mirror):
    a = turned([3], 0.0)
    b = turned([3], [50.0, -120.0], [2.0, -1.0], [-1.5, 2.5], mirror)
    limits = SearchLimits(4.0, mirror=mirror)
    found = RANK.table(RANK.prepare(a, KNOWN), RANK.prepare(b, KNOWN), limits)
    others = RANK.table(RANK.prepare(a, KNOWN), RANK.prepare(turned([4, 5, 6], 0.0), KNOWN), limits)
    assert found.value.max() < 0.15 * others.value.min()
    np.testing.assert_allclose(found.psi[0], [50.0, -120.0], atol=1.0)
    np.testing.assert_allclose(found.dx[0], [2.0, -1.0], atol=0.1)
    np.testing.assert_allclose(found.dy[0], [-1.5, 2.5], atol=0.1)
    np.testing.assert_array_equal(found.mirror, mirror)


def test_without_shifts_images_count_where_they_are():
    a, b = turned([3], 0.0), turned([3], 0.0, 3.0)
    a, b = RANK.prepare(a, KNOWN), RANK.prepare(b, KNOWN)
    still, moving = (RANK.table(a, b, SearchLimits(reach)).value[0, 0] for reach in (0.0, 4.0))
    # Sliced distances of shifted copies: the shift over sqrt 2; here detail adds to that.
    assert still > 3.0 / np.sqrt(2) > 10 * moving


def test_an_image_of_one_grey_level_has_a_distance():
    flat = np.zeros((1, BOX, BOX), np.float32)
    found = RANK.table(RANK.prepare(flat, KNOWN), RANK.prepare(turned([3], 0.0), KNOWN), SearchLimits(2.0))
    assert np.isfinite(found.value).all()


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_nearest_images_are_of_near_views(seed):
    """The bar of the benchmark, 1.0 of euclidean over molecules, with its margin for one."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(60, 3)) * np.array([5.0, 4.0, 6.5])
    phantom = Phantom(centres - centres.mean(axis=0), rng.uniform(0.9, 1.5, 60), np.ones(60))
    rot, psi = rng.uniform(0, 360, (2, 100))
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, 100)))
    images = phantom.project(rot, tilt, Poses(psi, np.zeros(100), np.zeros(100)), BOX, 1.0)
    a, b = np.deg2rad(rot), np.deg2rad(tilt)
    view = np.stack([np.cos(a) * np.sin(b), np.sin(a) * np.sin(b), np.cos(b)], axis=1)
    angle = []
    for kind in (RANK, measure("euclidean")):
        ready = kind.prepare(images, KNOWN)
        value = np.triu(kind.table(ready, ready, SearchLimits()).value, 1)
        value += value.T
        np.fill_diagonal(value, np.inf)
        near = np.argsort(value, axis=1, kind="stable")[:, :5]
        angle.append(np.degrees(np.arccos(np.clip((view[:, None] * view[near]).sum(-1), -1, 1))).mean())
    assert angle[0] < 1.15 * angle[1]
