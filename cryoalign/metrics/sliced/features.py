"""Images made ready for sliced distances: centred, their quantiles expanded over the angle, and where they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.sliced.angle_curve import Harmonics
from cryoalign.metrics.sliced.noisy_shift import mirrored_lines


class SlicedImage(NamedTuple):
    """One image made ready.

    Parameters
    ----------
    columns
        Quantiles of the image moved to its centre, float32 (n_angles, columns).
    centre
        Where it was, (x, y) in pixels.
    coarse
        Its coarse lines, moved there too, complex64 (h, k).
    """

    columns: NDArray[np.float32]
    centre: NDArray[np.float64]
    coarse: NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class SlicedFeatures:
    """Quantiles of n centred images, expanded over the angle.

    Parameters
    ----------
    centred
        Harmonics of the centred images' columns, one for each quantile of the lower half of each part.
    centre
        Where the images were, v = (x, y) in pixels from the centre pixel, float64 (n, 2).
    coarse
        Coarse lines of the centred images (:mod:`cryoalign.metrics.sliced.noisy_shift`), complex64 (n, h, k).
    box
        Side of the images in pixels.
    snr
        Of the stack, over the frame; infinite for clean images.
    """

    centred: Harmonics
    centre: NDArray[np.float64]
    coarse: NDArray[np.complex64]
    box: int
    snr: float

    def __len__(self) -> int:
        """Count the images."""
        return len(self.centre)

    @property
    def residual(self) -> NDArray[np.float64]:
        """What is left of a centre, on average over the columns, in pixels, (n, 2)."""
        first = self.centred.values[1].astype(np.complex128).mean(axis=-1) * (2.0 / self.centred.n_angles)
        return np.stack([first.real, -first.imag], axis=-1)

    def mirrored(self) -> SlicedFeatures:
        """Return the features of the mirrored images."""
        centre = self.centre * np.array([-1.0, 1.0])
        return SlicedFeatures(self.centred.mirrored(), centre, mirrored_lines(self.coarse), self.box, self.snr)

    def in_place(self) -> Harmonics:
        """Return the harmonics of the images where they are."""
        added = first_harmonic(self.centre, self.centred.n_angles)
        return self.centred.with_first(added.astype(self.centred.values.dtype)[:, None])


def first_harmonic(vector: NDArray[np.float64], n_angles: int) -> NDArray[np.complex128]:
    """Return the first harmonic of <v, (cos t, sin t)> over n angles for vectors (..., 2)."""
    return np.asarray(0.5 * n_angles * (vector[..., 0] - 1j * vector[..., 1]))
