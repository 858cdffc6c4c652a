import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, background_statistics, normalise_background, soft_disc


@pytest.mark.parametrize("box", [32, 33])
def test_disc_is_one_inside_zero_outside_and_falls_between(box):
    disc = soft_disc(box, 14, 5)
    x, y = np.meshgrid(np.arange(box) - box // 2, np.arange(box) - box // 2)
    r = np.hypot(x, y)
    assert disc.dtype == np.float32
    assert (disc[r <= 7] == 1).all()
    assert (np.abs(disc[r >= 12]) < 1e-6).all()
    np.testing.assert_allclose(disc[(r > 9.4) & (r < 9.6)], 0.5, atol=0.05)
    order = np.argsort(r.ravel(), kind="stable")
    assert (np.diff(disc.ravel()[order]) <= 1e-6).all()


def test_hard_disc_and_background_are_complements():
    np.testing.assert_array_equal(soft_disc(40, 30, 0) == 0, background_region(40, 30))


def test_disc_without_background_is_refused():
    with pytest.raises(InputError, match="leaves no background in a box of 32 px"):
        background_region(32, 44)


@pytest.mark.parametrize("box", [32, 45])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_background_becomes_mean_zero_and_deviation_one(box, dtype):
    rng = np.random.default_rng(4)
    x, y = np.meshgrid(np.arange(box), np.arange(box))
    images = rng.normal(7, 3, (5, box, box)) + 0.2 * x - 0.5 * y + 20 * soft_disc(box, box / 3)
    region = background_region(box, 0.7 * box)
    result = normalise_background(images.astype(dtype), region)
    assert result.dtype == np.float32
    mean, deviation = background_statistics(result, region)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(deviation, 1, atol=1e-5)
    slope = np.polyfit(x[region], result[0][region], 1)[0]
    assert abs(slope) < 0.01


def test_ramp_is_removed_from_the_whole_image_and_the_particle_stays():
    box = 48
    rng = np.random.default_rng(5)
    particle = 10 * soft_disc(box, 16)
    noise = rng.normal(0, 1, (1, box, box))
    x, y = np.meshgrid(np.arange(box), np.arange(box))
    region = background_region(box, 0.8 * box)
    plain = normalise_background(noise + particle, region)
    ramped = normalise_background(noise + particle + 0.3 * x + 0.1 * y - 4, region)
    np.testing.assert_allclose(ramped, plain, atol=1e-4)


def test_an_image_does_not_depend_on_its_neighbours():
    images = np.random.default_rng(6).normal(0, 2, (9, 32, 32)).astype(np.float32)
    region = background_region(32, 24)
    alone = np.concatenate([normalise_background(images[i : i + 1], region) for i in range(9)])
    np.testing.assert_array_equal(normalise_background(images, region), alone)


@pytest.mark.parametrize("constant", [0.0, 3.3, 1e6])
def test_constant_background_is_refused_with_its_row(constant):
    images = np.random.default_rng(7).normal(0, 1, (3, 32, 32)).astype(np.float32)
    region = background_region(32, 24)
    images[1][region] = constant
    with pytest.raises(InputError, match="row 2: the background is constant"):
        normalise_background(images, region)


def test_background_with_nan_is_refused():
    images = np.zeros((1, 32, 32), np.float32)
    images[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        normalise_background(images, background_region(32, 24))
