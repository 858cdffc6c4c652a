"""Steerable PCA: the covariance of images in all rotations and both handednesses, frequency by frequency.

Zhao, Shkolnisky & Singer 2016 (IEEE Trans. Comput. Imaging 2, 1) with orthonormal coefficients: white noise of variance
1 adds the identity to each block C_k = mean of c c*, and mirrors leave its real part. A component is kept where its
sample eigenvalue lies beyond the edge of what noise alone gives (Johnstone 2001, Ann. Stat. 29, 295), and its own
variance follows from the sample's by the spiked model (Baik & Silverstein 2006, J. Multivar. Anal. 97, 1382).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.steerable.basis import FourierBesselBasis, fixed_signs, shift_pixels

TRACY_WIDOM = 3.27
"""Quantile .999 of the Tracy-Widom law of real matrices: one frequency in a thousand passes noise as signal."""
MIN_COMPONENTS = 8
"""So many are always kept, that images without a signal can be told so."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over images: how many, sum of the coefficients of k = 0, and sum of Re c c* of each frequency."""

    count: int
    first: NDArray[np.float64]
    second: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class SteerablePca:
    """Principal components of images under rotations and mirrors.

    Parameters
    ----------
    frequency
        Angular frequency of each component, int64 (P,), ascending; within one by falling eigenvalue.
    eigenvalue
        Variance of the signal in each component, the noise's 1 removed, float64 (P,), positive.
    mean
        Mean coefficients of the basis, float64 (P0,): 0 but for k = 0; they are taken off before projecting.
    vectors
        Components as columns, float64 (P0, P), orthonormal; 0 between different frequencies.
    n_above_noise
        How many stand above the noise; fewer than P if hardly any does.
    """

    frequency: NDArray[np.int64]
    eigenvalue: NDArray[np.float64]
    mean: NDArray[np.float64]
    vectors: NDArray[np.float64]
    n_above_noise: int

    @property
    def mean_component(self) -> NDArray[np.float64]:
        """The mean along the components, float64 (P,)."""
        return np.asarray(self.mean @ self.vectors)


def moments(coefficients: NDArray[np.complexfloating], frequency: NDArray[np.integer]) -> Moments:
    """Sum what the covariance needs over images, coefficients (n, P0): mirrors change nothing, not a bit."""
    second = []
    for k in range(int(frequency.max()) + 1):
        block = coefficients[:, frequency == k]
        # Products of two real or of two imaginary parts: signs flipped by a mirror cancel in each.
        real, imag = np.ascontiguousarray(block.real), np.ascontiguousarray(block.imag)
        second.append(np.asarray(real.T @ real + imag.T @ imag, dtype=np.float64))
    first = coefficients[:, frequency == 0].real.sum(axis=0, dtype=np.float64)
    return Moments(len(coefficients), first, tuple(second))


def fit_steerable_pca(
    parts: Iterable[Moments],
    frequency: NDArray[np.integer],
    *,
    max_components: int = 150,
    min_components: int = MIN_COMPONENTS,
) -> SteerablePca:
    """Find the components that stand above white noise of variance 1.

    Parameters
    ----------
    parts
        Moments of the images in parts, added in the order they come.
    frequency
        Angular frequencies of the basis, shape (P0,).
    max_components
        Keep at most so many, those with the most signal.
    min_components
        Keep so many even if noise could have made them.

    Raises
    ------
    ValueError
        If there are fewer than two images.
    """
    count, first, second = _total(parts)
    if count < 2:
        raise ValueError(f"principal components need two images at least, not {count}")
    mean = np.zeros(len(frequency))
    mean[frequency == 0] = first / count
    second[0] = second[0] - np.outer(first, first) / count
    found_frequency, found_value, found_excess, found_vector = [], [], [], []
    for k, products in enumerate(second):
        at = np.flatnonzero(frequency == k)
        if not len(at):
            continue
        # Real and imaginary parts are samples of their own; k = 0 has none but the real, and its mean was taken off.
        samples = 2 * count if k else count - 1
        sample, vector = np.linalg.eigh(products / (count if k else count - 1))
        sample, vector = sample[::-1], fixed_signs(vector[:, ::-1])
        found_frequency += [k] * len(at)
        found_value.append(signal_variance(sample, len(at), samples))
        found_excess.append(sample - noise_edge(len(at), samples))
        placed = np.zeros((len(frequency), len(at)))
        placed[at] = vector
        found_vector.append(placed)
    value, excess = np.concatenate(found_value), np.concatenate(found_excess)
    n_above = int(np.count_nonzero(excess > 0))
    # By signal where there is any, then by how near the noise's edge: both fall along a frequency.
    order = np.lexsort((-excess, -np.where(excess > 0, value, 0.0)))
    kept = np.sort(order[: min(max(n_above, min_components), max_components)])
    vectors = np.ascontiguousarray(np.concatenate(found_vector, axis=1)[:, kept])
    return SteerablePca(np.array(found_frequency, np.int64)[kept], value[kept], mean, vectors, n_above)


def all_components(pca_of: Iterable[Moments], frequency: NDArray[np.integer]) -> SteerablePca:
    """Rotate each frequency to its principal axes and keep every one: nothing is thrown away."""
    every = len(frequency)
    return fit_steerable_pca(pca_of, frequency, max_components=every, min_components=every)


def noise_edge(size: int, samples: int) -> float:
    """Return what the largest eigenvalue of a covariance of `samples` real noise vectors of `size` hardly exceeds."""
    a, b = np.sqrt(max(samples - 1, 1)), np.sqrt(size)
    return float(((a + b) ** 2 + TRACY_WIDOM * (a + b) * (1 / a + 1 / b) ** (1 / 3)) / samples)


def signal_variance(sample_eigenvalue: NDArray[np.float64], size: int, samples: int) -> NDArray[np.float64]:
    """Return the variance l of the signal whose sample eigenvalue is (1 + l)(1 + size / (samples l)).

    Sample eigenvalues within the noise's bulk get the least variance that could be seen, sqrt(size / samples).
    """
    ratio = size / samples
    half = 0.5 * (sample_eigenvalue - 1.0 - ratio)
    return np.asarray(np.where(half > np.sqrt(ratio), half + np.sqrt(np.maximum(half**2 - ratio, 0.0)), np.sqrt(ratio)))


def pixel_matrix(
    basis: FourierBesselBasis, pca: SteerablePca, shift_px: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """Return what takes images to the components of their copies moved by +d, before the mean is taken off.

    Parameters
    ----------
    basis, pca
        What the components are.
    shift_px
        d = (dx, dy) in pixels.

    Returns
    -------
    NDArray
        float32, shape (L * L, 2 P), for `multiply_pixels`; take `SteerablePca.mean_component` off the product.
    """
    functions = basis.matrix.view(np.complex64) @ pca.vectors.astype(np.complex64)
    return shift_pixels(functions, basis.box, shift_px).view(np.float32)


def _total(parts: Iterable[Moments]) -> tuple[int, NDArray[np.float64], list[NDArray[np.float64]]]:
    count, first, second = 0, np.zeros(0), list[NDArray[np.float64]]()
    for part in parts:
        if count:
            first, second = first + part.first, [a + b for a, b in zip(second, part.second, strict=True)]
        else:
            first, second = part.first, list(part.second)
        count += part.count
    return count, first, second
