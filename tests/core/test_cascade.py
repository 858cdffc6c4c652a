"""Which coarse cells become candidates."""

import numpy as np
import pytest

from cryoalign.core.search.bank import build_bank
from cryoalign.core.search.cascade import FLOOR, NEAR_ANGLES, CandidateRule, CellGrid, choose_candidates, tile_room
from cryoalign.core.search.polar import plan_rings
from cryoalign.core.search.refine import score_field

SHIFTS = np.array([[0.0, 0], [2, 0], [-2, 0], [0, 2], [0, -2], [4, 0]])
N_ANGLES = 60
FIELD = score_field(build_bank(np.zeros((1, 16, 16), np.float32), plan_rings(16, 4)), 5.0)


def choose(best, angle=None, *, inverse_root=None, near=2.5, per_reference=2, fraction=0.94, fewest=1, most=12):
    """Choose from scores given as one row per reference; return [(reference, shift), ...] and the ratio."""
    best = np.asarray(best, np.float32)
    angle = np.zeros(best.shape, np.int32) if angle is None else np.asarray(angle, np.int32)
    inverse_root = np.ones(len(best), np.float32) if inverse_root is None else np.asarray(inverse_root, np.float32)
    grid = CellGrid(N_ANGLES, SHIFTS, near)
    rule = CandidateRule(per_reference, fraction, fewest, most)
    room = tile_room(most, len(best), FIELD)
    room.inverse_root[:] = inverse_root
    room.chosen[:] = -7
    count, ratio = choose_candidates(best.ravel(), angle.ravel(), grid, rule, room)
    return [tuple(map(int, divmod(c, len(SHIFTS)))) for c in room.chosen[:count]], float(ratio)


def test_the_best_cell_comes_first_and_its_own_flank_does_not_count():
    cells, ratio = choose([[10, 9.9, 5, 9.8, 5, 2]])
    assert cells == [(0, 0)]
    # The cells at 2 px with the same angle are the same peak; the one at 4 px is another.
    assert ratio == pytest.approx(0.2)


def test_another_peak_of_the_same_reference_is_kept_by_its_shift_or_by_its_angle():
    assert choose([[10, 3, 3, 3, 3, 9.5]])[0] == [(0, 0), (0, 5)]
    turns = lambda steps: [[0, steps, 0, 0, 0, 0]]
    assert choose([[10, 9.6, 3, 3, 3, 3]], turns(NEAR_ANGLES + 1))[0] == [(0, 0), (0, 1)]
    assert choose([[10, 9.6, 3, 3, 3, 3]], turns(NEAR_ANGLES))[0] == [(0, 0)]


def test_angles_are_compared_round_the_circle():
    near_zero = np.array([[1, N_ANGLES - 1, 0, 0, 0, 0]])
    assert choose([[10, 9.6, 3, 3, 3, 3]], near_zero)[0] == [(0, 0)]


def test_references_compete_by_score_over_root_energy():
    cells, ratio = choose([[10, 1, 1, 1, 1, 1], [30, 1, 1, 1, 1, 1]], inverse_root=[1.0, 0.32])
    assert cells == [(0, 0), (1, 0)]
    assert ratio == pytest.approx(0.96)


def test_fraction_fewest_and_most():
    best = np.full((6, 6), 1.0)
    best[:, 2] = [10, 9.5, 9.0, 8.5, 8.0, 4.0]
    assert choose(best, fraction=0.94)[0] == [(0, 2), (1, 2)]
    assert choose(best, fraction=0.84)[0] == [(0, 2), (1, 2), (2, 2), (3, 2)]
    assert choose(best, fraction=0.94, fewest=4)[0] == [(m, 2) for m in range(4)]
    # Below the floor nothing is worth refining, however few there are.
    assert 4.0 < FLOOR * 10 < 8.0
    assert choose(best, fraction=0.94, fewest=6)[0] == [(m, 2) for m in range(5)]
    assert choose(best, fraction=0.0, fewest=6, most=3)[0] == [(m, 2) for m in range(3)]
    assert len(choose(best, fraction=0.0, fewest=0, most=12)[0]) == 12


def test_at_most_so_many_per_reference():
    best = np.array([[10, 3, 3, 3, 3, 9.9], [9.8, 3, 3, 3, 3, 9.7]])
    assert choose(best)[0] == [(0, 0), (0, 5), (1, 0), (1, 5)]
    assert choose(best, per_reference=1)[0] == [(0, 0), (1, 0)]


def test_the_ratio_looks_at_every_other_reference():
    best = np.full((3, 6), 1.0)
    best[:, 0] = [7, 10, 8]
    cells, ratio = choose(best, fraction=0.99)
    assert cells == [(1, 0)]
    assert ratio == pytest.approx(0.8)


def test_where_nothing_correlates_nothing_is_chosen():
    cells, ratio = choose(np.full((2, 6), -1.0))
    assert cells == []
    assert ratio == 1.0
