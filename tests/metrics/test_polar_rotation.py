"""Rotations of squared differences by FFT over the angle, against the pixels themselves."""

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.sliced.polar_rotation import polar_harmonics, rotation_curves
from helpers.blobs import degrees_apart, random_blobs


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


@pytest.mark.parametrize("box", [48, 49])
def test_the_curve_is_the_squared_difference_of_turned_pixels(box):
    """Blobs by formula at every fifth of the curve's angles; the factor between means is known: L^2 pixels."""
    first, second = (random_blobs(np.random.default_rng(s), 0.26 * box, width=(1.8, 3.0)) for s in (1, 2))
    features = [polar_harmonics(single(v.images(box))) for v in (first, second)]
    ((rows, curve),) = list(rotation_curves(*features))
    n = features[0].n_angles
    psi = np.arange(0, n, 5) * 360.0 / n
    # Turned by psi: aligned(q) = image(R(-psi) q), which is the drawing at -psi.
    turned = second.images(box, -psi)
    squares = ((first.images(box) - turned) ** 2).sum(axis=(1, 2))
    ours = curve[0, 0, ::5] * features[0].values.shape[-1]
    assert rows.tolist() == [0]
    np.testing.assert_allclose(ours, squares, rtol=2e-3, atol=2e-3 * squares.max())


@pytest.mark.parametrize("name", ["euclidean", "ncc", "ssd", "normalised-ssd"])
@pytest.mark.parametrize("box", [64, 65, 160])
def test_angles_of_turned_copies(name, box):
    rng = np.random.default_rng(box)
    blobs, psi, flips = random_blobs(rng, 0.28 * box), rng.uniform(-180, 180, 6), np.arange(6) % 2 > 0
    metric, known = measure(name), Preparation(mask_radius_px=0.4 * box)
    reference, images = (
        metric.prepare(single(v), known) for v in (blobs.images(box), blobs.images(box, psi, mirror=flips))
    )
    found = metric.search(reference, images, SearchLimits(0.0, mirror=True))
    np.testing.assert_array_equal(found.poses.mirror, flips)
    assert np.abs(degrees_apart(found.poses.psi, psi)).max() < 0.01
    assert (found.margin > 0).all()
    near = metric.search(reference, images, SearchLimits(0.0, True, psi + 40.0, 10.0))
    assert np.abs(degrees_apart(near.poses.psi, psi + 40.0)).max() < 10.0 + 1e-6


def test_the_margin_is_over_the_other_peak():
    """A bar with a head and its half turn: the margin is what the half turn lacks."""
    box = 64
    x = np.arange(box) - 32
    bar = np.exp(-((np.abs(x[None, :]) - 9.0) ** 2 + x[:, None] ** 2) / 18)
    head = np.exp(-((x[None, :] - 14.0) ** 2 + x[:, None] ** 2) / 18)
    image = single((bar + 0.2 * head)[None])
    for name in ("ssd", "euclidean", "ncc", "normalised-ssd"):
        metric, known = measure(name), Preparation(mask_radius_px=28.0)
        features = metric.prepare(image, known)
        at = metric.value(image[0], image[0], Poses([0.0, 180.0], np.zeros(2), np.zeros(2)), known)
        # By the FFT over the angle; and by the core, where a little shift makes the other peak no worse.
        for reach, room in ((0.0, 0.02), (1.5, 0.1)):
            found = metric.search(features, features, SearchLimits(reach))
            assert found.poses.psi[0] == pytest.approx(0.0, abs=0.01)
            assert found.margin[0] == pytest.approx(abs(at[1] - at[0]), rel=room)
