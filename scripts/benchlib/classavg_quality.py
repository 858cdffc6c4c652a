"""Averages against clean projections, and averages made by the judge from anybody's members and poses.

One way of averaging for all: cubic splines, plain means without a CTF, a Wiener filter with the true SSNR with one. So
what is compared is who was averaged, and how well aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import files
from .ctf import ctf_values
from .truth import TruthSet


@dataclass(frozen=True)
class Members:
    """Members of the views of some rows: index (m, k), -1 for none, and the pose that brings each onto the row."""

    rows: NDArray
    index: NDArray
    mirror: NDArray
    psi: NDArray
    dx: NDArray
    dy: NDArray
    weight: NDArray


@dataclass(frozen=True)
class Quality:
    """Correlation with the clean projection inside the disc, and mean ring correlation, (m,) each."""

    correlation: NDArray
    frc: NDArray


def judge_averages(averages: NDArray, clean: NDArray) -> Quality:
    """Compare averages with clean projections (m, L, L), each at its best translation: centres are free."""
    box = clean.shape[-1]
    offset = np.arange(box) - box // 2
    radius = np.hypot(*np.meshgrid(offset, offset))
    inside = radius < 0.45 * box
    soft = 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 0.42 * box) / (0.08 * box), 0, 1))
    ring = _rings(box)
    correlations, rings = [], []
    for average, truth in zip(averages.astype(np.float64), clean.astype(np.float64), strict=True):
        moved = _registered(truth, average)
        correlations.append(np.corrcoef(average[inside], moved[inside])[0, 1])
        levelled = level_rings(average, moved)
        a, b = (np.fft.fft2((v - v[inside].mean()) * soft).ravel() for v in (levelled, moved))
        sums = [np.bincount(ring, v)[1 : box // 2] for v in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)]
        rings.append(np.mean(sums[0] / np.sqrt(sums[1] * sums[2])))
    return Quality(np.array(correlations), np.array(rings))


def _rings(box: int) -> NDArray[np.int64]:
    k = np.fft.fftfreq(box, 1.0 / box)
    return np.rint(np.hypot(*np.meshgrid(k, k))).astype(int).ravel()


def level_rings(image: NDArray, model: NDArray) -> NDArray[np.float64]:
    """Give every ring of an image the power it has in another: a filter by ring then changes no ring correlation.

    Without it the mask would smear strong rings over those that a filter took away.
    """
    ring = _rings(len(image))
    spectrum, wanted = (np.fft.fft2(v).ravel() for v in (image, model))
    power, goal = (np.bincount(ring, np.abs(v) ** 2) for v in (spectrum, wanted))
    gain = np.sqrt(goal / np.maximum(power, 1e-12 * power.max()))
    return np.fft.ifft2((spectrum * gain[ring]).reshape(image.shape)).real


def _registered(image: NDArray, target: NDArray, finer: int = 8, reach_px: int = 4) -> NDArray[np.float64]:
    """Shift an image onto a target, to an eighth of a pixel, by the peak of their zero-padded correlation."""
    box = len(image)
    cross = np.fft.fftshift(np.fft.fft2(target) * np.fft.fft2(image).conj())
    wide = box * finer
    padded = np.zeros((wide, wide), complex)
    low = wide // 2 - box // 2
    padded[low : low + box, low : low + box] = cross
    peak = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(padded)).real)
    middle, reach = wide // 2, reach_px * finer
    window = peak[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    y, x = np.unravel_index(np.argmax(window), window.shape)
    shift = ((y - reach) / finer, (x - reach) / finer)
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), shift)).real


def average_members(data: TruthSet, members: Members) -> NDArray[np.float32]:
    """Average the members of each view, (m, L, L)."""
    box = data.box
    with_ctf = "defocus_u" in data.truth
    images = data.images()
    if with_ctf:
        images = _times_ctf(data, images)
    splines = np.stack([ndimage.spline_filter(image, 3, output=np.float32, mode="grid-wrap") for image in images])
    offset = np.arange(box) - box // 2
    y, x = np.meshgrid(offset, offset, indexing="ij")
    floor = _inverse_ssnr(data) if with_ctf else None
    found = np.empty((len(members.rows), box, box), np.float32)
    for m in range(len(members.rows)):
        valid = np.flatnonzero((members.index[m] >= 0) & (members.weight[m] > 0))
        total = np.zeros((box, box))
        for s in valid:
            j, turn = members.index[m, s], np.deg2rad(members.psi[m, s])
            c, sn = np.cos(turn), np.sin(turn)
            u = c * x + sn * y - members.dx[m, s]
            v = -sn * x + c * y - members.dy[m, s]
            u = -u if members.mirror[m, s] else u
            at = [v + box // 2, u + box // 2]
            total += members.weight[m, s] * ndimage.map_coordinates(
                splines[j], at, order=3, prefilter=False, mode="grid-wrap"
            )
        if floor is None:
            found[m] = total / members.weight[m, valid].sum()
        else:
            power = _ctf_power(data, members, m, valid)
            found[m] = np.fft.fftshift(np.fft.ifft2(np.fft.fft2(np.fft.ifftshift(total)) / (power + floor)).real)
    return found


def _frequencies(data: TruthSet) -> tuple[NDArray, NDArray]:
    k = np.fft.fftfreq(data.box) / data.pixel_size_angstrom
    ky, kx = np.meshgrid(k, k, indexing="ij")
    return kx.ravel(), ky.ravel()


def _times_ctf(data: TruthSet, images: NDArray) -> NDArray[np.float32]:
    kx, ky = _frequencies(data)
    out = np.empty_like(images)
    for start in range(0, len(images), 256):
        rows = slice(start, start + 256)
        values = ctf_values(kx, ky, *(data.truth[k][rows] for k in ("defocus_u", "defocus_v", "defocus_angle")))
        part = np.fft.fft2(images[rows]) * values.reshape(-1, data.box, data.box)
        out[rows] = np.fft.ifft2(part).real
    return out


def _ctf_power(data: TruthSet, members: Members, m: int, valid: NDArray) -> NDArray[np.float64]:
    """Sum the squares of the CTFs as the poses turn them."""
    j = members.index[m, valid]
    angle = data.truth["defocus_angle"][j]
    angle = np.where(members.mirror[m, valid], 180.0 - angle, angle) + members.psi[m, valid]
    values = ctf_values(*_frequencies(data), data.truth["defocus_u"][j], data.truth["defocus_v"][j], angle)
    return (members.weight[m, valid][:, None] * values**2).sum(axis=0).reshape(data.box, data.box)


def _inverse_ssnr(data: TruthSet) -> NDArray[np.float64]:
    """Return noise over signal power of one image before its CTF, by frequency."""
    clean = files.read_stack(data.references)[:200]
    ring = _rings(data.box)
    power = (np.abs(np.fft.fft2(clean)) ** 2).mean(axis=0) / data.box**2
    by_ring = np.bincount(ring, power.ravel()) / np.bincount(ring)
    noise = np.interp(np.arange(len(by_ring)), np.arange(len(data.truth["noise_power"])), data.truth["noise_power"])
    return (noise / np.maximum(by_ring, 1e-9))[ring].reshape(data.box, data.box)
