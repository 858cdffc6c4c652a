"""Where a Fourier transform is sampled for the search: rings of Fourier pixels in bands of equal angular sampling.

A real image needs half of every ring only, since F(-k) = conj F(k). Rings within a band share their angles, so that
the phase of a shift is a geometric series from ring to ring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BANDS = 6
EXTRA_SAMPLES = 6


@dataclass(frozen=True, eq=False)
class RingLayout:
    """Polar sampling of the half plane, rings 1 .. n_rings of one Fourier pixel each.

    Parameters
    ----------
    box
        Side of the images, in pixels.
    first_ring
        First ring of each band, shape (bands + 1,) with the end appended; rings count from 1.
    samples
        Angles in half a circle for each band, shape (bands,).
    """

    box: int
    first_ring: NDArray[np.int64]
    samples: NDArray[np.int64]

    @property
    def n_rings(self) -> int:
        """Number of rings; also the highest frequency, in Fourier pixels."""
        return int(self.first_ring[-1]) - 1

    @property
    def ring_samples(self) -> NDArray[np.int64]:
        """Angles in half a circle for each ring, shape (n_rings,)."""
        return np.repeat(self.samples, np.diff(self.first_ring))

    @property
    def ring_start(self) -> NDArray[np.int64]:
        """Offset of each ring's points, with the total appended, shape (n_rings + 1,)."""
        return np.concatenate([[0], np.cumsum(self.ring_samples)])

    @property
    def n_points(self) -> int:
        """Number of points in the half plane."""
        return int(self.ring_samples.sum())

    @property
    def ring_weight(self) -> NDArray[np.float64]:
        """Quadrature weight 2 k dphi / box^2 of each ring: a weighted sum over points equals a sum over all pixels."""
        k = np.arange(1, self.n_rings + 1)
        return 2.0 * k * (np.pi / self.ring_samples) / self.box**2

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return kx, ky of every point in Fourier pixels, each of shape (n_points,)."""
        k = np.repeat(np.arange(1, self.n_rings + 1), self.ring_samples)
        angle = np.concatenate([np.arange(h) * np.pi / h for h in self.ring_samples])
        return k * np.cos(angle), k * np.sin(angle)

    def ring_mean(self, values: NDArray) -> NDArray[np.float64]:
        """Average over each ring: shape (..., n_points) to (..., n_rings)."""
        return np.add.reduceat(values, self.ring_start[:-1], axis=-1, dtype=np.float64) / self.ring_samples


def plan_rings(box: int, n_rings: int) -> RingLayout:
    """Lay out rings 1 .. n_rings for images of a box.

    Parameters
    ----------
    box
        Side of the images, in pixels.
    n_rings
        Highest ring, at most box // 2.

    Raises
    ------
    ValueError
        If the rings do not fit.
    """
    if not 1 <= n_rings <= box // 2:
        raise ValueError(f"rings 1 .. {n_rings} do not fit a box of {box} pixels")
    first = np.unique(np.round(np.linspace(1, n_rings + 1, min(N_BANDS, n_rings) + 1)).astype(np.int64))
    # Half a circle at frequency k of an image that reaches to L / 2 holds pi k harmonics.
    samples = np.ceil(np.pi * (first[1:] - 1)).astype(np.int64) + EXTRA_SAMPLES
    return RingLayout(box, first, samples)
