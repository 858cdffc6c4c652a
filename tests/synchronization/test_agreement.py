"""Agreement of found and true poses, free up to one rotation and one handedness."""

from __future__ import annotations

import numpy as np
import pytest

from benchlib.agreement import agreement, correlation
from cryoalign.core.poses import Poses


def test_one_constant_costs_nothing_and_a_sign_costs_everything():
    psi = np.random.default_rng(0).uniform(-180, 180, 500)
    assert correlation(psi + 77, psi) == pytest.approx(1)
    assert correlation(-psi, psi) < 0.2
    assert correlation(np.zeros(4), [0, 90, 180, 270]) == pytest.approx(0, abs=1e-12)


def test_errors_are_about_the_best_constant():
    psi = np.array([10.0, 50.0, -170.0, 100.0])
    noise = np.array([1.0, -1.0, 2.0, -2.0])
    found = agreement(psi + noise + 200, psi)
    assert found.error_deg == pytest.approx(noise, abs=1e-6)
    assert found.correlation == pytest.approx(np.cos(np.deg2rad(noise)).mean())


@pytest.mark.parametrize("flipped", [False, True])
def test_a_change_of_the_common_frame_costs_nothing(flipped):
    rng = np.random.default_rng(1)
    truth = Poses(rng.uniform(-180, 180, 300), np.zeros(300), np.zeros(300), rng.random(300) < 0.5)
    found = truth.then(Poses([33.0], [0], [0], [flipped]))
    result = agreement(found.psi, truth.psi, found.mirror, truth.mirror)
    assert result.correlation == pytest.approx(1)
    assert result.handed.all()
    assert np.abs(result.error_deg).max() < 1e-6
    wrong = found.mirror.copy()
    wrong[:30] ^= True
    assert agreement(found.psi, truth.psi, wrong, truth.mirror).correlation == pytest.approx(0.9)
