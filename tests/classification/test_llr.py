"""The pair score is the log-likelihood ratio of two Gaussian models, which scipy knows too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cryoalign.classification.llr import likelihood_weights, pair_weights

FREQUENCY = np.array([0, 0, 1, 2, 2])
EIGENVALUE = np.array([5.0, 0.4, 2.0, 1.0, 0.1])


def draw(rng, n):
    """Draw complex components; those of k = 0 are real."""
    values = rng.normal(size=(n, 5)) + 1j * np.where(FREQUENCY, rng.normal(size=(n, 5)), 0)
    return (values * 1.5).astype(np.complex64)


def ratio_by_densities(a, b, variance_a, variance_b, covariance):
    """Log density of the pair together less those of each alone; k > 0 has two real numbers of half the variance."""
    total = 0.0
    for p, k in enumerate(FREQUENCY):
        half = 1.0 if k == 0 else 0.5
        together = half * np.array([[variance_a[p], covariance[p]], [covariance[p], variance_b[p]]])
        for part in ("real",) if k == 0 else ("real", "imag"):
            x, y = float(getattr(a[p], part)), float(getattr(b[p], part))
            total += multivariate_normal([0, 0], together).logpdf([x, y])
            total -= multivariate_normal(0, together[0, 0]).logpdf(x)
            total -= multivariate_normal(0, together[1, 1]).logpdf(y)
    constant = sum(
        -(0.5 if k == 0 else 1.0) * np.log(1 - covariance[p] ** 2 / (variance_a[p] * variance_b[p]))
        for p, k in enumerate(FREQUENCY)
    )
    return total - constant


def test_scores_are_ratios_of_likelihoods():
    rng = np.random.default_rng(0)
    a, b = draw(rng, 4), draw(rng, 4)
    variance_a, variance_b = EIGENVALUE + 1, EIGENVALUE + 0.25
    covariance = 0.8 * EIGENVALUE
    weights = likelihood_weights(FREQUENCY, variance_a, variance_b, covariance)
    product = (weights.weighted(a) * weights.weighted(b).conj()).real.sum(axis=1)
    score = product - weights.own_terms(a) - weights.partner_terms(b)
    expected = [ratio_by_densities(x, y, variance_a, variance_b, covariance) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(score, expected, rtol=2e-5)


def test_the_euclidean_score_is_half_the_squared_distance():
    rng = np.random.default_rng(1)
    a, b = draw(rng, 3), draw(rng, 3)
    weights = pair_weights("euclidean", FREQUENCY, EIGENVALUE)
    m = np.where(FREQUENCY == 0, 1, 2)
    score = (weights.weighted(a) * weights.weighted(b).conj()).real.sum(axis=1)
    score = score - weights.own_terms(a) - weights.own_terms(b)
    np.testing.assert_allclose(score, -0.5 * (m * np.abs(a - b) ** 2).sum(axis=1), rtol=1e-5)


def test_weak_components_count_little_and_impossible_covariances_are_held():
    weights = pair_weights("llr", FREQUENCY, EIGENVALUE)
    m = np.where(FREQUENCY == 0, 1, 2)
    assert (np.argsort(weights.product / m) == np.argsort(EIGENVALUE / (2 * EIGENVALUE + 1))).all()
    held = likelihood_weights(FREQUENCY, EIGENVALUE + 1, EIGENVALUE + 1, np.array([99.0, -1, 2, 1, 0.1]))
    assert np.isfinite(held.product).all()
    assert held.product[1] == pytest.approx(0)
