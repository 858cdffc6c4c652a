"""Images brought to another box and pixel size."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.filters import match_geometry, same_geometry
from helpers.blobs import Blobs, random_blobs


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


def scaled(blobs, factor):
    return Blobs(blobs.x * factor, blobs.y * factor, blobs.width * factor, blobs.height)


GEOMETRIES = [
    # box and pixel size before and after: padded, cropped, finer, coarser, and all at once, even and odd
    (64, 2.0, 80, 2.0),
    (64, 2.0, 81, 2.0),
    (65, 2.0, 80, 2.0),
    (80, 2.0, 64, 2.0),
    (81, 2.0, 64, 2.0),
    (80, 2.0, 65, 2.0),
    (64, 2.0, 128, 1.0),
    (65, 2.0, 130, 1.0),
    (96, 1.0, 48, 2.0),
    (97, 1.0, 48, 2.0),
    (96, 1.0, 49, 2.0),
    (80, 1.5, 64, 2.0),
    (81, 1.5, 75, 2.0),
    (64, 2.0, 120, 1.5),
    (65, 2.0, 121, 1.5),
    # Less than a pixel of the field of view
    (64, 2.0, 64, 2.01),
    (64, 2.02, 64, 2.0),
    (65, 2.03, 65, 2.0),
    (64, 2.0, 64, 2.06),
]


@pytest.mark.parametrize(("source", "pixel_from", "box", "pixel_to"), GEOMETRIES)
def test_geometry_keeps_centre_and_scale(source, pixel_from, box, pixel_to):
    # In Angstrom; small enough for the smallest field, wide enough for the coarsest pixel.
    blobs = random_blobs(np.random.default_rng(113), 26.0, 8, (5.0, 8.0))
    given = scaled(blobs, 1 / pixel_from).images(source) + 3.0
    found = match_geometry(single(given), pixel_from, box, pixel_to)
    expected = scaled(blobs, 1 / pixel_to).image(box) + 3.0
    assert found.shape == (1, box, box)
    np.testing.assert_allclose(found[0], expected, atol=0.01 * np.ptp(expected))


@pytest.mark.parametrize("box", [64, 65])
def test_nothing_is_touched_where_nothing_differs(box):
    images = single(np.random.default_rng(114).standard_normal((2, box, box)))
    np.testing.assert_array_equal(match_geometry(images, 1.7, box, 1.7), images)


def test_each_image_is_padded_with_its_own_border():
    images = single(np.stack([np.full((20, 20), 4.0), np.full((20, 20), -2.0)]))
    found = match_geometry(images, 1.0, 32, 1.0)
    np.testing.assert_allclose(found[0], 4.0, atol=1e-5)
    np.testing.assert_allclose(found[1], -2.0, atol=1e-5)


def test_images_that_are_far_too_coarse_are_refused():
    with pytest.raises(InputError, match="too coarse"):
        match_geometry(np.zeros((1, 64, 64), np.float32), 50.0, 32, 1.0)


def test_geometries_are_the_same_to_a_ten_thousandth():
    assert same_geometry(64, 1.5, 64, 1.50001)
    assert not same_geometry(64, 1.5, 64, 1.501)
    assert not same_geometry(64, 1.5, 65, 1.5)
