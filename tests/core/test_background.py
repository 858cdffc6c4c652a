import numpy as np
import pytest

from cryoalign.core.background import Background, normalise
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, background_statistics, soft_disc


def noise(n, box, seed=4, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((n, box, box)).astype(dtype)


@pytest.mark.parametrize("box", [8, 15, 32, 45])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_background_becomes_mean_zero_and_deviation_one(box, dtype):
    x, y = np.meshgrid(np.arange(box), np.arange(box))
    images = 30 * noise(5, box) + 70 + 2 * x - 5 * y + 20 * soft_disc(box, box / 3)
    diameter = 0.7 * box
    region = background_region(box, diameter)
    if box % 2 == 0:  # what has no counterpart on the other side of the centre is left out of the fit
        region[0], region[:, 0] = False, False
    result, found = normalise(images.astype(dtype), diameter)
    assert result.dtype == np.float32
    mean, deviation = background_statistics(result, region)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(deviation, 1, atol=1e-5)
    for image in result:
        slopes = np.linalg.lstsq(np.stack([x[region], y[region], np.ones(region.sum())], 1), image[region], rcond=None)
        np.testing.assert_allclose(slopes[0], 0, atol=1e-4)
    assert len(found) == 5
    assert (found.hot_pixels == 0).all()


@pytest.mark.parametrize(("slope_x", "slope_y", "level"), [(0.3, 0.1, -4), (-5, 7, 1000), (50, 0, 0), (0, 0, 1e5)])
def test_a_plane_is_removed_from_the_whole_image_and_the_particle_stays(slope_x, slope_y, level):
    box = 48
    image = noise(1, box, 5, np.float64) + 3 * soft_disc(box, 16)
    x, y = np.meshgrid(np.arange(box) - box // 2, np.arange(box) - box // 2)
    plain, one = normalise(image, 0.8 * box)
    tilted, other = normalise(image + slope_x * x + slope_y * y + level, 0.8 * box)
    # float32 pixels of a level of 1e5 have steps of 0.008.
    np.testing.assert_allclose(tilted, plain, atol=1e-4 + 2e-7 * (abs(level) + 48 * (abs(slope_x) + abs(slope_y))))
    assert other.mean[0] - one.mean[0] == pytest.approx(level, abs=1e-2)
    assert other.slope_x[0] - one.slope_x[0] == pytest.approx(slope_x, abs=1e-3)
    assert other.slope_y[0] - one.slope_y[0] == pytest.approx(slope_y, abs=1e-3)


@pytest.mark.parametrize("factor", [1e-20, 1e-3, 30, 1e6, 1e12])
def test_a_scale_is_taken_off(factor):
    images = noise(3, 32, 8)
    plain, one = normalise(images, 24)
    scaled, other = normalise(images.astype(np.float64) * factor, 24)
    np.testing.assert_allclose(scaled, plain, atol=1e-5)
    np.testing.assert_allclose(other.deviation, one.deviation * factor, rtol=1e-5)
    np.testing.assert_allclose(other.largest, one.largest, rtol=1e-5)


def test_an_image_does_not_depend_on_its_neighbours():
    images = noise(9, 32, 6)
    images[4, 3, 3] = 1e4
    alone = np.concatenate([normalise(images[i : i + 1], 24)[0] for i in range(9)])
    np.testing.assert_array_equal(normalise(images, 24)[0], alone)


@pytest.mark.parametrize("value", [20.0, -20.0, 1e4, -1e4, 1e6, 1e30])
@pytest.mark.parametrize("place", [(0, 0), (20, 20), (39, 7)])
def test_a_hot_pixel_is_replaced_by_what_is_round_it(value, place):
    images = noise(4, 40, 9)
    wanted, _ = normalise(images, 30)
    images[2][place] = value
    found, background = normalise(images, 30)
    assert background.hot_pixels.tolist() == [0, 0, 1, 0]
    # One of 1,600 pixels is another than it was: the plane and the scale move by that, and the others with them.
    assert abs(found[2][place]) < 2
    found[2][place] = wanted[2][place]
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert background.largest[2] < 6


def test_pixels_of_every_size_are_found_one_after_the_other():
    images = noise(1, 64, 10)
    places = [(5, 5), (20, 40), (33, 33), (60, 2), (50, 50)]
    for (y, x), value in zip(places, (1e8, -1e6, 1e4, 300, -25), strict=True):
        images[0, y, x] = value
    found, background = normalise(images, 50)
    assert background.hot_pixels[0] == 5
    assert abs(found).max() < 6
    assert background.deviation[0] == pytest.approx(1, abs=0.05)


def test_a_pair_is_hot_too_and_a_bead_is_not():
    images = noise(2, 64, 11)
    images[0, 30, 30:32] = 500
    y, x = np.mgrid[:64, :64]
    bead = 60 * np.exp(-((x - 20) ** 2 + (y - 30) ** 2) / 8)
    images[1] += bead
    found, background = normalise(images, 50)
    assert background.hot_pixels.tolist() == [2, 0]
    assert found[1, 30, 20] > 40
    assert background.largest.tolist() == pytest.approx([4, 60], abs=4)


def test_noise_has_no_hot_pixels():
    for seed in range(4):
        assert normalise(noise(250, 64, 100 + seed), 50)[1].hot_pixels.sum() == 0


def test_sharp_points_of_a_particle_far_above_the_noise_are_no_faults():
    box = 64
    points = np.zeros((box, box))
    rng = np.random.default_rng(12)
    y, x = np.mgrid[:box, :box]
    for cy, cx in rng.uniform(18, 46, (60, 2)):
        points += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 0.85**2))
    images = 30 * points + noise(3, box, 13)
    assert normalise(images, 50)[1].hot_pixels.sum() == 0


@pytest.mark.parametrize("constant", [0.0, 3.3, 1e6])
def test_images_without_a_background_stay_as_they_are(constant):
    images = noise(3, 32, 7)
    images[1][background_region(32, 24)] = constant
    found, background = normalise(images, 24)
    assert background.deviation[1] == 0
    np.testing.assert_array_equal(found[1], images[1])
    assert background.inside[1] > 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (16, 16)])
def test_images_that_are_not_finite_are_told(value, place):
    images = noise(3, 32, 14)
    images[1][place] = value
    found, background = normalise(images, 24)
    assert (background.deviation > 0).tolist() == [True, False, True]
    np.testing.assert_array_equal(found[1], images[1])


def test_a_mask_without_background_is_refused():
    with pytest.raises(InputError, match="leaves no background in a box of 32 px"):
        normalise(noise(1, 32), 44)


def test_what_was_found_is_joined_in_order():
    parts = [normalise(noise(n, 32, n), 24)[1] for n in (1, 3, 2)]
    joined = Background.joined(parts)
    assert len(joined) == 6
    np.testing.assert_array_equal(joined.deviation[1:4], parts[1].deviation)


@pytest.mark.parametrize("box", [33, 64])
def test_in_place_gives_the_same_bits(box):
    images = 3 * noise(6, box, 21) + 40
    images[2, 4, 4] = 1e5
    wanted, found = normalise(images.copy(), 0.8 * box)
    result, other = normalise(images, 0.8 * box, in_place=True)
    assert result is images
    np.testing.assert_array_equal(result, wanted)
    np.testing.assert_array_equal(other.deviation, found.deviation)
