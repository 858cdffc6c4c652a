"""The coarse search against sums over the points, cell by cell."""

import finufft
import numpy as np
import pytest

from cryoalign.core.search.bank import build_bank
from cryoalign.core.search.coarse import CoarseWorkspace, plan_coarse, shift_grid
from cryoalign.core.search.polar import plan_rings
from cryoalign.core.tiles import TILE

BOX, RINGS, COARSE, RADIUS = 64, 26, 16, 26.0
CONTENT = 20.0
"""References end here, well inside the radius that the plan is told, so that no harmonic of theirs is trimmed."""


def references(count, content=CONTENT):
    rng = np.random.default_rng(51)
    offset = np.arange(BOX) - BOX // 2
    disc = np.hypot(offset[:, None], offset[None, :]) < content
    return (rng.standard_normal((count, BOX, BOX)) * disc).astype(np.float32)


def setting(count=3, max_shift=5.0, content=CONTENT):
    """Return references, plan, workspace and weighed images (noise: what the score gives must hold for any D)."""
    images = references(count, content)
    bank = build_bank(images, plan_rings(BOX, RINGS))
    plan = plan_coarse(bank, COARSE, shift_grid(max_shift, BOX / (2.25 * COARSE)), RADIUS)
    polar = np.random.default_rng(52).standard_normal((TILE, 2, bank.layout.n_points)).astype(np.float32)
    return images, plan, CoarseWorkspace(plan), polar


def score(image, plan, polar, shift, angle):
    """Sum w Re(D conj(G)) over the coarse rings, G the reference displaced by the shift, then turned by the angle."""
    layout = plan.layout
    n = layout.ring_start[plan.n_rings]
    kx, ky = (v[:n] for v in layout.points())
    c, s = np.cos(angle), np.sin(angle)
    x, y = c * kx + s * ky, c * ky - s * kx
    unit = 2 * np.pi / layout.box
    turned = finufft.nufft2d2(y * unit, x * unit, image.astype(np.complex128), eps=1e-9, isign=-1, nthreads=1)
    turned = turned * np.exp(-1j * unit * (x * shift[0] + y * shift[1]))
    weight = np.repeat(layout.ring_weight, layout.ring_samples)[:n]
    return (weight * np.real((polar[0, :n] + 1j * polar[1, :n]) * turned.conj())).sum()


def test_every_cell_holds_the_score_at_its_angle():
    images, plan, workspace, polar = setting()
    best, angle = workspace.search(polar)
    assert best.shape == angle.shape == (TILE, plan.n_cells)
    rng = np.random.default_rng(53)
    spread = best.std()
    for _ in range(25):
        i, cell = rng.integers(TILE), rng.integers(plan.n_cells)
        reference, s = divmod(cell, len(plan.shifts))
        exact = score(images[reference], plan, polar[i], plan.shifts[s], 2 * np.pi * angle[i, cell] / plan.n_angles)
        assert best[i, cell] == pytest.approx(exact, abs=1e-4 * spread + 1e-4 * abs(exact))


def test_the_angle_of_a_cell_is_the_best_of_all():
    images, plan, workspace, polar = setting(count=1, max_shift=3.0)
    best, angle = workspace.search(polar)
    for i, cell in ((0, 0), (17, 5), (63, plan.n_cells - 1)):
        curve = [
            score(images[0], plan, polar[i], plan.shifts[cell], 2 * np.pi * a / plan.n_angles)
            for a in range(plan.n_angles)
        ]
        assert angle[i, cell] == np.argmax(curve)
        assert best[i, cell] == pytest.approx(max(curve), rel=1e-4)


def test_angles_are_fine_enough_not_to_miss_a_peak():
    """Between tried angles the score, a sum of n_q harmonics, is sampled more than twice over."""
    _, plan, _, _ = setting()
    assert plan.n_angles >= 2 * len(plan.operand) + 2


def window_angles(plan, low, high):
    return np.arange(low, high + 1) % plan.n_angles


def test_a_window_is_respected_wherever_it_wraps():
    _, plan, workspace, polar = setting(count=2)
    polar[:] = polar[:1]  # the same image in every slot, under different windows
    n = plan.n_angles
    starts = np.linspace(-n, n, TILE).astype(np.int32)
    widths = np.arange(TILE, dtype=np.int32) % 9
    window = np.stack([starts, starts + widths], axis=1)
    best, angle = (v.copy() for v in workspace.search(polar, window))
    full, full_angle = (v.copy() for v in workspace.search(polar))
    for i in range(TILE):
        allowed = window_angles(plan, *window[i])
        assert np.isin(angle[i], allowed).all()
        inside = np.isin(full_angle[i], allowed)
        # Where the best of all angles is allowed it is found; elsewhere it is not reached.
        np.testing.assert_array_equal(angle[i, inside], full_angle[i, inside])
        np.testing.assert_allclose(best[i, inside], full[i, inside], rtol=1e-5)
        assert (best[i, ~inside] <= full[i, ~inside] * (1 + 1e-5)).all()
    assert any((starts[i] < 0) & (starts[i] + widths[i] > 0) for i in range(TILE))


@pytest.mark.parametrize(("content", "tolerance"), [(CONTENT, 1e-4), (RADIUS, 2e-2)])
def test_windows_of_one_angle_trace_the_whole_curve(content, tolerance):
    """With content up to the very radius, sharp and white, trimming the harmonics costs two hundredths at most."""
    images, plan, workspace, polar = setting(count=1, max_shift=0.0, content=content)
    polar[:] = polar[:1]
    picks = (np.arange(TILE) * plan.n_angles // TILE).astype(np.int32)
    best, angle = workspace.search(polar, np.stack([picks, picks], axis=1))
    np.testing.assert_array_equal(angle[:, 0], picks)
    exact = [score(images[0], plan, polar[0], (0.0, 0.0), 2 * np.pi * a / plan.n_angles) for a in picks]
    np.testing.assert_allclose(best[:, 0], exact, atol=tolerance * np.abs(exact).max())


def test_a_row_does_not_depend_on_the_other_rows():
    _, _, workspace, polar = setting()
    best, angle = (v.copy() for v in workspace.search(polar))
    keep = [0, 9, 40, 63]
    polar[np.setdiff1d(np.arange(TILE), keep)] = 0.0
    again, angle_again = workspace.search(polar)
    assert again[keep].tobytes() == best[keep].tobytes()
    assert angle_again[keep].tobytes() == angle[keep].tobytes()


@pytest.mark.parametrize(("max_shift", "step"), [(5.0, 1.7), (4.0, 2.0), (0.7, 1.0)])
def test_shift_grid_leaves_no_point_of_the_disc_a_step_away_from_all_cells(max_shift, step):
    grid = shift_grid(max_shift, step)
    np.testing.assert_array_equal(grid[0], 0.0)
    radius = np.hypot(*grid.T)
    assert (np.diff(np.round(radius, 9)) >= 0).all()
    assert radius.max() <= max_shift + step / 2 + 1e-9
    assert len(np.unique(grid.round(6), axis=0)) == len(grid)
    r, a = np.meshgrid(np.linspace(0, max_shift, 20), np.linspace(0, 2 * np.pi, 41))
    x, y = (r * np.cos(a)).ravel(), (r * np.sin(a)).ravel()
    nearest = np.hypot(x[:, None] - grid[:, 0], y[:, None] - grid[:, 1]).min(axis=1)
    assert nearest.max() <= 1.05 * step
    assert nearest[r.ravel() < max_shift - step].max(initial=0.0) <= 0.72 * step


def test_no_shift_is_one_cell():
    np.testing.assert_array_equal(shift_grid(0.0, 1.0), [[0.0, 0.0]])
