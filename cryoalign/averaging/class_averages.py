"""Averages of classes, their halves, and how far to trust them, from sums of C F and C^2.

Wiener's filter: average = sum(C F) / (sum(C^2) + 1 / s), s the signal-to-noise ratio (power) per image and unit C^2
(Penczek, Methods Enzymol. 482:1, 2010, section 3), per ring and class, from the correlation of the halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.frc import ClassFrc, RingProducts, class_frcs, mask_fraction, ring_products, ring_sums
from cryoalign.averaging.ssnr import ssnr_per_image
from cryoalign.core.filters import conjugate_weight, ring_counts, ring_gain_image
from cryoalign.core.masks import background_region, soft_disc

ReadSums = Callable[[int, int], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Gives totals and powers of the classes from a first one to before a last one, (k, 2, L, L), (k, 2, L, L // 2 + 1)."""
HALF_FLOOR = 0.02
"""Added to sum C^2 where only that divides, as a share of its mean over the ring and its neighbours."""
_CACHED_BYTES = 2**20
"""Sums of images that are finished together."""


@dataclass(frozen=True, eq=False)
class ClassAverages:
    """Averages of m classes; classes without members hold zeros.

    Parameters
    ----------
    averages
        float32 (m, L, L). "wiener": filtered by the signal-to-noise ratio, background mean 0; else plain means.
    halves
        float32 (2, m, L, L): the same of either half, without a filter.
    frc
        FRC of each class's halves; None where a half is empty.
    counts
        Members of both halves, (m,).
    ssnr_per_image
        Signal-to-noise ratio (power) of one image where its C^2 is 1, per ring, (m, L // 2 + 1).
    quality
        In [0, 1], (m,): the mean over all frequencies of 2 F / (1 + F), F the FRC of the halves: the share of the full
        average's power that is signal, all frequencies counted alike. Negative F count as such, so that noise comes
        to about 0 whatever the number of rings. 0 where a half is empty.
    """

    averages: NDArray[np.float32]
    halves: NDArray[np.float32]
    frc: tuple[ClassFrc | None, ...]
    counts: NDArray[np.int64]
    ssnr_per_image: NDArray[np.float64]
    quality: NDArray[np.float64]


def finish_averages(
    totals: NDArray[np.float64],
    power: NDArray[np.float64],
    counts: NDArray[np.integer],
    *,
    mask_diameter_px: float,
    pixel_size_angstrom: float,
    treatment: str,
    ssnr: float | None = None,
    shared_ring: int,
) -> ClassAverages:
    """Turn sums into averages.

    Parameters
    ----------
    totals, power, counts
        Sums of either half of m classes: (m, 2, L, L), (m, 2, L, L // 2 + 1), (m, 2); see
        :class:`cryoalign.averaging.class_sums.ClassSums`.
    mask_diameter_px
        Diameter of the soft mask in which halves are compared, in pixels.
    pixel_size_angstrom
        Pixel size in A.
    treatment
        "wiener", "flip" or "plain", as the sums were made.
    ssnr
        A flat signal-to-noise ratio per image for the Wiener filter instead of that of the halves; very large = least
        squares without regularisation.
    shared_ring
        Up to this ring the halves shared a reference; L // 2 = they did everywhere.

    Raises
    ------
    InputError
        If the mask leaves no background.
    """
    return finish_in_chunks(
        lambda first, stop: (totals[first:stop], power[first:stop]), counts, box=totals.shape[-1],
        classes_at_once=len(totals), mask_diameter_px=mask_diameter_px, pixel_size_angstrom=pixel_size_angstrom,
        treatment=treatment, ssnr=ssnr, shared_ring=shared_ring,
    )  # fmt: skip


def finish_in_chunks(
    read: ReadSums,
    counts: NDArray[np.integer],
    *,
    box: int,
    classes_at_once: int,
    mask_diameter_px: float,
    pixel_size_angstrom: float,
    treatment: str,
    ssnr: float | None = None,
    shared_ring: int,
    halves: NDArray[np.float32] | None = None,
) -> ClassAverages:
    """Do what :func:`finish_averages` does without all sums in memory; chunks of any size give the same bytes.

    Classes lean on each other through their ring products only, which are small: sums are read once for those and for
    the halves, and once more for the averages.

    Parameters
    ----------
    read
        Gives the sums of a range of classes.
    counts
        Members of either half, (m, 2).
    box, classes_at_once
        Side L of the sums in pixels, and how many classes are read at a time.
    mask_diameter_px, pixel_size_angstrom, treatment, ssnr, shared_ring
        As for :func:`finish_averages`.
    halves
        Zeros (2, m, L, L) that the halves are written to, such as those of a mapped file; None for new ones.
    """
    counts = np.asarray(counts, np.int64)
    m = len(counts)
    frame = _Frame(box, mask_diameter_px)
    halves = np.zeros((2, m, box, box), np.float32) if halves is None else halves
    products = RingProducts(*np.zeros((3, m, box // 2 + 1)))
    ring_power = np.zeros((m, box // 2 + 1))
    for here, total, power in _some_classes(read, m, classes_at_once, box):
        there = counts[here] > 0
        masked = np.zeros_like(total)
        images = _unfiltered(total[there], power[there], treatment)
        centred = images - _level(images, frame.outside)
        masked[there] = centred * frame.mask
        halves.swapaxes(0, 1)[here][there] = centred if treatment == "wiener" else images
        found = ring_products(masked[:, 0], masked[:, 1])
        products.cross[here], products.first[here], products.second[here] = found.cross, found.first, found.second
        ring_power[here] = ring_sums(conjugate_weight(box) * power.sum(axis=1), box) / ring_counts(box)
    both = np.asarray((counts > 0).all(axis=1))
    per_image = ssnr_per_image(products, ring_power, both, frame.samples, counts)
    averages = np.zeros((m, box, box), np.float32)
    for here, total, power in _some_classes(read, m, classes_at_once, box):
        some = counts[here].any(axis=1)
        whole, full_power = total[some].sum(axis=1), power[some].sum(axis=1)
        if treatment == "wiener":
            gain = per_image[here][some] if ssnr is None else np.full(box // 2 + 1, float(ssnr))
            averages[here][some] = wiener_average(whole, full_power, gain, frame.outside)
        else:
            averages[here][some] = whole / full_power[:, :1, :1]
    known = class_frcs(
        RingProducts(products.cross[both], products.first[both], products.second[both]),
        (per_image * ring_power)[both],
        box=box,
        pixel_size_angstrom=pixel_size_angstrom,
        mask_share=frame.share,
        shared_ring=shared_ring,
    )
    frc = tuple(next(known) if has_two else None for has_two in both)
    correlation = products.correlation()
    signal = 2.0 * correlation / (1.0 + np.abs(correlation))
    quality = np.clip(signal[:, 1:] @ ring_counts(box)[1:] / ring_counts(box)[1:].sum(), 0.0, 1.0)
    return ClassAverages(averages, halves, frc, counts.sum(axis=1), per_image, np.where(both, quality, 0.0))


def half_references(
    totals: NDArray[np.float64],
    power: NDArray[np.float64],
    counts: NDArray[np.integer],
    ssnr_per_image: NDArray[np.float64],
    *,
    mask_diameter_px: float,
) -> NDArray[np.float32]:
    """Return the Wiener average of each half from that half's sums alone, for the next round of an alignment.

    Parameters
    ----------
    totals, power, counts
        As for :func:`finish_averages`.
    ssnr_per_image
        Of :class:`ClassAverages`, (m, L // 2 + 1): a filter is all that the halves share.
    mask_diameter_px
        The background's mean outside this diameter is taken off.

    Returns
    -------
    NDArray
        float32 (2, m, L, L); zeros where a half is empty.
    """
    m, box = len(totals), totals.shape[-1]
    outside = background_region(box, mask_diameter_px)
    references = np.zeros((2, m, box, box), np.float32)
    for half in (0, 1):
        for c in np.flatnonzero(np.asarray(counts)[:, half]):
            references[half, c] = wiener_average(totals[c, half], power[c, half], ssnr_per_image[c], outside)
    return references


def wiener_average(
    total: NDArray[np.float64], power: NDArray[np.float64], ssnr: ArrayLike, outside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Divide a sum of C F by the sum of C^2 plus 1 / SSNR.

    The mean of a normalised image lies outside its CTF, so dividing it by C^2 at the origin makes a level of no
    meaning: the average's level is chosen so that its background has mean 0.

    Parameters
    ----------
    total, power
        Shape (..., L, L) and (..., L, L // 2 + 1).
    ssnr
        Signal-to-noise ratio per image and unit C^2, per ring (..., L // 2 + 1); 0 leaves nothing of a ring.
    outside
        Background, bool (L, L).
    """
    box = total.shape[-1]
    ratio = ring_gain_image(np.asarray(ssnr), box).astype(np.float64)
    gain = ratio / (power * ratio + 1.0)
    image = scipy.fft.irfft2(scipy.fft.rfft2(total) * gain, s=(box, box))
    return np.asarray(image - _level(image, outside), dtype=np.float32)


def _level(images: NDArray[np.float64], outside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of each image (..., L, L) over the background, (..., 1, 1)."""
    flat = images.reshape(*images.shape[:-2], outside.size)
    # Gathered so that each image's pixels lie together: how a mean is rounded depends on that.
    return np.asarray(flat.take(np.flatnonzero(outside), axis=-1).mean(axis=-1))[..., None, None]


def _some_classes(
    read: ReadSums, m: int, at_once: int, box: int
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield classes, few enough that all that is made of them stays in cache, with their sums and powers."""
    few = max(1, _CACHED_BYTES // (16 * box * box))
    for first in range(0, m, max(at_once, 1)):
        totals, power = read(first, min(first + at_once, m))
        for start in range(0, len(totals), few):
            stop = min(start + few, len(totals))
            yield slice(first + start, first + stop), totals[start:stop], power[start:stop]
        del totals, power  # before the next ones are read


class _Frame:
    """The mask, the background, and what they do to the number of independent samples."""

    def __init__(self, box: int, mask_diameter_px: float) -> None:
        self.outside = background_region(box, mask_diameter_px)
        self.mask = soft_disc(box, mask_diameter_px).astype(np.float64)
        self.share = mask_fraction(self.mask)
        self.samples = np.maximum(ring_counts(box) * self.share, 1.0)


def _unfiltered(total: NDArray[np.float64], power: NDArray[np.float64], treatment: str) -> NDArray[np.float64]:
    """Return the mean of each half (h, L, L): sum C F / (sum C^2 + a little), or the plain mean."""
    box = total.shape[-1]
    if treatment != "wiener":
        return np.asarray(total / power[:, :1, :1])
    ring = ring_sums(conjugate_weight(box) * power, box) / ring_counts(box)
    floor = HALF_FLOOR * np.maximum(ring, ring.mean(axis=-1, keepdims=True))
    spectrum = scipy.fft.rfft2(total)
    spectrum *= 1.0 / (power + ring_gain_image(floor, box))
    return np.asarray(scipy.fft.irfft2(spectrum, s=(box, box), overwrite_x=True))
