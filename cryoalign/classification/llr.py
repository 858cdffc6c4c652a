"""Log-likelihood ratio of two images, "of the same clean image" against "independent", as a weighted product.

Component p of two images is Gaussian with variances v_a and v_b and, if both show the same view, covariance c. With
det = v_a v_b - c^2 and m = 1 for k = 0, 2 for k > 0 (which stands for k and -k) the ratio is

    sum_p m [ (c / det) Re(a conj b) - (v_b / det - 1 / v_a) |a|^2 / 2 - (v_a / det - 1 / v_b) |b|^2 / 2 ]:

a product of weighted coefficients less a term of each image alone. The usual inner product trusts every component
alike; this one counts what the noise leaves of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.settings import Score
from cryoalign.core.steerable.basis import multiplicity

_MOST = 0.999


@dataclass(frozen=True, eq=False)
class ScoreWeights:
    """A score sum_p product_p Re(a conj b) - sum_p first_p |a|^2 - sum_p second_p |b|^2; arrays (P,) with m in them."""

    product: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def weighted(self, coefficients: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Return coefficients (n, P) whose plain products have the weights of this score: complex64."""
        return np.asarray(coefficients * np.sqrt(self.product).astype(np.float32))

    def own_terms(self, coefficients: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Return what is taken off for each image as the first of a pair, float32 (n,)."""
        return _energies(coefficients, self.first)

    def partner_terms(self, coefficients: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Return what is taken off for each image as the second of a pair, float32 (n,)."""
        return _energies(coefficients, self.second)


def likelihood_weights(
    frequency: NDArray[np.integer], variance_first: ArrayLike, variance_second: ArrayLike, covariance: ArrayLike
) -> ScoreWeights:
    """Return the weights of the log-likelihood ratio.

    Parameters
    ----------
    frequency
        Angular frequency of each component, shape (P,).
    variance_first, variance_second
        v_a and v_b, signal and noise, shape (P,).
    covariance
        c, shape (P,); held between 0 and just below what the variances allow.
    """
    m = multiplicity(frequency).astype(np.float64)
    a, b = (np.asarray(v, dtype=np.float64) for v in (variance_first, variance_second))
    c = np.clip(np.asarray(covariance, dtype=np.float64), 0.0, _MOST * np.sqrt(a * b))
    determinant = a * b - c**2
    return ScoreWeights(
        m * c / determinant, 0.5 * m * (b / determinant - 1.0 / a), 0.5 * m * (a / determinant - 1.0 / b)
    )


def pair_weights(score: Score, frequency: NDArray[np.integer], eigenvalue: NDArray[np.floating]) -> ScoreWeights:
    """Return the weights of the score of two single images, neighbours being of the very same view.

    Parameters
    ----------
    score
        "llr", or "euclidean": half the squared distance, negated.
    frequency, eigenvalue
        Of the components, shape (P,); the noise of each has variance 1.
    """
    if score == "euclidean":
        m = multiplicity(frequency).astype(np.float64)
        return ScoreWeights(m, 0.5 * m, 0.5 * m)
    variance = eigenvalue + 1.0
    return likelihood_weights(frequency, variance, variance, eigenvalue)


def _energies(coefficients: NDArray[np.complex64], weight: NDArray[np.float64]) -> NDArray[np.float32]:
    # Row by row the same sums, whatever the number of rows: no matrix product.
    power = coefficients.real**2 + coefficients.imag**2
    return np.asarray((power * weight.astype(np.float32)).sum(axis=1), dtype=np.float32)
