"""Fourier ring correlation of the halves of a class, its noise curve, and the resolution read from it.

FRC: Saxton & Baumeister, J. Microsc. 127:127 (1982); van Heel, Keegstra, Schutter & van Bruggen (1982). The 0.143
threshold: Rosenthal & Henderson, J. Mol. Biol. 333:721 (2003). SSNR of the full average = 2 FRC / (1 - FRC).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.filters import conjugate_weight, ring_counts, ring_index

INDEPENDENT, COMMON = "independent", "frc_common_reference"
"""Kinds of an FRC: halves that were aligned apart, and halves that saw the same reference."""
NO_RESOLUTION_ANGSTROM = 999.0
"""Written where the halves say nothing about resolution; never infinity, which some programs cannot read."""
THRESHOLD, THRESHOLD_HALF = 0.143, 0.5
SMOOTHING_RINGS = 3
"""Rings pooled where resolution is read: single rings scatter by the very amount that the thresholds ask about."""
_TELLING = 0.5
"""The search begins where noise alone stays below this: coarser rings have too few samples to tell."""


@dataclass(frozen=True, eq=False)
class RingProducts:
    """Sums over rings 0 .. L // 2 of pairs of spectra, each (..., L // 2 + 1) float64.

    Parameters
    ----------
    cross
        Re a conj(b).
    first, second
        Squares of a and of b.
    """

    cross: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def correlation(self, rings: int = 1) -> NDArray[np.float64]:
        """Return cross / sqrt(first second), sums pooled over so many rings (odd); 0 where there is nothing."""
        cross, first, second = (pool_rings(v, rings) for v in (self.cross, self.first, self.second))
        scale = np.sqrt(first * second)
        return np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 0)


def ring_products(a: NDArray[np.floating], b: NDArray[np.floating]) -> RingProducts:
    """Sum products of the spectra of images (..., L, L) over rings."""
    box = a.shape[-1]
    one, other = scipy.fft.rfft2(np.stack([a, b]).astype(np.float64, copy=False), axes=(-2, -1))
    weight = conjugate_weight(box)
    return RingProducts(
        ring_sums(weight * (one.real * other.real + one.imag * other.imag), box),
        ring_sums(weight * (one.real**2 + one.imag**2), box),
        ring_sums(weight * (other.real**2 + other.imag**2), box),
    )


def ring_sums(values: NDArray[np.float64], box: int) -> NDArray[np.float64]:
    """Sum (..., L, L // 2 + 1) over rings, corners left out: (..., L // 2 + 1)."""
    rings, ring = box // 2 + 1, ring_index(box).ravel()
    flat = values.reshape(-1, ring.size)
    sums = np.stack([np.bincount(ring, row)[:rings] for row in flat]) if len(flat) else np.zeros((0, rings))
    return np.asarray(sums.reshape(*values.shape[:-2], rings))


def pool_rings(values: NDArray[np.floating], rings: int = SMOOTHING_RINGS) -> NDArray[np.float64]:
    """Add each ring's neighbours to it, (rings - 1) / 2 either way; ring 0 stays alone, the ends have fewer."""
    each, half = np.asarray(values, np.float64), rings // 2
    if half == 0 or each.shape[-1] < 3:
        return each
    total = np.cumsum(np.concatenate([np.zeros((*each.shape[:-1], 1)), each[..., 1:]], axis=-1), axis=-1)
    last = each.shape[-1] - 1
    ring = np.arange(1, last + 1)
    low, high = np.maximum(ring - half, 1), np.minimum(ring + half, last)
    return np.concatenate([each[..., :1], total[..., high] - total[..., low - 1]], axis=-1)


@lru_cache(maxsize=32)
def noise_curve(box: int, mask_fraction: float, rings: int = 1, first_ring: int = 0) -> NDArray[np.float64]:
    """Return 3 standard deviations of the FRC of two images that hold nothing but noise: 3 / sqrt(n_ring sqrt(f)).

    A mask correlates neighbouring frequencies. A single ring has those of one direction only, whence the root of f;
    of three rings pooled, n f^(3/4) samples are independent (both measured, for masks of f = 0.25 to 0.7).

    Parameters
    ----------
    box
        Side L in pixels.
    mask_fraction
        Share f of the box that the mask lets through.
    rings
        Rings pooled, 1 or 3.
    first_ring
        Rings before this one are left out of the pools.

    Returns
    -------
    NDArray
        float64, shape (L // 2 + 1,), at most 1; it cannot be written to, as all callers share it.
    """
    counts = np.where(np.arange(box // 2 + 1) >= first_ring, ring_counts(box), 0).astype(np.float64)
    samples = pool_rings(counts, rings) * mask_fraction ** (0.5 if rings == 1 else 0.75)
    curve = 3.0 / np.sqrt(np.maximum(samples, 9.0))
    curve.setflags(write=False)
    return np.asarray(curve)


def mask_fraction(mask: NDArray[np.floating]) -> float:
    """Return the share of the box that a soft mask lets through, as noise sees it: (mean m^2)^2 / mean m^4."""
    square = np.asarray(mask, np.float64) ** 2
    return float(square.mean() ** 2 / (square**2).mean())


def resolution_at(
    frc: NDArray[np.float64], threshold: NDArray[np.float64], first_ring: int, box: int, pixel_size_angstrom: float
) -> float:
    """Read the resolution: where the FRC first falls below the threshold, linear between rings.

    Parameters
    ----------
    frc, threshold
        Shape (L // 2 + 1,).
    first_ring
        Where the search begins.
    box, pixel_size_angstrom
        Side L in pixels, pixel size in A.

    Returns
    -------
    float
        In A; that of the last ring if the FRC never falls, 999 if it is below the threshold at the first ring or
        there is no ring to look at.
    """
    excess, last = frc - threshold, len(frc) - 1
    first = max(first_ring, 1)
    if first > last or not excess[first] >= 0:
        return NO_RESOLUTION_ANGSTROM
    below = np.flatnonzero(~(excess[first:] >= 0))
    ring = float(last)
    if len(below):
        k = first + int(below[0])
        ring = k - 1 + float(excess[k - 1] / (excess[k - 1] - excess[k]))
    return box * pixel_size_angstrom / ring


@dataclass(frozen=True, eq=False)
class ClassFrc:
    """FRC of a class's halves inside the soft mask.

    Parameters
    ----------
    frc, noise_curve, ssnr
        Per ring 0 .. L // 2: the correlation, what noise alone exceeds by chance at 3 sigma, and the spectral
        signal-to-noise ratio (power) of the full average.
    shared_ring
        Up to this ring the halves were aligned to the same reference and correlate whether they show anything or not
        (``frc_common_reference``); only finer rings are independent. The last ring = nothing is independent.
    resolution_angstrom, resolution_half_angstrom
        Where the independent FRC, pooled over 3 rings, first falls below max(0.143, noise curve) and max(0.5, noise
        curve), in A; 999 where there is none.
    """

    frc: NDArray[np.float64]
    noise_curve: NDArray[np.float64]
    ssnr: NDArray[np.float64]
    shared_ring: int
    resolution_angstrom: float
    resolution_half_angstrom: float

    @property
    def independent(self) -> bool:
        """Whether any ring is independent; if not, nothing here is a resolution."""
        return self.shared_ring < len(self.frc) - 1

    @property
    def kind(self) -> str:
        """The word that files use."""
        return INDEPENDENT if self.independent else COMMON

    @property
    def resolved(self) -> bool:
        """Whether there is a resolution to state."""
        return self.independent and self.resolution_angstrom < NO_RESOLUTION_ANGSTROM

    def bound_angstrom(self, width_angstrom: float) -> float | None:
        """Return what the resolution is no finer than, where halves fall apart on rings that they share.

        Sharing can only make halves more alike, so they resolve nothing beyond the last ring before the first fall
        below the threshold or the noise curve. None if the curve does not fall on a shared ring, or falls at once.

        Parameters
        ----------
        width_angstrom
            Box times pixel size.
        """
        pooled = pool_rings(self.frc) / pool_rings(np.ones(len(self.frc)))
        below = np.flatnonzero(pooled < np.maximum(THRESHOLD, self.noise_curve / np.sqrt(SMOOTHING_RINGS)))
        # Ring 1 and those beside it hold too few pixels to tell anything.
        below = below[below >= 3]
        return width_angstrom / float(below[0] - 1) if len(below) and below[0] <= self.shared_ring else None


def class_frcs(
    products: RingProducts,
    ssnr: NDArray[np.float64],
    *,
    box: int,
    pixel_size_angstrom: float,
    mask_share: float,
    shared_ring: int,
) -> Iterator[ClassFrc]:
    """Put together the FRC of each class from the ring products (m, L // 2 + 1) and what was made of them."""
    # Shared rings are kept out of the pools too: they would lend their correlation to the first independent one.
    independent = np.arange(box // 2 + 1) > shared_ring
    parts = (np.where(independent, v, 0.0) for v in (products.cross, products.first, products.second))
    pooled = RingProducts(*parts).correlation(SMOOTHING_RINGS)
    curve = noise_curve(box, mask_share, SMOOTHING_RINGS, shared_ring + 1)
    telling = curve <= _TELLING
    first = max(shared_ring + 1, int(np.argmax(telling)) if telling.any() else 1)
    thresholds = [np.maximum(threshold, curve) for threshold in (THRESHOLD, THRESHOLD_HALF)]
    noise = noise_curve(box, mask_share)
    for smooth, correlation, ratio in zip(pooled, products.correlation(), ssnr, strict=True):
        read = [
            resolution_at(smooth, threshold, first, box, pixel_size_angstrom)
            if shared_ring < box // 2
            else NO_RESOLUTION_ANGSTROM
            for threshold in thresholds
        ]
        yield ClassFrc(correlation, noise, ratio, shared_ring, read[0], read[1])
