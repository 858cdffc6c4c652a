"""Angles of the nodes: signs, components, noise that the default must stand, what is signal, the published table."""

from __future__ import annotations

import numpy as np
import pytest

from benchlib.agreement import agreement
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.synchronization.edges import EdgeList, every_edge
from cryoalign.synchronization.phases import phase_graph
from cryoalign.synchronization.power import multi_frequency_power_method, power_method
from cryoalign.synchronization.ppe import periodogram_peaks
from cryoalign.synchronization.settings import ALGORITHMS, SyncSettings
from cryoalign.synchronization.spectral import top_eigenvectors
from cryoalign.synchronization.synchronise import synchronise
from cryoalign.synchronization.votes import best_votes, dirichlet


def corrupted(n: int, strength: float, seed: int, jitter_rad: float = 0.0) -> tuple[np.ndarray, EdgeList]:
    """Complete graph whose edges are right with probability strength / sqrt(n), else uniform."""
    generator = np.random.default_rng([seed, n])
    psi = generator.uniform(-180, 180, n)
    i, j = np.triu_indices(n, 1)
    angle = psi[j] - psi[i] + np.rad2deg(jitter_rad) * generator.standard_normal(len(i))
    wrong = generator.random(len(i)) > strength / np.sqrt(n)
    angle[wrong] = generator.uniform(-180, 180, wrong.sum())
    return psi, every_edge(n, i, j, angle)


def gaussian(n: int, sigma: float, seed: int) -> tuple[np.ndarray, EdgeList]:
    """Phases of a complete graph's matrix plus sigma sqrt(n) of complex Gaussian noise."""
    generator = np.random.default_rng([seed, n])
    psi = generator.uniform(-180, 180, n)
    i, j = np.triu_indices(n, 1)
    noise = (generator.standard_normal(len(i)) + 1j * generator.standard_normal(len(i))) / np.sqrt(2)
    value = np.exp(1j * np.deg2rad(psi[j] - psi[i])) + sigma * np.sqrt(n) * noise
    return psi, every_edge(n, i, j, np.rad2deg(np.angle(value)))


def correlation(found_deg: np.ndarray, true_deg: np.ndarray) -> float:
    return float(np.abs(np.mean(np.exp(1j * np.deg2rad(found_deg - true_deg)))))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_true_poses_give_back_the_true_angles_and_the_wrong_sign_does_not(algorithm):
    generator = np.random.default_rng(1)
    psi = generator.uniform(-180, 180, 40)
    poses = Poses(psi, np.zeros(40), np.zeros(40))
    i, j = np.triu_indices(40, 1)
    angle = poses.take(j).then(poses.take(i).inverse()).psi  # brings j onto i
    found = synchronise(every_edge(40, i, j, angle), SyncSettings(algorithm, k_max=8))
    np.testing.assert_allclose(wrap_degrees(found.psi_deg - psi + psi[0]), 0, atol=0.05)
    assert found.psi_deg[0] == 0 and found.signal and np.abs(found.residual_deg).max() < 0.1
    turned = synchronise(every_edge(40, i, j, -angle), SyncSettings(algorithm, k_max=8))
    assert correlation(turned.psi_deg, psi) < 0.5


def test_angles_without_error_come_back_without_error_from_a_fifth_of_the_edges():
    psi, edges = corrupted(100, 3, 5)
    found = synchronise(edges)
    np.testing.assert_allclose(wrap_degrees(found.psi_deg - psi + psi[0]), 0, atol=0.01)


@pytest.mark.parametrize(("strength", "jitter", "least"), [(1.5, 0.0, 0.995), (1.2, 0.0, 0.97), (2.0, 0.2, 0.98)])
def test_gross_errors(strength, jitter, least):
    psi, edges = corrupted(300, strength, 7, jitter)
    found = synchronise(edges)
    assert correlation(found.psi_deg, psi) >= least
    assert found.signal and found.held_out_log_likelihood > 0.01 and found.algorithm_used == ("auto",)
    # The confidence of a node is the expected cosine of its error.
    error = np.deg2rad(agreement(found.psi_deg, psi).error_deg)
    assert abs(found.confidence.mean() - np.cos(error).mean()) < 0.03


@pytest.mark.parametrize(
    ("make", "strength"), [("gaussian", 0.2), ("gaussian", 0.4), ("gaussian", 0.6), ("corrupted", 1.0)]
)
def test_where_one_frequency_is_best_or_little_is_known_many_cost_nothing(make, strength):
    psi, edges = (gaussian if make == "gaussian" else corrupted)(150, strength, 1)
    graph = phase_graph(edges)
    top = top_eigenvectors(graph).phases
    plain = [np.rad2deg(np.angle(x)) for x in (top, power_method(graph, top))]
    assert correlation(synchronise(edges).psi_deg, psi) >= max(correlation(x, psi) for x in plain) - 0.0115


def test_without_signal_it_says_so():
    found = synchronise(corrupted(100, 0.6, 1)[1])
    assert not found.signal and abs(found.held_out_log_likelihood) < 0.003


def test_the_published_method_gives_the_published_table():
    mean = {}
    for strength, k_max in ((1.5, 1), (1.5, 4), (1.5, 16), (1.2, 1), (1.2, 32), (0.6, 4)):
        found = []
        for seed in range(8):
            psi, edges = corrupted(100, strength, seed)
            found.append(correlation(np.rad2deg(np.angle(periodogram_peaks(phase_graph(edges), k_max)[0])), psi))
        mean[strength, k_max] = np.mean(found)
    for k_max, value in ((1, 0.744), (4, 0.855), (16, 0.975)):
        assert abs(mean[1.5, k_max] - value) < 0.0575
    assert mean[1.5, 1] < mean[1.5, 4] < mean[1.5, 16]
    assert mean[1.2, 32] - mean[1.2, 1] > 0.25 / 1.15 and mean[0.6, 4] < 0.3


def test_votes_with_a_dirichlet_kernel_are_the_second_stage_of_the_published_method():
    _, edges = corrupted(60, 2, 3, 0.1)
    graph = phase_graph(edges)
    x = top_eigenvectors(graph).phases
    k_max, psi = 6, np.angle(x)
    fine = np.linspace(-np.pi, np.pi, 7201)[:-1]
    value = sum(
        np.real(graph.multiply(graph.turns(k), x**k)[:, None] * np.exp(-1j * k * fine)) for k in range(1, k_max + 1)
    )
    moved = best_votes(graph, psi, dirichlet(k_max, 128))
    assert np.abs(np.angle(np.exp(1j * (moved - fine[np.argmax(value, axis=1)])))).max() < np.deg2rad(0.5)
    better = multi_frequency_power_method(graph, x, k_max)
    assert better.shape == (60,) and np.allclose(np.abs(better), 1)


def test_components_are_solved_alone_and_isolated_nodes_flagged():
    (first, one), (second, two) = corrupted(120, 4, 1, 0.05), corrupted(60, 4, 2, 0.05)
    order = np.random.default_rng(3).permutation(181)
    i = order[np.concatenate([one.i, two.i + 120])]
    j = order[np.concatenate([one.j, two.j + 120])]
    found = synchronise(every_edge(181, i, j, np.concatenate([one.angle_deg, two.angle_deg])))
    assert correlation(found.psi_deg[order[:120]], first) >= 0.995
    assert correlation(found.psi_deg[order[120:180]], second) >= 0.995
    assert set(found.component[order[:120]]) == {1} and set(found.component[order[120:180]]) == {2}
    assert found.component[order[180]] == 3 and np.flatnonzero(found.isolated).tolist() == [order[180]]
    assert found.confidence[order[180]] == 0 and len(found.algorithm_used) == 2


def test_mirrored_nodes_come_back_with_their_hands():
    generator = np.random.default_rng(4)
    n = 80
    poses = Poses(generator.uniform(-180, 180, n), np.zeros(n), np.zeros(n), generator.random(n) > 0.5)
    i, j = np.triu_indices(n, 1)
    between = poses.take(j).then(poses.take(i).inverse())
    wrong = generator.random(len(i)) > 0.5
    angle = np.where(wrong, generator.uniform(-180, 180, len(i)), between.psi)
    mirror = np.where(wrong, generator.random(len(i)) > 0.5, between.mirror)
    found = synchronise(every_edge(n, i, j, angle, mirror))
    near = agreement(found.psi_deg, poses.psi, found.mirror, poses.mirror)
    assert near.correlation > 0.999 and near.handed.all() and found.signal
    assert not found.mirror[0] and found.psi_deg[0] == 0
    assert np.abs(found.residual_deg[~wrong]).max() < 1 and found.inlier[~wrong].mean() > 0.9


def test_the_probability_that_an_edge_is_right_is_calibrated():
    psi, edges = corrupted(300, 4, 9, 0.2)
    right = np.abs(wrap_degrees(edges.angle_deg - psi[edges.j] + psi[edges.i])) < 40
    found = synchronise(edges)
    for low in (0.0, 0.25, 0.5, 0.75):
        rows = (found.inlier >= low) & (found.inlier < low + 0.25)
        # Of edges within 40 degrees a few are wrong ones that came to lie there.
        if low:
            chance = 0.77 * 80 / 360
            share = (right[rows].mean() - chance) / (1 - chance) if low < 0.5 else right[rows].mean()
            assert share > low - 0.1
    assert abs(found.inlier.mean() - 4 / np.sqrt(300)) < 0.03


def test_small_graphs_have_clear_answers():
    one = synchronise(every_edge(1, [], [], []))
    assert one.psi_deg.tolist() == [0] and one.component.tolist() == [1] and one.isolated.all() and not one.signal
    none = synchronise(every_edge(0, [], [], []))
    assert len(none.psi_deg) == 0 and not none.signal
    two = synchronise(every_edge(3, [1], [0], [30]))
    assert two.component.tolist() == [1, 1, 2] and two.isolated.tolist() == [False, False, True]
    np.testing.assert_allclose(two.psi_deg, [0, -30, 0], atol=1e-4)
    assert two.signal and two.held_out_log_likelihood == 0  # nothing can be checked, nothing disagrees
    three = synchronise(every_edge(3, [0, 1, 0], [1, 2, 2], [20, 30, 50]))
    np.testing.assert_allclose(three.psi_deg, [0, 20, 50], atol=0.1)
    both = synchronise(every_edge(2, [0, 0, 0], [1, 1, 1], [20, 20.01, 140]))
    assert len(both.residual_deg) == 3 and abs(both.psi_deg[1]) < 180


def test_threads_do_not_change_a_bit():
    generator = np.random.default_rng(6)
    n, psi = 4600, generator.uniform(-180, 180, 4600)  # rows of several tiles
    i, j = generator.integers(0, n, (2, 46000))
    angle = np.where(generator.random(46000) < 0.7, psi[j] - psi[i], generator.uniform(-180, 180, 46000))
    edges = every_edge(n, i, j, angle)
    one, three = (synchronise(edges, SyncSettings(threads=threads, k_max=4)) for threads in (1, 3))
    for name in ("psi_deg", "confidence", "residual_deg", "inlier"):
        assert getattr(one, name).tobytes() == getattr(three, name).tobytes()
    assert correlation(one.psi_deg, psi) > 0.99


def test_weights_count_where_they_are_told_to():
    generator = np.random.default_rng(2)
    psi, edges = corrupted(100, 3, 4)
    wrong = np.abs(wrap_degrees(edges.angle_deg - psi[edges.j] + psi[edges.i])) > 1
    told = edges.with_weight(np.where(wrong, 0.2, 1) * generator.uniform(0.9, 1, len(edges)))
    spectral = [
        correlation(synchronise(told, SyncSettings("spectral", weights=used)).psi_deg, psi) for used in (True, False)
    ]
    assert spectral[0] > 0.99 > spectral[1]


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="no such algorithm"):
        SyncSettings("magic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="k_max"):
        SyncSettings(k_max=0)
    with pytest.raises(InputError, match="threads"):
        SyncSettings(threads=0)
