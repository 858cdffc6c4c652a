"""Radial lines of the Fourier transform, and projections of the image from them: the central slice theorem.

The line of a two-dimensional transform at angle t is the transform of the image's projection onto the direction
(cos t, sin t). Lines are read by a type-2 NUFFT up to the Nyquist frequency; the projection is their inverse FFT.
Angles in [0, 180) suffice: the other half of the circle is the mirror image of the first. Multiplied by |k|^exponent
the projections are ramp-filtered, as before a back-projection (Shi, Singer and Verbeke, "Fast rigid alignment of
heterogeneous images in sliced Wasserstein distance", arXiv 2503.13756, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

TOLERANCE = 1e-5
"""Of the NUFFT, relative; below what float32 lines keep of a sum over a box."""
FEWEST_ANGLES = 66


@dataclass(frozen=True)
class LineLayout:
    """Where lines are sampled.

    Parameters
    ----------
    box
        Side L of the images, in pixels.
    half
        Angles in [0, 180), even; there are twice as many on the circle.
    """

    box: int
    half: int

    @property
    def n_angles(self) -> int:
        """Angles on the full circle."""
        return 2 * self.half

    @property
    def n_frequencies(self) -> int:
        """Frequencies 0 .. (L - 1) // 2 in Fourier pixels: the Nyquist frequency of even boxes is left out."""
        return (self.box - 1) // 2 + 1

    @property
    def angles(self) -> NDArray[np.float64]:
        """Angles of the lines in radians, shape (half,)."""
        return np.arange(self.half) * np.pi / self.half


def line_layout(box: int) -> LineLayout:
    """Lay out about one angle per pixel of the circumference, at least 66, a number that the FFT likes."""
    wanted = max(FEWEST_ANGLES, int(np.ceil(2 * np.pi * (box // 2))))
    return LineLayout(box, 2 * scipy.fft.next_fast_len((wanted + 3) // 4, real=True))


@lru_cache(maxsize=4)
def _points(layout: LineLayout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kx, ky of every point in radians per pixel; angles outside, frequencies inside."""
    k = np.arange(layout.n_frequencies) * (2 * np.pi / layout.box)
    kx, ky = ((f(layout.angles)[:, None] * k).ravel() for f in (np.cos, np.sin))
    for array in (kx, ky):
        array.setflags(write=False)
    return kx, ky


class LineTransform:
    """Transform of one image at a time onto lines; not to be shared by threads.

    Parameters
    ----------
    layout
        From :func:`line_layout`.
    """

    def __init__(self, layout: LineLayout) -> None:
        import finufft

        self.layout = layout
        # One thread and one image per call: no bit of an image depends on the others.
        self._plan = finufft.Plan(2, (layout.box, layout.box), eps=TOLERANCE, isign=-1, nthreads=1)
        kx, ky = _points(layout)
        self._plan.setpts(ky, kx)

    def __call__(self, image: NDArray[np.floating]) -> NDArray[np.complex64]:
        """Return sum over q of image(q) exp(-2 pi i k (cos t, sin t).q / L), q from the centre pixel L // 2.

        Parameters
        ----------
        image
            Shape (L, L), real.

        Returns
        -------
        ndarray
            complex64 (half, n_frequencies); computed in double precision.
        """
        layout = self.layout
        samples = self._plan.execute(np.ascontiguousarray(image, dtype=np.complex128))
        return np.asarray(samples).reshape(layout.half, layout.n_frequencies).astype(np.complex64)


def line_gain(layout: LineLayout, exponent: float, gain: NDArray[np.floating] | None = None) -> NDArray[np.float32]:
    """Return |k|^exponent times a gain per ring (L // 2 + 1,), float32 (n_frequencies,); exponent 0 is no ramp."""
    k = np.arange(layout.n_frequencies, dtype=np.float64)
    ramp = np.ones_like(k) if exponent == 0 else k**exponent
    if gain is not None:
        ramp = ramp * np.asarray(gain, dtype=np.float64)[: layout.n_frequencies]
    return ramp.astype(np.float32)


def projections(lines: NDArray[np.complex64], box: int) -> NDArray[np.float32]:
    """Return the projections of lines (half, n_frequencies): float32 (half, L), the centre at sample 0, wrapped."""
    return np.asarray(scipy.fft.irfft(lines, n=box, axis=-1, workers=1))
