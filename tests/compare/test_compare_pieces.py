"""The pieces of ``compare``: pairs, ranks, agreement, scales, magnified images."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.magnify import magnified, magnified_power
from cryoalign.core.poses import Poses
from cryoalign.jobs.compare.drawing import curve_angles
from cryoalign.jobs.compare.geometry import Setting, choose_pairs
from cryoalign.jobs.compare.result import agreement, ranks
from cryoalign.jobs.compare.scales import scale_grid
from cryoalign.jobs.compare.search import Found
from cryoalign.metrics.measure import SearchLimits
from helpers.compare import BOX, particle, smaller


@pytest.mark.parametrize(
    ("n_a", "n_b", "every", "a", "b"),
    [
        (1, 3, False, [0, 0, 0], [0, 1, 2]),
        (3, 1, False, [0, 1, 2], [0, 0, 0]),
        (2, 2, False, [0, 1], [0, 1]),
        (2, 3, True, [0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2]),
    ],
)
def test_pairs(n_a, n_b, every, a, b):
    pairs = choose_pairs(n_a, n_b, all_pairs=every)
    assert pairs.a.tolist() == a and pairs.b.tolist() == b


def test_pairs_of_unequal_sets_are_refused():
    with pytest.raises(InputError, match="--all-pairs"):
        choose_pairs(2, 3, all_pairs=False)


def test_ranks_within_groups_with_ties_by_row():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0]), np.zeros(4, int)).tolist() == [3, 1, 4, 2]
    assert ranks(np.array([3.0, 1.0, 5.0, 2.0]), np.array([1, 1, 0, 0])).tolist() == [2, 1, 2, 1]


def test_agreement_minds_angle_shift_mirror_and_scale_and_leaves_out_what_found_nothing():
    def one(psi, dx=0.5, mirror=False, scale=1.0, nothing=False):
        return Found(np.zeros(1), np.ones(1), Poses(psi, dx, 0, mirror), np.array([scale]), np.array([nothing]))

    found = [one(179), one(-179), one(170), one(179, dx=3), one(179, mirror=True), one(179, scale=1.1)]
    assert agreement(found)[:, 0].tolist() == [2, 2, 1, 1, 1, 1]
    assert agreement([one(0, 0, nothing=True), one(0, 0, nothing=True), one(0, 0)])[:, 0].tolist() == [0, 0, 1]


def test_grid_of_scales_moves_the_rim_by_a_pixel_and_a_half_at_most():
    grid = scale_grid(Setting(64, 1.0, 25.6, SearchLimits(), 1.2), 1.25)
    assert grid.scales[0] == pytest.approx(1.2 / 1.25) and grid.scales[-1] == pytest.approx(1.5)
    assert 1.2 in grid.scales and np.diff(np.log(grid.scales)) == pytest.approx(grid.step)
    assert 0.75 < 25.6 * grid.step <= 1.5


@pytest.mark.parametrize("box", [BOX, BOX + 1])
@pytest.mark.parametrize("scale", [1.1, 1.3, 1 / 1.1, 0.8])
def test_magnified_images_are_the_formula_of_the_larger_particle(box, scale):
    image = particle().images(box, 30, 2, -1)
    wanted = smaller(particle(), 1 / scale).images(box, 30, 2 * scale, -scale)
    assert np.abs(magnified(image.astype(np.float32), scale) - wanted).max() < 2e-4 * wanted.max()


def test_magnified_noise_has_the_power_that_is_said():
    noise = np.random.default_rng(0).standard_normal((200, 64, 64)).astype(np.float32)
    for scale in (1.2, 0.85):
        power = np.abs(np.fft.fft2(magnified(noise, scale)[:, 6:-6, 6:-6])) ** 2
        density = power[:, 2:9, 0].mean() / 52**2
        assert magnified_power(np.ones(33), scale)[5] == pytest.approx(density, rel=0.1)


def test_curves_are_sampled_round_the_circle_and_finely_near_the_best():
    angles = curve_angles(-178.25)
    assert angles[0] == -180 and angles[-1] == 180 and (np.diff(angles) > 0).all()
    assert np.diff(angles).max() <= 4 and -178.25 in angles
