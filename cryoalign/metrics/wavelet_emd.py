"""Earth mover's distance by wavelets: WEMD(r, m) = sum over scales j of 2^(j (1 + n/2)) sum |coefficients of r - m|.

An approximation of the earth mover's distance up to a constant, for images, n = 2, in time linear in the pixels; j = 1
is the finest scale, and the coarse part counts as the coarsest. S. Shirdhonkar, D. W. Jacobs, "Approximate earth
mover's distance in linear time", CVPR (2008). Wavelet sym3 with zeros beyond the box, by PyWavelets; the images are
compared as they are inside the mask. Zeros beyond an orthogonal wavelet make the inverse transform the transposed one,
which gives the slopes: the inverse transform of the weights with the signs of the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.metrics.pixels.ladder import LadderMeasure
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels

_WAVELET, _MODE, _DIMENSION = "sym3", "zero", 2


@dataclass(frozen=True)
class WaveletEmd(LadderMeasure):
    """Wavelet earth mover's distance of the pixels inside the mask; lower is better.

    Parameters
    ----------
    scales
        Scales of the transform; None = as many as the box holds whole wavelets (``pywt.dwt_max_level``), 3 at 64 px:
        mass is followed about that far, 8 px. More follow it farther, and make more of the grid that wavelets sit on:
        of turned digits fewer are aligned.
    """

    scales: int | None = None

    name = "wavelet-emd"
    words = "earth mover's distance by wavelets"
    unit = "intensity times pixels"
    cost = "a rotation changes all coefficients: every angle and every step of a descent takes its own transform"
    pair_ms = 31.0
    needs_extra = "wavelet"
    loses_in_noise = "noise counts at every scale; euclidean, auto or the default is better"
    warning = "slower than sliced Wasserstein at every size, and it needs equal masses"

    def __post_init__(self) -> None:
        """Find PyWavelets now, not in the middle of a run."""
        _pywavelets()
        if self.scales is not None and self.scales < 1:
            raise InputError("wavelets need a scale or more", value=self.scales)

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the distance, and its slopes."""
        difference = moved.pixels - reference.pixels
        coefficients = self._transform(difference, moved)
        value = np.zeros(len(difference))
        for weight, parts in _weighted(coefficients):
            for part in parts:
                _add_absolute(np.ascontiguousarray(part).reshape(len(part), -1), weight, value)
        if not slopes:
            return value, None
        for weight, parts in _weighted(coefficients):
            for part in parts:
                np.sign(part, out=part)
                part *= weight
        back = _transform_back(coefficients, moved.box)
        slope = np.ascontiguousarray(back).reshape(len(difference), -1)[:, moved.inside]
        return value, np.ascontiguousarray(slope, dtype=np.float32)

    def grid(self, turned: MaskedPixels, shifted: MaskedPixels) -> NDArray[np.float64]:
        """Compare all turned with all shifted copies, each transformed once: the transform is linear."""
        vectors = [_vectors(self._transform(m.pixels, m)) for m in (turned, shifted)]
        cost = np.empty((len(vectors[0]), len(vectors[1])))
        _distances(vectors[0], vectors[1], cost)
        return cost

    def _transform(self, pixels: NDArray[np.float32], where: MaskedPixels) -> list[Any]:
        images = _on_the_box(pixels, where)
        pywt = _pywavelets()
        return _transform(images, self.scales or max(pywt.dwt_max_level(where.box, pywt.Wavelet(_WAVELET).dec_len), 1))


def _pywavelets() -> Any:
    try:
        import pywt
    except ImportError:
        raise InputError("wavelet-emd needs PyWavelets", hint="pip install 'cryoalign[wavelet]'") from None
    return pywt


def _on_the_box(pixels: NDArray[np.float32], where: MaskedPixels) -> NDArray[np.float32]:
    """Put masked pixels (m, P) back into boxes of zeros (m, L, L)."""
    images = np.zeros((len(pixels), where.box * where.box), np.float32)
    images[:, where.inside] = pixels
    return images.reshape(-1, where.box, where.box)


def _transform(images: NDArray[np.float32], scales: int) -> list[Any]:
    """Return the coefficients of all images, the coarse part first, then dicts of details, coarse to fine.

    As ``pywt.wavedecn``, which would warn of many scales.
    """
    pywt = _pywavelets()
    coarse, details = images, []
    for _ in range(scales):
        bands = pywt.dwtn(coarse, _WAVELET, _MODE, axes=(1, 2))
        coarse = bands.pop("aa")
        details.append(bands)
    return [coarse, *details[::-1]]


def _transform_back(coefficients: list[Any], box: int) -> NDArray[np.float32]:
    """Return the images of coefficients, (m, L, L)."""
    pywt = _pywavelets()
    coarse = coefficients[0]
    for details in coefficients[1:]:
        shape = details["dd"].shape
        coarse = pywt.idwtn({"aa": coarse[:, : shape[1], : shape[2]], **details}, _WAVELET, _MODE, axes=(1, 2))
    return np.asarray(coarse[:, :box, :box])


def _weighted(coefficients: list[Any]) -> list[tuple[np.float32, list[NDArray[np.float32]]]]:
    """Pair coefficients with their weights 2^(j (1 + n/2))."""
    coarsest = len(coefficients) - 1
    groups = [(coarsest, [coefficients[0]])]
    for number, details in enumerate(coefficients[1:]):
        groups.append((coarsest - number, [details[key] for key in sorted(details)]))
    return [(np.float32(2.0 ** (j * (1 + _DIMENSION / 2))), parts) for j, parts in groups]


def _vectors(coefficients: list[Any]) -> NDArray[np.float32]:
    """Return all weighted coefficients of each image in one row: the distance is that of their absolute differences."""
    parts = [weight * part for weight, group in _weighted(coefficients) for part in group]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


@kernel(nogil=True)
def _add_absolute(part, weight, value):  # type: ignore[no-untyped-def]
    for i in range(part.shape[0]):
        total = 0.0
        for p in range(part.shape[1]):
            total += abs(part[i, p])
        value[i] += weight * total


@kernel(nogil=True, fastmath=True)
def _distances(first, second, cost):  # type: ignore[no-untyped-def]
    for a in range(first.shape[0]):
        for b in range(second.shape[0]):
            total = np.float32(0.0)
            for p in range(first.shape[1]):
                total += abs(first[a, p] - second[b, p])
            cost[a, b] = total
