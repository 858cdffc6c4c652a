"""Several answers an image: the first is the single one, the next are the best of what stands apart from it."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.search.search import Searcher, plan_search
from helpers.blobs import degrees_apart, random_blobs, random_poses
from helpers.searching import noisy, particle, settings, single, white

BOX = 32


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


def two_particles():
    return [random_blobs(np.random.default_rng(seed), 0.28 * BOX) for seed in (5, 6)]


def mixtures(rng, n):
    """Draw images with one particle over a weaker other one, each at its own pose."""
    one, other = (b.images(BOX, *random_poses(rng, n, 2.0)) for b in two_particles())
    return single(one + 0.85 * other)


@pytest.mark.parametrize("changes", [{}, {"mirror": True}, {"fast": True}, {"max_shift_px": 0.5}])
@pytest.mark.parametrize("local", [False, True])
def test_the_first_of_several_is_the_single_answer_to_the_bit(changes, local):
    rng = np.random.default_rng(3)
    images, variance = noisy(rng, mixtures(rng, 40), 0.2)
    references = single(np.concatenate([b.images(BOX) for b in two_particles()]))
    searcher = Searcher(plan_search(references, white(BOX, variance), settings(BOX, **changes)))
    known = {"origin": rng.normal(size=(40, 2)), "valid": np.arange(40) % 5 > 0}
    if local:
        known["psi_window"] = rng.uniform(-180, 180, 40)[:, None] + [-20.0, 20.0]
    one, many = searcher.search(images, **known), searcher.search(images, answers=4, **known)
    assert one.answers is None
    for name in ("reference", "score", "margin", "psi_error_deg", "shift_error_px", "scale", "at_limit"):
        np.testing.assert_array_equal(getattr(many, name), getattr(one, name))
    answers = many.answers
    np.testing.assert_array_equal(answers.reference[:, 0], one.reference)
    np.testing.assert_array_equal(answers.score[:, 0], one.score)
    first = answers.poses.take(np.arange(40) * 4)
    for name in ("psi", "dx", "dy", "mirror"):
        np.testing.assert_array_equal(getattr(many.poses, name), getattr(one.poses, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(one.poses, name))
    assert (answers.valid.sum(axis=1) > 1).any()
    # Best first, those there are not last; nothing is said of these, nor of rows that were left out.
    assert (np.diff(answers.valid.astype(int), axis=1) <= 0).all()
    assert (np.diff(answers.gain, axis=1)[:, 1:][answers.valid[:, 2:]] <= 1e-9).all()
    assert not answers.score[~answers.valid].any() and not answers.gain[~answers.valid].any()
    np.testing.assert_array_equal(answers.valid[:, 0], known["valid"])
    # All are within what is searched.
    away = np.hypot(
        np.where(answers.poses.mirror, -1.0, 1.0) * answers.poses.dx - np.repeat(known["origin"][:, 0], 4),
        answers.poses.dy - np.repeat(known["origin"][:, 1], 4),
    )
    reach = searcher.plan.settings.max_shift_px
    assert away[answers.valid.ravel()].max() <= reach + 1e-9
    # The second is what the margin is over, where none was brought back to a border.
    inside = answers.valid[:, 1] & ((away.reshape(-1, 4) < reach - 1e-6) | ~answers.valid).all(axis=1)
    if not local:
        assert inside.any() or reach < 1
        ratio = np.sqrt(answers.gain[inside, 1] / answers.gain[inside, 0])
        np.testing.assert_allclose(one.margin[inside], one.score[inside] * (1.0 - ratio), atol=1e-6)
    else:
        middle = np.repeat(known["psi_window"].mean(axis=1), 4)
        psi = np.where(answers.poses.mirror, -1.0, 1.0) * answers.poses.psi
        assert np.abs(degrees_apart(psi, middle))[answers.valid.ravel()].max() <= 20.0 + 1e-6


def test_the_second_is_the_best_of_the_other_reference():
    """Against an exhaustive search in numpy: the other particle drawn at every pose, and correlated."""
    rng = np.random.default_rng(4)
    images, blobs = mixtures(rng, 2), two_particles()
    references = single(np.concatenate([b.images(BOX) for b in blobs]))
    searcher = Searcher(plan_search(references, white(BOX), settings(BOX)))
    answers = searcher.search(images, answers=2).answers
    layout = searcher.plan.layout
    np.testing.assert_array_equal(answers.valid, True)
    np.testing.assert_array_equal(answers.reference.sum(axis=1), 1)
    for i in range(2):
        for rank in (0, 1):
            best, (psi, dx, dy) = exhaustive(images[i], blobs[answers.reference[i, rank]], layout)
            at = answers.poses.take([2 * i + rank])
            assert answers.score[i, rank] == pytest.approx(best, abs=1e-3)
            assert abs(degrees_apart(at.psi[0], psi)) < 0.6
            assert np.hypot(at.dx[0] - dx, at.dy[0] - dy) < 0.15


def exhaustive(image, blobs, layout):
    """Return the highest score of an image with a particle over all poses, and the pose: a grid, then finer ones."""
    kx, ky = layout.points()
    y, x = np.mgrid[:BOX, :BOX].reshape(2, -1) - BOX // 2
    wave = np.exp(-2j * np.pi / BOX * (np.outer(x, kx) + np.outer(y, ky)))
    weight = np.repeat(layout.ring_weight, layout.ring_samples)
    seen = image.ravel() @ wave
    centre, steps, reach = np.zeros(3), np.array([6.0, 1.2, 1.2]), np.array([180.0, 2.4, 2.4])
    for _ in range(5):
        axes = [np.arange(-r, r + s / 2, s) for r, s in zip(reach, steps, strict=True)]
        grid = np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")]) + centre[:, None]
        grid = grid[:, np.hypot(grid[1], grid[2]) <= 0.08 * BOX + 1.0]
        score = []
        for part in np.array_split(grid, 1 + grid.shape[1] // 500, 1):
            drawn = blobs.images(BOX, *part).reshape(-1, BOX * BOX) @ wave
            product = (drawn.conj() * seen * weight).sum(axis=1).real
            score.append(product / np.sqrt((abs(seen) ** 2 @ weight) * (abs(drawn) ** 2 @ weight)))
        best = np.concatenate(score).argmax()
        centre, reach, steps = grid[:, best], steps, steps / 3
    return np.concatenate(score).max(), centre


def test_one_reference_gives_other_peaks_and_no_more_than_there_are():
    blobs = particle(BOX)
    images = single(blobs.images(BOX, *random_poses(np.random.default_rng(8), 5, 2.0)))
    found = Searcher(plan_search(single(blobs.images(BOX)), white(BOX), settings(BOX))).search(images, answers=6)
    answers = found.answers
    assert answers.valid[:, 0].all() and not answers.valid[:, 2:].any()
    turn = degrees_apart(*(answers.poses.psi.reshape(5, 6)[:, k] for k in (0, 1)))
    shift = np.hypot(*(np.diff(v.reshape(5, 6)[:, :2])[:, 0] for v in (answers.poses.dx, answers.poses.dy)))
    apart = (np.abs(turn) > 3.0) | (shift > 0.5)
    assert apart[answers.valid[:, 1]].all()


def test_where_nothing_correlates_there_is_no_second():
    blobs = particle(BOX)
    searcher = Searcher(plan_search(single(blobs.images(BOX)), white(BOX), settings(BOX, max_shift_px=0.0)))
    found = searcher.search(np.zeros((2, BOX, BOX), np.float32), answers=2)
    assert not found.score.any() and not found.answers.valid[:, 1].any()
