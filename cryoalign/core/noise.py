"""Noise spectra from the background outside the particle's disc.

Subtracting the plane that fits under a window w and multiplying by w is linear, so the expected power on ring k is a
sum over the true rings, E[masked] = M P, with M known from w alone. Solving it gives an unbiased spectrum, white or
coloured: the MASTER method for cut skies (Hivon et al. 2002, ApJ 567, 2), here on a flat torus and with the plane taken
out exactly. So it does not matter whether images have gradients, or had them taken off before, by whatever fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import conjugate_weight, ring_counts, ring_index
from cryoalign.core.kernels import kernel
from cryoalign.core.masks import background_region, centre_offsets, soft_disc
from cryoalign.core.source import ImageSource
from cryoalign.core.tiles import TILE

_EDGE_PX = 3.0
_STEPS = 30
_ENOUGH_SAMPLES = 800
_WIDEST = 3
_FAR = 5.0
_PLANES_REACH = 24
"""Rings of which planes hold something worth counting: less than 1e-4 of any beyond."""


def noise_power(images: NDArray[np.floating], diameter_px: float) -> NDArray[np.float64]:
    """Estimate the noise spectrum of images from outside the particle's disc.

    Parameters
    ----------
    images
        Shape (n, L, L), finite.
    diameter_px
        Diameter of the particle's disc in pixels; nothing inside is looked at.

    Returns
    -------
    NDArray
        float64, shape (L // 2 + 1,): E|F|^2 / L^2 per ring with numpy's unnormalised FFT F, all positive. Ring 0 is
        ring 1's value: the mean was removed.

    Raises
    ------
    InputError
        If the disc leaves no background, or the background is empty of noise.
    """
    images = np.asarray(images, dtype=np.float32)
    tiles = [masked_power(images[start : start + TILE], diameter_px) for start in range(0, len(images), TILE)]
    return noise_of_ring_power(tiles, images.shape[-1], diameter_px)


def noise_of_ring_power(tiles: Sequence[NDArray[np.float64]], box: int, diameter_px: float) -> NDArray[np.float64]:
    """Return the noise spectrum of images from what `masked_power` gave of them; see `noise_power`.

    Parameters
    ----------
    tiles
        Of some images each, (n, all rings); how they are cut does not matter.
    box, diameter_px
        Of the images, and of the particle's disc, in pixels.

    Raises
    ------
    InputError
        If there are no images, or the background is empty of noise.
    """
    count = sum(map(len, tiles))
    if count == 0:
        raise InputError("a group without usable particles has no noise spectrum")
    power = np.concatenate(tiles)
    power = _without_outliers(power, box, diameter_px)
    sums = np.zeros(power.shape[1])
    for start in range(0, count, TILE):
        sums += power[start : start + TILE].sum(axis=0)
    return _unmask(sums, count, box, diameter_px)


def _without_outliers(power: NDArray[np.float64], box: int, diameter_px: float) -> NDArray[np.float64]:
    """Return each image's power in a ring, but no more than noise of the median image's spectrum could have there.

    One image of hundreds with a gradient or a crystal in its corners would else be most of what low rings hold.
    """
    window, _, _, _, counts, _ = _geometry(box, float(diameter_px))
    freedom = np.maximum(counts * float(np.mean(window > 0)), 1.0)
    median = np.median(power, axis=0)
    # Beyond what the chi-square law and spectra that differ between micrographs give.
    most = median * (_FAR * (1.0 + 2.0 * np.sqrt(2.0 / freedom)))
    return np.where((power > most) & (median > 0), most, power)


def estimate_noise_power(
    source: ImageSource,
    rows_by_group: Sequence[NDArray[np.integer]],
    diameter_px: float,
    *,
    max_rows: int = 2000,
) -> NDArray[np.float64]:
    """Estimate one noise spectrum per group of rows (optics groups, micrographs).

    Parameters
    ----------
    source
        Images of box L.
    rows_by_group
        0-based rows of each group; leave flawed rows out.
    diameter_px
        Diameter of the particle's disc in pixels.
    max_rows
        Use at most so many rows of a group, evenly spaced over it.

    Returns
    -------
    NDArray
        float64, shape (n_groups, L // 2 + 1); see `noise_power`. Depends on nothing but the rows: they are read in
        tiles of 64 in the order given.

    Raises
    ------
    InputError
        If a group is empty, the disc leaves no background, or the background is empty of noise.
    """
    spectra = np.empty((len(rows_by_group), source.box // 2 + 1))
    for group, all_rows in enumerate(rows_by_group):
        count = min(len(all_rows), max_rows)
        if count == 0:
            raise InputError("a group without usable particles has no noise spectrum", value=group + 1)
        rows = np.asarray(all_rows, dtype=np.int64)[np.arange(count) * len(all_rows) // count]
        tiles = [masked_power(source.read(rows[at : at + TILE]), diameter_px) for at in range(0, count, TILE)]
        spectra[group] = noise_of_ring_power(tiles, source.box, diameter_px)
    return spectra


def whitening_gain(power: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the gain per ring that makes noise of this power white with variance 1: 1 / sqrt(power).

    Parameters
    ----------
    power
        Noise power per ring, shape (..., L // 2 + 1). Rings below a thousandth of the median are treated as if they
        had it, so that rings that were filtered to nothing are not blown up.
    """
    power = np.asarray(power, dtype=np.float64)
    least = 1e-3 * np.median(power, axis=-1, keepdims=True)
    return np.asarray(1.0 / np.sqrt(np.maximum(power, np.maximum(least, np.finfo(np.float64).tiny))))


def masked_power(images: NDArray[np.float32], diameter_px: float) -> NDArray[np.float64]:
    """Return the ring averages of the windowed images' power, float64 of shape (n, all rings, corners included).

    These are not yet unbiased; they are what is summed over tiles.
    """
    box = images.shape[-1]
    window, planes, ring, weight, counts, _ = _geometry(box, float(diameter_px))
    n = len(images)
    masked = np.empty((n, box, box), np.float32)
    _window(np.ascontiguousarray(images).reshape(n, -1), window.ravel(), planes.reshape(3, -1), masked.reshape(n, -1))
    spectrum = scipy.fft.rfft2(masked, axes=(-2, -1), overwrite_x=True)
    sums = np.zeros((n, len(counts)))
    _add_power(spectrum.reshape(n, -1), ring, weight, sums)
    return sums / (counts * float(box * box))


def _unmask(sums: NDArray[np.float64], count: int, box: int, diameter_px: float) -> NDArray[np.float64]:
    """Solve M P = mean masked power for P, keep it positive, and smooth it where rings have few samples."""
    window, _, _, _, counts, coupling = _geometry(box, float(diameter_px))
    observed = sums / count
    if not (np.isfinite(observed).all() and observed[1 : box // 2 + 1].max() > 0):
        raise InputError("there is no noise outside the mask", hint="were the particles masked? use a smaller diameter")
    # Solved by Richardson-Lucy steps: they stay positive, and stop short of blowing up the scatter of a few samples.
    weight = counts[1:]
    reach = coupling.T @ weight
    solved = observed[1:] / coupling.sum(axis=1)
    for _ in range(_STEPS):
        solved *= coupling.T @ (weight * observed[1:] / (coupling @ solved)) / reach
    samples = count * float(np.mean(window > 0)) * ring_counts(box)[1:]
    power = _smooth(solved[: box // 2], samples)
    return np.concatenate([power[:1], power])


def _smooth(power: NDArray[np.floating], samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """Fit a straight line to log power over a few rings where one ring has too few samples."""
    smooth = power.copy()
    for k in range(len(power)):
        for half in range(_WIDEST + 1):
            low, high = max(0, k - half), min(len(power), k + half + 1)
            if samples[low:high].sum() >= _ENOUGH_SAMPLES:
                break
        if high - low > 2:
            ring, weight = np.log(np.arange(low + 1, high + 1) / (k + 1.0)), samples[low:high]
            slope, level = np.polyfit(ring, np.log(power[low:high]), 1, w=np.sqrt(weight))
            # The mean of logarithms is too low: the line keeps its slope and takes the mean power.
            line = np.exp(slope * ring + level)
            smooth[k] = np.exp(level) * (weight @ power[low:high]) / (weight @ line)
    return smooth


@lru_cache(maxsize=8)
def _geometry(
    box: int, diameter_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
           NDArray[np.float64]]:  # fmt: skip
    """Return the window, planes that are orthonormal under it, each frequency's ring and weight, frequencies per ring,
    and the coupling matrix M (rings 1 .. R - 1, both ways).

    With e_a the planes, W and E_a the transforms of w and of w e_a over L^2, frequency k' reaches k with
    W(k - k') - L^2 sum over a of E_a(k) conj(E_a(k')). Its square, averaged over ring k and summed over ring k', needs
    one convolution per ring, and three more where planes reach.
    """
    background_region(box, diameter_px)
    window = (1.0 - soft_disc(box, diameter_px, _EDGE_PX)).astype(np.float32)
    if np.count_nonzero(window > 0.5) < 16:
        window = background_region(box, diameter_px).astype(np.float32)
    half_ring, weight = ring_index(box).ravel(), conjugate_weight(box).ravel()
    frequency = np.fft.fftfreq(box, 1.0 / box)
    ring = np.floor(np.hypot(frequency[:, None], frequency[None, :]) + 0.5).astype(np.int64)
    rings = int(ring.max()) + 1
    counts = np.bincount(ring.ravel(), minlength=rings).astype(np.float64)
    planes = _orthonormal_planes(window.astype(np.float64))
    window_f = np.fft.fft2(window.astype(np.float64)) / box**2
    plane_f = np.fft.fft2(planes * window) / box**2  # E_a
    squared, turned = scipy.fft.fft2(np.abs(window_f) ** 2), scipy.fft.fft2(window_f)
    coupling = np.empty((rings - 1, rings - 1))
    for source in range(1, rings):
        inside = (ring == source).astype(np.float64)
        reach = scipy.fft.ifft2(scipy.fft.fft2(inside) * squared).real
        if source <= _PLANES_REACH:
            there = plane_f[:, ring == source]
            both = (there.conj() @ there.T) * float(box) ** 4
            for a, one in enumerate(plane_f):
                # sum over k' of W(k - k') E_a(k'), against conj(E_a(k)).
                met = scipy.fft.ifft2(scipy.fft.fft2(inside * one) * turned)
                reach -= 2.0 * box**2 * np.real(one.conj() * met)
                for b, other in enumerate(plane_f):
                    reach += np.real(both[a, b] * one * other.conj())
        coupling[:, source - 1] = (np.bincount(ring.ravel(), reach.ravel(), minlength=rings) / counts)[1:]
    return window, planes, half_ring, weight, counts, coupling


def _orthonormal_planes(window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return three planes e_a with sum of w e_a e_b = 1 for a = b and else 0, (3, box, box)."""
    x, y = centre_offsets(len(window))
    basis = np.stack([np.ones_like(x), x, y]).reshape(3, -1)
    triangle = np.linalg.cholesky((basis * window.ravel()) @ basis.T)
    return np.asarray(np.linalg.solve(triangle, basis)).reshape(3, *window.shape)


@kernel(nogil=True)
def _window(flat, window, planes, masked):  # type: ignore[no-untyped-def]
    for i in range(flat.shape[0]):
        first = flat[i, 0]
        a, b, c = 0.0, 0.0, 0.0
        for p in range(len(window)):
            value = window[p] * np.float64(flat[i, p] - first)
            a += planes[0, p] * value
            b += planes[1, p] * value
            c += planes[2, p] * value
        for p in range(len(window)):
            plane = a * planes[0, p] + b * planes[1, p] + c * planes[2, p]
            masked[i, p] = window[p] * (np.float64(flat[i, p] - first) - plane)


@kernel(nogil=True)
def _add_power(spectrum, ring, weight, sums):  # type: ignore[no-untyped-def]
    for i in range(spectrum.shape[0]):
        for p in range(spectrum.shape[1]):
            value = spectrum[i, p]
            sums[i, ring[p]] += weight[p] * (value.real * value.real + value.imag * value.imag)
