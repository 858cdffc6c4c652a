"""Images made small for comparison: gains in Fourier space, then a crop of the transform that keeps white noise white.

With F the transform about the centre pixel L // 2, the crop keeps the frequencies of a smaller box M and scales by
M / L against the usual transform pair, so that white noise of variance 1 per pixel stays so. Where M is even, the two
frequencies M / 2 and -M / 2 become one: their sum over the square root of 2.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray


def cropped_frequencies(box: int, new_box: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (ky, kx) of the frequencies that gains are given on, in Fourier pixels, each of shape (K, M // 2 + 1).

    Parameters
    ----------
    box, new_box
        L and M, with M <= L. K = M + 1 rows where M is even and less than L (from -M / 2 to M / 2), else M, ascending
        from the lowest.
    """
    if not 1 <= new_box <= box:
        raise ValueError(f"a box of {box} px cannot be cropped to {new_box}")
    low = -(new_box // 2)
    high = new_box // 2 if new_box % 2 or new_box < box else new_box // 2 - 1
    ky, kx = np.meshgrid(np.arange(low, high + 1), np.arange(new_box // 2 + 1), indexing="ij")
    return ky, kx


def white_crop(images: NDArray[np.float32], new_box: int, gains: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Multiply images by gains in Fourier space and crop them to a smaller box over the same field of view.

    Parameters
    ----------
    images
        float32, shape (n, L, L).
    new_box
        M <= L.
    gains
        On `cropped_frequencies`, shape (n, K, M // 2 + 1) or (K, M // 2 + 1); None for 1.

    Returns
    -------
    NDArray
        float32, shape (n, M, M); the content at pixel L // 2 comes to M // 2. An image's result does not depend on its
        neighbours. Noise that the gains make white with variance 1 per pixel has variance 1 per pixel.
    """
    box = images.shape[-1]
    ky, _ = cropped_frequencies(box, new_box)
    rows, columns = ky.shape
    # exp(2 pi i k c / L) moves pixel c = L // 2 to the origin; the crop's own centre goes back with M // 2.
    kx = np.arange(columns)
    phase_x = np.exp(2j * np.pi * kx * (box // 2 / box - new_box // 2 / new_box))
    phase_y = np.exp(2j * np.pi * ky[:, 0] * (box // 2 / box - new_box // 2 / new_box))
    phase = (phase_y[:, None] * phase_x * (new_box / box)).astype(np.complex64)
    folds = new_box % 2 == 0 and new_box < box
    result = np.empty((len(images), new_box, new_box), np.float32)
    for n, image in enumerate(images):  # one by one: a batch could change last bits
        half = scipy.fft.rfft(np.asarray(image, dtype=np.float32), axis=1)[:, :columns]
        spectrum = scipy.fft.fft(half, axis=0)[ky[:, 0]] * phase
        if gains is not None:
            spectrum *= gains[n] if gains.ndim == 3 else gains
        if folds:
            spectrum = _fold(spectrum, rows)
        result[n] = scipy.fft.irfft2(np.roll(spectrum, -(new_box // 2), axis=0), s=(new_box, new_box))
    return result


def _fold(spectrum: NDArray[np.complex64], rows: int) -> NDArray[np.complex64]:
    """Make one of the frequencies M / 2 and -M / 2, first in y and then in x; returns (M, M // 2 + 1)."""
    share = np.float32(np.sqrt(0.5))
    spectrum[0] = (spectrum[0] + spectrum[rows - 1]) * share
    folded = spectrum[: rows - 1]
    # At kx = M / 2, the frequency (-M / 2, ky) is the conjugate of (M / 2, -ky), so the fold is a real part in pairs.
    edge = folded[:, -1].copy()
    opposite = np.roll(edge[::-1], 1)
    folded[:, -1] = (edge + np.conj(opposite)) * share
    return folded
