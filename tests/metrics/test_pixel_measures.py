"""Every measure of pixels finds turned and shifted copies, says what its class promises, and knows its invariances."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.errors import InputError
from cryoalign.core.masks import centre_offsets
from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from helpers.pixel_cases import BOX, LADDER, PIXEL_MEASURES, background, copies, degrees_apart, find, limits, off


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    with threadpool_limits(1):
        yield


def signed(name):
    """Return 1 where lower is better, -1 where higher is."""
    return 1.0 if measure(name).lower_is_better else -1.0


@pytest.mark.parametrize("name", PIXEL_MEASURES)
@pytest.mark.parametrize("box", [64, 65])
def test_turned_and_shifted_copies_are_found(name, box):
    case = copies(12, box)
    turn, shift = off(find(name, case), case)
    assert turn.max() < 1.0
    assert shift.max() < 0.2
    # Nothing is lost to the ladder either: it ends at the bottom, not near it.
    assert turn.max() < 0.1
    assert shift.max() < 0.02


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_a_particle_by_hand(name):
    """A dot to the right of the centre shows up below it, two pixels off: psi = -90, d = (-2, 0)."""
    x, y = centre_offsets(BOX)
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 12) for px, py in ((0, 0), (14, 0))]
    moved = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 12) for px, py in ((2, 0), (2, 14))]
    case = copies(1)._replace(reference=np.float32([dots[0] + 0.5 * dots[1]]))
    found = find(name, case, np.float32([moved[0] + 0.5 * moved[1]]))
    assert found.poses.psi[0] == pytest.approx(-90, abs=0.2)
    np.testing.assert_allclose([found.poses.dx[0], found.poses.dy[0]], [-2, 0], atol=0.05)


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_noisy_copies_are_found(name):
    case = copies(16, snr=1.0, seed=3)
    turn, shift = off(find(name, case), case)
    assert np.median(turn) < 0.8
    assert turn.max() < 3.0
    assert np.median(shift) < 0.3


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_rotations_only(name):
    case = copies(4, reach=0.0)
    found = find(name, case, max_shift_px=0.0)
    assert np.abs(degrees_apart(found.poses.psi, case.psi)).max() < 0.1
    assert not found.poses.dx.any()
    assert not found.poses.dy.any()
    same = find(name, case, max_shift_px=3.0, translation="none")
    np.testing.assert_array_equal(same.poses.psi, found.poses.psi)


@pytest.mark.parametrize("name", ["ncc", "absolute-difference", "mutual-information"])
def test_mirrored_copies_are_found(name):
    flips = np.arange(6) % 2 > 0
    case = copies(6, mirror=flips, seed=5)
    found = find(name, case, mirror=True)
    np.testing.assert_array_equal(found.poses.mirror, flips)
    turn, shift = off(found, case)
    assert turn.max() < 0.1
    assert shift.max() < 0.02


@pytest.mark.parametrize("name", ["ssd", "correntropy"])
def test_angles_stay_in_their_window(name):
    case = copies(6, seed=6)
    near = find(name, case, psi_centre_deg=case.psi + 7.0, psi_half_width_deg=9.0)
    assert np.abs(degrees_apart(near.poses.psi, case.psi)).max() < 0.1
    away = find(name, case, psi_centre_deg=case.psi + 60.0, psi_half_width_deg=9.0)
    assert np.abs(degrees_apart(away.poses.psi, case.psi + 60.0)).max() < 9.0 + 1e-6


@pytest.mark.parametrize("name", ["ssd", "absolute-difference"])
def test_shifts_stay_in_their_disc(name):
    case = copies(6, seed=7, reach=0.08)
    found = find(name, case, max_shift_px=2.0)
    assert np.hypot(found.poses.dx, found.poses.dy).max() <= 2.0 + 1e-9


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_the_right_reference_wins(name):
    """Copies of the second of three particles, each with its own reference."""
    case, others = copies(6), [copies(1, seed=s) for s in (21, 22)]
    metric = measure(name)
    stack = np.concatenate([others[0].reference, case.reference, others[1].reference])
    references, features = metric.prepare(stack, background(case)), metric.prepare(case.images, background(case))
    found = metric.search(references, features, limits(case))
    assert (found.reference == 1).all()
    table = metric.table(references, features, limits(case))
    sign = signed(name)
    best = np.sort(sign * table.value, axis=0)
    np.testing.assert_array_equal(found.score, table.value[1])
    np.testing.assert_allclose(found.margin, best[1] - best[0])
    assert (found.margin > 0).all()


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_the_value_is_best_at_the_truth_and_is_what_the_search_reports(name):
    case, sign, metric = copies(2, seed=9), signed(name), measure(name)
    found = find(name, case)
    at = [metric.value(case.reference[0], case.images[i], found.poses.take([i]), background(case)) for i in (0, 1)]
    np.testing.assert_allclose(np.concatenate(at), found.score, rtol=1e-6, atol=1e-6)
    truth = Poses(np.full(5, case.psi[0]), np.full(5, case.dx[0]), np.full(5, case.dy[0]))
    psi, dx, dy = np.array([[0, 3, -3, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, -1]])
    moved = Poses(truth.psi + psi, truth.dx + dx, truth.dy + dy)
    values = sign * metric.value(case.reference[0], case.images[0], moved, background(case))
    assert (values[1:] > values[0]).all()


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_the_curve_is_the_value_at_every_angle(name):
    case, metric = copies(1, seed=10), measure(name)
    features = [metric.prepare(v, background(case)) for v in (case.reference, case.images)]
    psi = np.arange(-180.0, 180.0, 20.0)
    at = Poses(0.0, case.dx[0], case.dy[0])
    curve = metric.curve(*features, psi, at)
    n = len(psi)
    poses = Poses(psi, np.full(n, case.dx[0]), np.full(n, case.dy[0]))
    np.testing.assert_allclose(
        curve, metric.value(case.reference[0], case.images[0], poses, background(case)), rtol=1e-5
    )
    fine = np.arange(-180.0, 180.0, 2.0)
    best = fine[np.argmin(signed(name) * metric.curve(*features, fine, at))]
    assert abs(degrees_apart(best, case.psi[0])) < 2.1


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_an_answer_does_not_depend_on_the_other_images(name):
    case = copies(5, snr=2.0, seed=11)
    together, metric = find(name, case), measure(name)
    for rows in ([0], [3, 4], [4, 1]):
        references = metric.prepare(case.reference, Preparation(mask_radius_px=background(case).mask_radius_px))
        alone = metric.search(references, metric.prepare(case.images[rows], background(case)), limits(case))
        for column in ("psi", "dx", "dy"):
            np.testing.assert_array_equal(getattr(alone.poses, column), getattr(together.poses, column)[rows])
        np.testing.assert_array_equal(alone.score, together.score[rows])
        np.testing.assert_array_equal(alone.margin, together.margin[rows])


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_threads_that_share_references_change_nothing(name):
    case, metric = copies(4, snr=2.0, seed=16), measure(name)
    references = metric.prepare(case.reference, Preparation(mask_radius_px=background(case).mask_radius_px))

    def work(rows):
        return metric.search(references, metric.prepare(case.images[rows], background(case)), limits(case))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, (slice(0, 2), slice(2, 4)))
    together = find(name, case)
    np.testing.assert_array_equal(np.concatenate([first.score, second.score]), together.score)
    np.testing.assert_array_equal(np.concatenate([first.poses.psi, second.poses.psi]), together.poses.psi)


# Invariances


@pytest.mark.parametrize("name", ["ncc", "normalised-ssd", "mutual-information"])
def test_brightness_and_contrast_do_not_matter(name):
    case = copies(4, seed=12)
    found, other = find(name, case), find(name, case, 3.5 * case.images - 7.0)
    np.testing.assert_allclose(other.score, found.score, atol=2e-5)
    np.testing.assert_allclose(other.poses.psi, found.poses.psi, atol=0.02)


@pytest.mark.parametrize("name", ["euclidean", "ssd", "absolute-difference", "correntropy", "wavelet-emd"])
def test_brightness_matters_to_differences(name):
    case = copies(1, seed=12)
    identity, known = Poses.identity(1), background(case)
    values = [measure(name).value(case.reference[0], f * case.reference[0], identity, known)[0] for f in (1.0, 2.0)]
    assert signed(name) * (values[1] - values[0]) > 0.01 * abs(values[1])


def test_mutual_information_does_not_see_inversion():
    case = copies(4, seed=13, snr=1.0)
    found, inverted = find("mutual-information", case), find("mutual-information", case, -case.images)
    np.testing.assert_allclose(inverted.score, found.score, atol=1e-5)
    np.testing.assert_allclose(inverted.poses.psi, found.poses.psi, atol=0.05)


def test_mutual_information_aligns_to_an_inverted_reference_where_ncc_fails():
    case = copies(24, snr=1.0, seed=14)
    turn, shift = off(find("mutual-information", case, -case.images), case)
    assert np.median(turn) < 0.6
    assert turn.max() < 2.0
    assert shift.max() < 0.6
    lost, _ = off(find("ncc", case, -case.images), case)
    assert np.median(lost) > 20.0
    assert lost.min() > 2.0


def test_correntropy_is_deaf_to_outliers():
    """A bead beside the particle, ten times as bright: squares follow it."""
    case = copies(10, seed=15)
    x, y = centre_offsets(BOX)
    angle = np.random.default_rng(15).uniform(0, 2 * np.pi, 10)
    beads = [10 * np.exp(-((x - 17 * np.cos(a)) ** 2 + (y - 17 * np.sin(a)) ** 2) / 8) for a in angle]
    images = case.images + np.array(beads, np.float32)
    turn, shift = off(find("correntropy", case, images), case)
    squares, _ = off(find("ssd", case, images), case)
    assert turn.max() < 2.0
    assert shift.max() < 0.5
    assert np.median(squares) > 4 * np.median(turn)


# Bad input


def test_unknown_ways_of_shifting_are_refused():
    case = copies(1)
    with pytest.raises(InputError, match=r"does not find shifts this way.*closed-form.*it knows grid, none"):
        find("ssd", case, translation="closed-form")


def test_images_must_be_a_stack():
    with pytest.raises(ValueError, match="shape"):
        measure(LADDER[0]).prepare(np.zeros((8, 8), np.float32), Preparation())


def test_flat_images_have_an_answer():
    case = copies(1)
    for name in PIXEL_MEASURES:
        metric = measure(name)
        features = metric.prepare(np.zeros((1, BOX, BOX), np.float32), background(case))
        found = metric.search(metric.prepare(case.reference, background(case)), features, SearchLimits(2.0))
        assert np.isfinite(found.score).all(), name
        assert (found.margin >= 0).all(), name
