"""The score between grid points and its derivatives against double precision, and Newton's method on it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from cryoalign.core.search.bank import build_bank
from cryoalign.core.search.polar import plan_rings
from cryoalign.core.search.refine import SUMS, climb, evaluate_score, newton_step, room_for, score_field
from helpers.blobs import random_blobs

BOX, RINGS, RADIUS = 64, 22, 24.0


class Problem:
    """One image against one reference that has a formula."""

    def __init__(self, seed=61, noise=0.3):
        rng = np.random.default_rng(seed)
        self.blobs = random_blobs(rng, 18.0)
        self.layout = layout = plan_rings(BOX, RINGS)
        self.bank = build_bank(self.blobs.images(BOX), layout)
        self.weight = np.repeat(layout.ring_weight, layout.ring_samples)
        self.truth = np.array([0.7, 1.3, -2.2])
        particle = self.reference(*self.truth)
        scale = np.sqrt((np.abs(particle) ** 2).mean())
        d = particle + noise * scale * (
            rng.standard_normal(layout.n_points) + 1j * rng.standard_normal(layout.n_points)
        )
        self.planes = np.stack([d.real, d.imag]).astype(np.float32)
        self.energy = float(self.bank.ring_power[0].sum())
        self.field = score_field(self.bank, RADIUS)
        self.room = room_for(self.field)

    def reference(self, angle, tx, ty):
        """Transform of the reference turned by the angle and then displaced by (tx, ty), from its formula."""
        kx, ky = self.layout.points()
        c, s = np.cos(angle), np.sin(angle)
        turned = self.blobs.transform(BOX, c * kx + s * ky, c * ky - s * kx)
        return turned * np.exp(-2j * np.pi / BOX * (kx * tx + ky * ty))

    def exact(self, pose, n_rings=RINGS):
        n = self.layout.ring_start[n_rings]
        d = self.planes[0].astype(np.float64) + 1j * self.planes[1]
        return (self.weight * np.real(d * self.reference(*pose).conj()))[:n].sum()

    def evaluate(self, pose, n_rings=RINGS):
        out = np.full(SUMS, np.nan)
        pose = np.array(pose, dtype=float)
        evaluate_score(self.planes, self.bank.table[0], pose, n_rings, self.field, self.room, out)
        return out

    def climb(self, pose, steps=6, tolerance=1e-7):
        sums, pose = np.empty(SUMS), np.array(pose, dtype=float)
        table = self.bank.table[0]
        x = climb(self.planes, table, pose, RINGS, steps, False, self.field, self.room, sums, self.energy, tolerance)
        return x, pose


@pytest.fixture(scope="module")
def problem():
    return Problem()


POSES = [(0.0, 0.0, 0.0), (0.7, 1.3, -2.2), (-2.0, 3.7, 0.4), (3.1, -5.5, 4.1), (40.0, 0.0, -7.3), (-1e-9, 0.1, 0.0)]


@pytest.mark.parametrize("n_rings", [9, RINGS])
@pytest.mark.parametrize("pose", POSES)
def test_score_and_derivatives_against_finite_differences(problem, pose, n_rings):
    found = problem.evaluate(pose, n_rings)
    exact = lambda a=0.0, x=0.0, y=0.0: problem.exact(np.add(pose, (a, x, y)), n_rings)
    units = {"a": 1e-3, "x": 0.02, "y": 0.02}

    def first(name):
        e = units[name]
        f = [exact(**{name: i * e}) for i in (-2, -1, 1, 2)]
        return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * e)

    def second(one, two):
        e, g = units[one], units[two]
        if one == two:
            f = [exact(**{one: i * e}) for i in (-2, -1, 0, 1, 2)]
            return (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * e**2)
        corners = sum(i * j * exact(**{one: i * e, two: j * g}) for i in (-1, 1) for j in (-1, 1))
        return corners / (4 * e * g)

    expected = np.array(
        [exact(), first("x"), first("y")]
        + [second(*pair) for pair in ("xx", "xy", "yy")]
        + [first("a"), second("a", "x"), second("a", "y"), second("a", "a")]
    )
    # What each would be worth at the truth, where the score is highest: errors are counted against that.
    radius, wave = 10.0, 0.5
    in_shift = np.array([1, wave, wave, wave**2, wave**2, wave**2])
    in_angle = radius * np.array([wave, wave**2, wave**2, radius * wave**2])
    error = np.abs(found - expected) / (problem.energy * np.concatenate([in_shift, in_angle]))
    assert error[0] < 1e-4
    assert error[1:9].max() < 1e-3
    # The kernel ends with a kink, which its second derivative shows where a point falls on a sample (angle 0).
    assert error[9] < 6e-3


def test_a_whole_turn_changes_nothing(problem):
    one, two = (problem.evaluate((0.4 + turn, 1.0, 2.0)) for turn in (0.0, 4 * np.pi))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4 * problem.energy)


@pytest.mark.parametrize("away", [(0.05, 0.4, -0.5), (-0.08, -0.9, 0.3), (0.02, 1.0, 1.0)])
def test_newton_climbs_to_the_maximum_of_the_exact_score(problem, away):
    best = minimize(
        lambda v: -problem.exact((v[0] / RADIUS, *v[1:])) / problem.energy,
        problem.truth * (RADIUS, 1, 1),
        method="BFGS",
        options={"gtol": 1e-9},
    )
    x, pose = problem.climb(problem.truth + away)
    found = pose * (RADIUS, 1, 1)
    assert np.linalg.norm(found - best.x) < 2e-3
    assert x == pytest.approx(-best.fun * problem.energy, rel=1e-5)
    # The noise moved the maximum: that is what was found, not the truth.
    assert np.linalg.norm(problem.truth * (RADIUS, 1, 1) - best.x) > 0.01


def test_climbing_never_ends_lower_than_it_began(problem):
    rng = np.random.default_rng(62)
    for _ in range(40):
        start = rng.uniform((-np.pi, -8, -8), (np.pi, 8, 8))
        before = problem.evaluate(start)[0]
        for steps in (1, 4):
            _, pose = problem.climb(start, steps)
            assert problem.evaluate(pose)[0] >= before - 1e-4 * problem.energy


def test_no_step_is_no_move(problem):
    x, pose = problem.climb((0.5, 1.0, -2.0), steps=0)
    np.testing.assert_array_equal(pose, (0.5, 1.0, -2.0))
    assert x == pytest.approx(problem.exact(pose), abs=1e-4 * problem.energy)


def sums_of(gradient, hessian, radius):
    """Pack a gradient and a Hessian in (angle x radius, x, y) as evaluate_score does, in (angle, x, y)."""
    scale = np.array([radius, 1.0, 1.0])
    g, h = gradient * scale, hessian * np.outer(scale, scale)
    return np.array([0.0, g[1], g[2], h[1, 1], h[1, 2], h[2, 2], g[0], h[0, 1], h[0, 2], h[0, 0]])


def test_newton_step_solves_a_quadratic():
    rng = np.random.default_rng(63)
    root = rng.standard_normal((3, 3))
    hessian, gradient = -(root @ root.T + np.eye(3)), rng.standard_normal(3)
    step = np.empty(3)
    gain = newton_step(sums_of(gradient, hessian, 20.0), 20.0, 100.0, False, step)
    expected = np.linalg.solve(-hessian, gradient)
    np.testing.assert_allclose(step * (20.0, 1, 1), expected, rtol=1e-9)
    assert gain == pytest.approx(0.5 * gradient @ expected)
    newton_step(sums_of(gradient, hessian, 20.0), 20.0, 0.1, False, step)
    np.testing.assert_allclose(step * (20.0, 1, 1), 0.1 * expected / np.linalg.norm(expected), rtol=1e-9)


@pytest.mark.parametrize("curvature", [(1.0, -2.0, -3.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 50.0)])
def test_where_there_is_no_maximum_the_step_still_goes_up(curvature):
    gradient = np.array([0.3, -0.4, 0.5])
    step = np.empty(3)
    newton_step(sums_of(gradient, np.diag(curvature), 15.0), 15.0, 0.7, False, step)
    move = step * (15.0, 1, 1)
    assert np.isfinite(move).all()
    assert 0 < np.linalg.norm(move) <= 0.7 * (1 + 1e-9)
    assert gradient @ move > 0


def test_without_any_score_there_is_no_step():
    step = np.empty(3)
    assert newton_step(np.zeros(SUMS), 15.0, 0.7, False, step) == 0.0
    np.testing.assert_array_equal(step, 0.0)


def test_with_the_shift_held_only_the_angle_moves():
    gradient, curvature = np.array([0.3, -0.4, 0.5]), np.diag([-2.0, -3.0, -4.0])
    step = np.empty(3)
    newton_step(sums_of(gradient, curvature, 15.0), 15.0, 10.0, True, step)
    np.testing.assert_allclose(step, (0.3 / 2 / 15.0, 0.0, 0.0), atol=1e-12)
