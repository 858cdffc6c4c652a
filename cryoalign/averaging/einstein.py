"""How alike an average and its reference grow with the number of images: steeply for noise too ("Einstein from noise").

M. Shatsky, R. J. Hall, S. E. Brenner and R. M. Glaeser, J. Struct. Biol. 166:67 (2009); R. Henderson, PNAS 110:18037
(2013). So a high correlation with the reference proves nothing; the curve of noise stands beside that of the particles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import wiener_average
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.masks import background_region, soft_disc
from cryoalign.core.poses import Poses
from cryoalign.core.source import ImageSource
from cryoalign.core.tiles import TILE

FEWEST, MOST = 128, 2048
_SSNR = 1.0


@dataclass(frozen=True, eq=False)
class NullTest:
    """What noise became that went the way of the particles.

    Parameters
    ----------
    references
        What it was aligned to, (m, L, L).
    averages
        Of each class, at the references' box and pixel size, zeros where it has no noise images, (m, L, L).
    members
        Noise images of each class, (m,).
    curve_class
        1-based class with the most noise images, whose curve this is.
    counts
        Numbers of images, (p,).
    noise_correlation, real_correlation
        Correlation with the reference, inside the mask and over all frequencies, of the average of so many noise
        images, and of so many particles of that class (NaN where it has fewer), (p,).
    """

    references: NDArray[np.float32]
    averages: NDArray[np.float32]
    members: NDArray[np.int64]
    curve_class: int
    counts: tuple[int, ...]
    noise_correlation: NDArray[np.float64]
    real_correlation: NDArray[np.float64]


def curve_counts(members: int) -> list[int]:
    """Return the numbers of images of the curve: 128, 256 ... 2048 as far as there are, and all where that is fewer."""
    counts = [FEWEST << i for i in range((MOST // FEWEST).bit_length()) if FEWEST << i <= members]
    if members < MOST and members not in counts and members > 0:
        counts.append(members)
    return counts


def correlation_in_mask(image: NDArray[np.floating], reference: NDArray[np.floating], mask_diameter_px: float) -> float:
    """Correlate two images (L, L) inside a soft disc, over all frequencies, in [-1, 1]; 0 where one is flat."""
    weight = soft_disc(image.shape[-1], mask_diameter_px).astype(np.float64)
    first, second = (np.asarray(v, np.float64) - np.average(v, weights=weight) for v in (image, reference))
    spread = np.sqrt((weight * first**2).sum() * (weight * second**2).sum())
    return float((weight * first * second).sum() / spread) if spread > 0 else 0.0


def likeness_curve(
    source: ImageSource,
    rows: NDArray[np.int64],
    poses: Poses,
    ctf: CtfParameters | None,
    reference: NDArray[np.floating],
    counts: list[int],
    settings: SumSettings,
    mask_diameter_px: float,
) -> NDArray[np.float64]:
    """Correlate averages of the first few images with their reference.

    Parameters
    ----------
    source, rows
        Images of one class, and their rows in the source, (n,).
    poses, ctf
        Of those images; ctf None for C = 1.
    reference
        As given, (out_box, out_box).
    counts
        Numbers of images, increasing, each at most n.
    settings
        How images are summed; cells are taken from here.
    mask_diameter_px
        Diameter of the mask in pixels of the reference.

    Returns
    -------
    NDArray
        float64, one for each of ``counts``.
    """
    sums = ClassSums(replace(settings, n_cells=1))
    outside = background_region(settings.out_box, mask_diameter_px)
    correlation, begin = [], 0
    for end in counts:
        for start in range(begin, end, TILE):
            some = np.arange(start, min(start + TILE, end))
            images = source.read(rows[some])
            # Particles that cannot be used would spoil all that is added.
            cells = np.where(np.isfinite(images).all(axis=(1, 2)), 0, -1)
            sums.add(images, poses.take(some), cells, None if ctf is None else ctf.take(some))
        average = wiener_average(
            sums.totals()[0], sums.ctf_power()[0], np.full(settings.out_box // 2 + 1, _SSNR), outside
        )
        correlation.append(correlation_in_mask(average, reference, mask_diameter_px))
        begin = end
    return np.array(correlation)
