"""From a pose that is nearly right every measure goes to the optimum beside it, and to no other."""

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Matches
from cryoalign.metrics.names import measure, measure_names
from helpers.pixel_cases import background, copies, degrees_apart, limits, off


def refined(name, case, start, reach):
    kind = measure(name)
    fixed, moving = kind.prepare(case.reference, background(case)), kind.prepare(case.images, background(case))
    return kind.refine(fixed, moving, start, reach), kind.search(fixed, moving, reach)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", measure_names())
def test_the_optimum_beside_the_start_is_found(name, mirror):
    case = copies(6, seed=4, mirror=mirror)
    away = np.array([-4.0, -2.0, -1.0, 1.0, 2.0, 4.0])
    start = Poses(case.psi + away, case.dx + 0.5, case.dy - 0.5, np.full(6, mirror))
    found, searched = refined(name, case, start, limits(case, mirror=mirror))
    turn, shift = off(found, case)
    assert turn.max() < 0.6
    assert shift.max() < 0.3
    np.testing.assert_array_equal(found.poses.mirror, mirror)
    # It is the optimum that the search finds, as this is the best one.
    np.testing.assert_allclose(degrees_apart(found.poses.psi, searched.poses.psi), 0.0, atol=0.3)
    np.testing.assert_allclose(found.poses.dx, searched.poses.dx, atol=0.1)


@pytest.mark.parametrize("name", measure_names())
def test_a_wrong_start_does_not_end_at_the_best_optimum(name):
    case = copies(4, seed=6)
    start = Poses(case.psi + 180.0, case.dx, case.dy)
    found, searched = refined(name, case, start, limits(case))
    sign = 1.0 if measure(name).lower_is_better else -1.0
    assert isinstance(found, Matches)
    assert np.all(off(found, case)[0] > 30.0)
    assert np.all(sign * found.score > sign * searched.score)
