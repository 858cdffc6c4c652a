"""What fixes the free rotation and handedness of a component."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.synchronization.anchor import anchored
from cryoalign.synchronization.synchronise import ResidualDensity, Synchronization


def solution(psi, mirror, component, confidence=None) -> Synchronization:
    """A solution as `synchronise` hands it over; only its poses matter here."""
    n = len(psi)
    return Synchronization(
        psi_deg=np.asarray(psi, dtype=float),
        mirror=np.asarray(mirror, dtype=bool),
        component=np.asarray(component, dtype=np.int64),
        confidence=np.ones(n) if confidence is None else np.asarray(confidence, dtype=float),
        residual_deg=np.zeros(0, np.float32),
        inlier=np.zeros(0, np.float32),
        density=ResidualDensity(np.zeros(1), np.ones(1)),
        eigenvalues={},
        held_out_log_likelihood=1.0,
        signal=True,
        algorithm_used=("auto",),
        isolated=np.zeros(n, bool),
    )


def edge_between(sync: Synchronization, i: int, j: int) -> tuple[float, bool]:
    poses = Poses(sync.psi_deg, np.zeros(len(sync.psi_deg)), np.zeros(len(sync.psi_deg)), sync.mirror)
    edge = poses.take([j]).then(poses.take([i]).inverse())
    return float(edge.psi[0]), bool(edge.mirror[0])


def same_edges(one: Synchronization, two: Synchronization) -> bool:
    pairs = [(i, j) for i in range(len(one.psi_deg)) for j in range(i) if one.component[i] == one.component[j]]
    for i, j in pairs:
        (a, m), (b, k) = edge_between(one, i, j), edge_between(two, i, j)
        if m != k or abs(wrap_degrees(a - b)) > 1e-6:
            return False
    return True


PSI = [40.0, 10.0, 100.0, -60.0, 170.0]
PARTS = [1, 2, 1, 2, 1]


@pytest.mark.parametrize("mirror", [[False] * 5, [False, False, True, True, True], [True, True, False, True, False]])
def test_without_anything_known_the_first_row_is_zero_and_not_mirrored(mirror):
    found = anchored(solution(PSI, mirror, PARTS))
    assert found.psi_deg[[0, 1]] == pytest.approx([0, 0], abs=1e-9)
    assert not found.mirror[[0, 1]].any()
    assert same_edges(found, solution(PSI, mirror, PARTS))


def test_an_anchor_turns_its_component_and_no_other():
    before = solution(PSI, [False] * 5, PARTS)
    found = anchored(before, {2: 33.0})
    assert found.psi_deg[2] == pytest.approx(33)
    assert found.psi_deg[0] == pytest.approx(33 - 60)
    assert found.psi_deg[1] == pytest.approx(0, abs=1e-9)
    assert same_edges(found, before)
    found = anchored(before, {2: 33.0, 3: -170.0})
    assert found.psi_deg[[2, 3]] == pytest.approx([33, -170])
    assert same_edges(found, before)


def test_two_anchors_of_a_component_must_agree():
    before = solution(PSI, [False] * 5, PARTS)
    found = anchored(before, {0: 190.0, 2: 250.5})
    assert found.psi_deg[[0, 2]] == pytest.approx([-169.75, -109.75])
    with pytest.raises(InputError, match=r"anchors p1 and p5 are in one component and disagree: 100.00 .* says 130.00"):
        anchored(before, {0: 0.0, 4: 100.0}, names=["p1", "p2", "p3", "p4", "p5"])


def test_two_anchors_decide_the_handedness_of_mirrored_nodes():
    before = solution(PSI, [False, False, True, False, False], PARTS)
    assert anchored(before, {0: 5.0, 4: 135.0}).mirror.tolist() == before.mirror.tolist()
    # Seen from the other side the same two nodes stand 130 degrees apart the other way round.
    found = anchored(before, {0: 5.0, 4: -125.0})
    assert found.psi_deg[[0, 4]] == pytest.approx([5, -125])
    assert found.mirror[[0, 2, 4]].tolist() == [True, False, True]
    assert found.mirror[[1, 3]].tolist() == [False, False]
    assert same_edges(found, before)


def test_unusable_anchors_are_refused():
    before = solution(PSI, [False] * 5, PARTS)
    with pytest.raises(InputError, match="anchor 6 is not one of the 5 nodes"):
        anchored(before, {5: 0.0})
    with pytest.raises(InputError, match="anchor 2 has no usable angle"):
        anchored(before, {1: np.nan})


def test_input_angles_fix_the_rotation_by_their_circular_mean():
    rng = np.random.default_rng(3)
    psi, error = rng.uniform(-180, 180, 60), rng.normal(0, 8, 60)
    component = np.r_[np.full(40, 1), np.full(20, 2)]
    before = solution(psi, np.zeros(60, bool), component)
    prior = psi + np.where(component == 1, 77.0, -145.0) + error
    found = anchored(before, None, prior)
    for label in (1, 2):
        gap = (found.psi_deg - prior)[component == label]
        assert np.angle(np.exp(1j * np.deg2rad(gap)).sum()) == pytest.approx(0, abs=1e-9)
    assert same_edges(anchored(before, None, prior), before)
    # Only images of some weight and a known angle count.
    prior[3:40] = np.nan
    found = anchored(replace(before, confidence=np.r_[0.0, 1.0, np.zeros(58)]), None, prior)
    assert wrap_degrees(found.psi_deg[1] - prior[1]) == pytest.approx(0, abs=1e-6)
    # An anchor comes before the input.
    assert anchored(before, {7: 12.0}, prior).psi_deg[7] == pytest.approx(12)


def test_input_handedness_decides_by_majority_and_only_agreeing_images_fix_the_rotation():
    rng = np.random.default_rng(5)
    n = 30
    truth = Poses(rng.uniform(-180, 180, n), np.zeros(n), np.zeros(n), rng.random(n) < 0.5)
    seen = truth.then(Poses([50.0], [0.0], [0.0], [True]))
    before = solution(seen.psi, seen.mirror, np.ones(n))
    hands, prior = truth.mirror.copy(), truth.psi.copy()
    hands[:8] ^= True
    prior[:8] = rng.uniform(-180, 180, 8)
    found = anchored(before, None, prior, hands)
    assert np.array_equal(found.mirror, truth.mirror)
    assert np.abs(wrap_degrees(found.psi_deg - truth.psi)).max() < 1e-6
    assert same_edges(found, before)


def test_isolated_nodes_and_no_nodes():
    found = anchored(solution([25.0, 7.0], [False, False], [1, 2], [0.0, 0.0]), {1: -3.0}, [20.0, 90.0])
    assert found.psi_deg == pytest.approx([20, -3])
    assert len(anchored(solution([], [], [])).psi_deg) == 0
