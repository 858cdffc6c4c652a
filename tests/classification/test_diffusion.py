"""Diffusion maps: the exact spectra of the cap graph, mirrors as one real problem, refusals, threads."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.diffusion import diffuse
from cryoalign.core.errors import InputError
from cryoalign.synchronization.edges import undirected
from helpers.sphere_graphs import angle_between_deg, cap_graph, fibonacci_frames, random_frames, rewired_graph


@pytest.fixture(scope="module")
def cap():
    """Fibonacci views joined within 20 degrees, and the eigenvectors of the graph."""
    frames = fibonacci_frames(2500, seed=1)
    return frames, diffuse(cap_graph(frames, 20.0), 8, 30, tolerance=1e-3)


def test_spectrum_and_affinity_of_the_cap_graph(cap):
    frames, embedding = cap
    h = 1 - np.cos(np.deg2rad(20))
    i, j = np.random.default_rng(0).integers(0, len(frames), (2, 2000))
    cosine = np.cos(np.deg2rad(angle_between_deg(frames, i, j)))
    for k, values, vectors in zip(embedding.frequency, embedding.eigenvalue, embedding.vector, strict=True):
        top = 2 / (h * (k + 1)) * (1 - (1 - h / 2) ** (k + 1))
        np.testing.assert_allclose(values[: 2 * k + 1], top, atol=0.003)
        assert values[2 * k] - values[2 * k + 1] > 0.8 * (k + 1) * h / 2
        rows = vectors[:, : 2 * k + 1]
        rows = rows / np.linalg.norm(rows, axis=1)[:, None]
        np.testing.assert_allclose(np.abs((rows[i] * rows[j].conj()).sum(axis=1)), ((1 + cosine) / 2) ** k, atol=0.03)


def test_mirrored_graph_equals_the_graph_of_images_and_their_mirrors():
    n = 260
    edges = rewired_graph(random_frames(n, 4), 12, 0.7, seed=4, mirrors=True)
    assert 0.3 < edges.mirror.mean() < 0.7
    embedding = diffuse(edges, 3, 12, tolerance=1e-5)
    angle = np.exp(3j * np.deg2rad(edges.angle_deg))
    whole = np.zeros((2 * n, 2 * n), complex)
    for i, j, m, e in zip(edges.i, edges.j, edges.mirror, angle, strict=True):
        whole[i, j + n * m] = e
        # i's mirror sees j's mirror, or j, turned the other way.
        whole[i + n, j + n * (not m)] = e.conj()
    whole += whole.conj().T
    degree = np.abs(whole).sum(axis=1)
    whole /= np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(embedding.eigenvalue[2], np.linalg.eigvalsh(whole)[::-1][:12], atol=2e-5)
    both = np.concatenate([embedding.vector[2], embedding.vector[2].conj()])
    assert np.abs(whole @ both - both * embedding.eigenvalue[2]).max() < 1e-4
    np.testing.assert_allclose(np.linalg.norm(embedding.vector[2], axis=0), 1, atol=1e-4)


def test_threads_change_no_byte():
    edges = rewired_graph(random_frames(600, 5), 20, 0.6, seed=5, mirrors=True)
    one, two = diffuse(edges, 3, 20), diffuse(edges, 3, 20, threads=2)
    assert all(np.array_equal(a, b) for a, b in zip(one.vector, two.vector, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(one.eigenvalue, two.eigenvalue, strict=True))


def test_what_cannot_be_solved_is_refused():
    edges = undirected(30, [0, 1], [1, 2], [0, 0])
    with pytest.raises(InputError, match="k-max 4 needs 30 eigenvectors"):
        diffuse(edges, 4, 30)
    with pytest.raises(InputError, match="k-max must be at least 1"):
        diffuse(edges, 0, 5)
    with pytest.raises(InputError, match="no edge"):
        diffuse(edges.with_weight(np.zeros(2)), 2, 5)


def test_images_without_edges_have_no_place():
    edges = cap_graph(fibonacci_frames(200, seed=2), 30.0)
    lonely = undirected(201, edges.i, edges.j, edges.angle_deg)
    vectors = diffuse(lonely, 1, 10).vector[0]
    assert np.abs(vectors[200]).max() < 1e-6
