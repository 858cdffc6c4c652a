"""What prepared images are compared by: components of steerable PCA, of the images and of shifted copies of them.

Images are whitened (noise variance 1 in each pixel) and not masked; their present centres are met by a phase ramp, and
a copy shifted for the search costs one matrix product, since the shift is put into the matrix instead of the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.settings import SearchSettings
from cryoalign.core.steerable.basis import (
    GEMM_ROWS,
    FourierBesselBasis,
    multiply_pixels,
    plan_basis,
    shifted_images,
)
from cryoalign.core.steerable.pca import Moments, SteerablePca, all_components, fit_steerable_pca, moments, pixel_matrix
from cryoalign.core.tiles import map_tiles, run_tiles

MAX_COMPONENTS = 150
"""More would not find more neighbours."""


@dataclass(frozen=True, eq=False)
class Features:
    """Images as components that rotations multiply by phases.

    Parameters
    ----------
    coefficients
        complex64 (n, P); the noise of each has variance 1, and the mean image is taken off (it lies in k = 0).
    images
        The prepared images, float32 (n, L, L); may be a memory map.
    centre_px
        Shift by +d that was applied to each image before, in prepared pixels, float64 (n, 2).
    basis, pca
        What the components are.
    threads
        Threads; they change no result.
    """

    coefficients: NDArray[np.complex64]
    images: NDArray[np.float32]
    centre_px: NDArray[np.float64]
    basis: FourierBesselBasis
    pca: SteerablePca
    threads: int

    def __len__(self) -> int:
        """Count the images."""
        return len(self.coefficients)

    @property
    def frequency(self) -> NDArray[np.int64]:
        """Angular frequency of each component, int64 (P,), ascending."""
        return self.pca.frequency

    @property
    def eigenvalue(self) -> NDArray[np.float64]:
        """Variance of the signal in each component, float64 (P,), falling within a frequency."""
        return self.pca.eigenvalue

    def shifted(self, shift_px: tuple[float, float]) -> NDArray[np.complex64]:
        """Return the components of all images moved by +d = (dx, dy) prepared pixels from their centres: (n, P)."""
        x, y = (float(d) for d in shift_px)
        return _components(self.images, self.centre_px, self.basis, self.pca, (x, y), self.threads)

    def moved_to(self, centre_px: NDArray[np.floating], rows: NDArray[np.integer]) -> NDArray[np.complex64]:
        """Return the components of some images, moved to other centres (m, 2): complex64 (m, P)."""
        images = np.asarray(self.images[rows], dtype=np.float32)
        return _components(
            images, np.asarray(centre_px, np.float64), self.basis, self.pca, (0.0, 0.0), self.threads
        )  # fmt: skip


def prepare_features(
    images: NDArray[np.float32],
    settings: SearchSettings,
    shift_px: NDArray[np.floating] | None = None,
    *,
    pca: SteerablePca | None = None,
    threads: int | None = None,
) -> Features:
    """Find the components of prepared images.

    Parameters
    ----------
    images
        Whitened, float32 (n, L, L); an array or a memory map.
    settings
        Which features: "steerable-pca" keeps what stands above the noise, "fourier-bessel" everything.
    shift_px
        d = (dx, dy) in prepared pixels by which each image is moved first, shape (n, 2); None moves none.
    pca
        Components found before; None finds them from these images.
    threads
        Threads; None takes the settings'.
    """
    n, box = len(images), images.shape[-1]
    centre = np.zeros((n, 2)) if shift_px is None else np.asarray(shift_px, dtype=np.float64).reshape(n, 2)
    basis = plan_basis(box, settings.radius_px)
    workers = settings.threads if threads is None else threads
    if pca is None:
        parts = _moments(images, centre, basis, workers)
        if settings.features == "fourier-bessel":
            pca = all_components(parts, basis.frequency)
        else:
            pca = fit_steerable_pca(parts, basis.frequency, max_components=MAX_COMPONENTS)
    coefficients = _components(images, centre, basis, pca, (0.0, 0.0), workers)
    return Features(coefficients, images, centre, basis, pca, workers)


def _moments(
    images: NDArray[np.float32], centre: NDArray[np.float64], basis: FourierBesselBasis, threads: int
) -> Iterator[Moments]:
    def compute(begin: int) -> Moments:
        return moments(basis.expand(_tile(images, centre, begin)), basis.frequency)

    return map_tiles(compute, range(0, len(images), GEMM_ROWS), threads)


def _components(
    images: NDArray[np.float32],
    centre: NDArray[np.float64],
    basis: FourierBesselBasis,
    pca: SteerablePca,
    shift: tuple[float, float],
    threads: int,
) -> NDArray[np.complex64]:
    matrix, mean = pixel_matrix(basis, pca, shift), pca.mean_component.astype(np.float32)
    result = np.empty((len(images), len(mean)), np.complex64)

    def compute(begin: int) -> None:
        tile = multiply_pixels(_tile(images, centre, begin), matrix)
        np.subtract(tile, mean, out=result[begin : begin + GEMM_ROWS])

    run_tiles(compute, range(0, len(images), GEMM_ROWS), threads)
    return result


def _tile(images: NDArray[np.float32], centre: NDArray[np.float64], begin: int) -> NDArray[np.float32]:
    """Return the images of a tile, moved to their centres where these are not 0."""
    rows = slice(begin, begin + GEMM_ROWS)
    tile = np.asarray(images[rows], dtype=np.float32)
    return shifted_images(tile, centre[rows]) if np.any(centre[rows]) else tile
