"""The fast transform against finufft, finufft against plain sums, and the same bytes whatever the batch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cryoalign.core.search.polar import PolarTransform, plan_rings, polar_samples_by_finufft
from helpers.blobs import random_blobs


def as_complex(planes):
    return planes[:, 0] + 1j * planes[:, 1]


@pytest.mark.parametrize("box", [7, 8])
def test_oracle_is_the_plain_sum(box):
    rng = np.random.default_rng(21)
    image = rng.standard_normal((1, box, box))
    layout = plan_rings(box, 3)
    q = np.arange(box) - box // 2
    plain = [
        (image[0] * np.exp(-2j * np.pi / box * (kx * q[None, :] + ky * q[:, None]))).sum()
        for kx, ky in zip(*layout.points(), strict=True)
    ]
    np.testing.assert_allclose(polar_samples_by_finufft(image, layout)[0], plain, atol=1e-7)
    fast = as_complex(PolarTransform(layout)(image.astype(np.float32)))[0]
    np.testing.assert_allclose(fast, plain, atol=4e-3 * np.abs(plain).max())


@pytest.mark.parametrize("box", [64, 65])
def test_oracle_gives_the_transform_of_gaussians(box):
    blobs = random_blobs(np.random.default_rng(22), 0.25 * box)
    layout = plan_rings(box, 24)
    expected = blobs.transform(box, *layout.points())
    computed = polar_samples_by_finufft(blobs.images(box), layout)[0]
    np.testing.assert_allclose(computed, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("box", "n_rings"), [(30, 15), (59, 20), (64, 31), (65, 32), (128, 50), (128, 64)])
def test_fast_transform_agrees_with_finufft(box, n_rings):
    images = np.random.default_rng(box).standard_normal((3, box, box)).astype(np.float32)
    layout = plan_rings(box, n_rings)
    expected = polar_samples_by_finufft(images, layout)
    difference = np.abs(as_complex(PolarTransform(layout)(images)) - expected)
    scale = np.sqrt((np.abs(expected) ** 2).mean(axis=1))
    assert (np.sqrt((difference**2).mean(axis=1)) < 2e-3 * scale).all()
    assert (difference.max(axis=1) < 1.5e-2 * scale).all()


def test_every_batch_size_is_filled():
    images = np.random.default_rng(23).standard_normal((64, 30, 30)).astype(np.float32)
    layout = plan_rings(30, 12)
    transform = PolarTransform(layout)
    expected = polar_samples_by_finufft(images, layout)
    scale = np.abs(expected).max()
    for n in range(1, 65):
        out = np.full((n, 2, layout.n_points), np.nan, np.float32)
        assert transform(images[:n], out) is out
        np.testing.assert_allclose(as_complex(out), expected[:n], atol=4e-3 * scale)


@pytest.mark.parametrize("box", [30, 64, 65])
def test_an_image_has_the_same_bytes_in_every_lane_and_batch(box):
    images = np.random.default_rng(24).standard_normal((40, box, box)).astype(np.float32)
    transform = PolarTransform(plan_rings(box, box // 2))
    alone = transform(images[7:8])
    whole = transform(images)
    assert whole[7].tobytes() == alone[0].tobytes()
    for n in (1, 5, 15, 16, 17, 31):
        assert transform(images[:n]).tobytes() == whole[:n].tobytes()
    copies = transform(np.repeat(images[7:8], 19, axis=0))
    for copy in copies:
        assert copy.tobytes() == alone[0].tobytes()


def test_a_bad_neighbour_spoils_nothing():
    images = np.random.default_rng(25).standard_normal((20, 64, 64)).astype(np.float32)
    transform = PolarTransform(plan_rings(64, 30))
    clean = transform(images)
    images[3, 10, 10] = np.nan
    images[17] = 1e30
    spoilt = transform(images)
    others = np.delete(np.arange(20), [3, 17])
    assert spoilt[others].tobytes() == clean[others].tobytes()
    # Nor does anything stay in the buffers for the next call.
    assert transform(images[:3]).tobytes() == clean[:3].tobytes()


def test_each_thread_has_a_transform_of_its_own():
    images = np.random.default_rng(26).standard_normal((4, 32, 64, 64)).astype(np.float32)
    transform = PolarTransform(plan_rings(64, 30))
    expected = [transform(batch) for batch in images]
    each = [PolarTransform(plan_rings(64, 30)) for _ in images]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda own, batch: [own(batch) for _ in range(5)][-1], each, images))
    for result, single in zip(results, expected, strict=True):
        assert result.tobytes() == single.tobytes()
