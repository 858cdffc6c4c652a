"""Distances at every rotation by FFT over the angle: a rotation is a circular shift of columns.

With columns U (reference) and V (image) on the circle, sum over t, q of (U_{t + l}(q) - V_t(q))^2 is
|U|^2 + |V|^2 - 2 c(l), where c is a circular correlation: one product of harmonics, summed over quantiles first, and
one inverse FFT. Half of the columns suffices: those left out are the opposite angle's, so that their harmonics are the
same up to a sign that both share. Harmonics of the images are made once; a pair costs one small matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.tiles import TILE


@dataclass(frozen=True, eq=False)
class Harmonics:
    """Columns of n images, expanded over the angle.

    Parameters
    ----------
    values
        Unnormalised harmonics 0 .. n_angles / 2, complex (harmonics, n, columns): the matrices of a product.
    energy
        Mean of the squared columns over angles and columns, float64 (n,).
    n_angles
        Angles on the circle, even.
    """

    values: NDArray[np.complexfloating]
    energy: NDArray[np.float64]
    n_angles: int

    def __len__(self) -> int:
        """Count the images."""
        return len(self.energy)

    def take(self, rows: NDArray[np.int64]) -> Harmonics:
        """Return the harmonics of some images."""
        return Harmonics(self.values[:, rows], self.energy[rows], self.n_angles)

    def mirrored(self) -> Harmonics:
        """Return the harmonics of the mirrored images: the line at angle t becomes that at 180 - t."""
        sign = np.where(np.arange(len(self.values)) % 2 == 0, 1.0, -1.0).astype(self.energy.dtype)
        values = self.values.conj()
        values *= sign.astype(values.real.dtype)[:, None, None]
        return replace(self, values=values)

    def with_first(self, added: NDArray[np.complexfloating]) -> Harmonics:
        """Add (n, columns) to the first harmonic, and what that changes to the energy."""
        values = self.values.copy()
        before = np.abs(values[1].astype(np.complex128)) ** 2
        values[1] += added
        gained = (np.abs(values[1].astype(np.complex128)) ** 2 - before).mean(axis=-1)
        return Harmonics(values, np.asarray(self.energy + 2.0 * gained / float(self.n_angles) ** 2), self.n_angles)


def harmonics(columns: Sequence[NDArray[np.floating]], shape: tuple[int, int] | None = None) -> Harmonics:
    """Expand columns (n_angles, columns) of each of n images over the angle.

    Parameters
    ----------
    columns
        Of each image; float32 gives complex64.
    shape
        Of one image's columns, where there may be no images.
    """
    n_angles, count = columns[0].shape if len(columns) else shape or (2, 1)
    kind = np.complex128 if len(columns) and columns[0].dtype == np.float64 else np.complex64
    values = np.empty((n_angles // 2 + 1, len(columns), count), kind)
    energy = np.empty(len(columns))
    for i, image in enumerate(columns):
        # Image by image: a transform of a batch may round otherwise.
        values[:, i] = scipy.fft.rfft(image, axis=0, workers=1)
        energy[i] = np.square(image, dtype=np.float64).mean()
    return Harmonics(values, energy, n_angles)


def curves(references: Harmonics, images: Harmonics) -> NDArray[np.float64]:
    """Return the mean squared difference of all pairs at every rotation.

    Returns
    -------
    ndarray
        (m, n, n_angles), in the precision of the harmonics, clipped at 0; entry l is for the image turned by
        psi = 360 l / n_angles degrees.
    """
    count = references.n_angles * references.values.shape[-1]
    product = np.matmul(references.values, images.values.conj().transpose(0, 2, 1))
    correlation = scipy.fft.irfft(np.moveaxis(product, 0, -1), n=references.n_angles, axis=-1, workers=1)
    energy = references.energy[:, None] + images.energy
    correlation *= -2.0 / count
    correlation += energy[..., None].astype(correlation.dtype)
    return np.asarray(np.maximum(correlation, 0.0, out=correlation))


def curve_means(references: Harmonics, images: Harmonics) -> NDArray[np.float64]:
    """Return the mean of every pair's curve over all rotations, float64 (m, n): by their harmonic 0."""
    count = float(references.n_angles) ** 2 * references.values.shape[-1]
    first = references.values[0].real.astype(np.float64) @ images.values[0].real.astype(np.float64).T
    return np.asarray(references.energy[:, None] + images.energy - 2.0 * first / count)


def tiles_of_curves(
    references: Harmonics, images: Harmonics
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
    """Yield (rows, curves (m, rows, n_angles)) for tiles of images; no bit of an image depends on the others."""
    m, n = len(references), len(images)
    # Fewer at a time where a tile of curves would fill the memory: 2,048 px have 6,000 angles.
    tile = max(1, min(TILE, int(2**24 // max(1, m * references.n_angles))))
    for first in range(0, n, tile):
        rows = np.arange(first, min(first + tile, n))
        result = np.empty((m, len(rows), references.n_angles), images.values.real.dtype)
        for at in range(len(rows)):
            result[:, at] = curves(references, images.take(rows[at : at + 1]))[:, 0]
        yield rows, result


def values_at(reference: Harmonics, image: Harmonics, psi_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean squared difference of one pair at any angles (A,), interpolated by the harmonics themselves."""
    product = (reference.values[:, 0].astype(np.complex128) * image.values[:, 0].conj()).sum(axis=-1)
    n, last = reference.n_angles, len(product) - 1
    weight = np.full(len(product), 2.0)
    weight[0] = 1.0
    weight[last] = 1.0
    m = np.arange(last + 1)
    turned = np.exp(1j * np.deg2rad(np.asarray(psi_deg, dtype=np.float64))[:, None] * m)
    correlation = (turned * (weight * product)).real.sum(axis=1) / (float(n) ** 2 * reference.values.shape[-1])
    return np.asarray(np.maximum(reference.energy[0] + image.energy[0] - 2.0 * correlation, 0.0))
