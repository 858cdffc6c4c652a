"""Halves that refine apart: how far up in resolution the next round may go, and how the halves stay together.

Where images are aligned on rings <= k alone, the FRC of two halves beyond k + 2 owes nothing to the alignment (the gap
is what the mask smears). So k advances only as far as that FRC shows signal, and what is claimed beyond the band of
the first, common reference is independent (Scheres and Chen, Nature Methods 9:853, 2012, by rings of the data).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.strategy import References, Round
from cryoalign.averaging.class_averages import half_references
from cryoalign.averaging.cross_fit import cross_fit_references
from cryoalign.core.masks import soft_disc
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.search import Searcher, SearchSettings, plan_search

GAP = 2
"""Rings beyond the aligned band that a mask lets it reach."""
ADVANCE = 0.3
"""FRC, mean of three rings, above which a ring may join the aligned band."""
_WINDOW_DEG = 15.0


def march(frc: NDArray[np.float64], ring: int) -> int:
    """Return the last ring of the next round.

    Parameters
    ----------
    frc
        FRC of the two halves, shape (box // 2 + 1,).
    ring
        Last ring of this round.
    """
    smooth = np.convolve(frc, np.ones(3) / 3.0, mode="same")
    reached = ring
    for k in range(ring + GAP + 2, len(frc) - 1):
        if not smooth[k] > ADVANCE:
            break
        reached = k
    return reached


def bring_together(
    first: NDArray[np.float32], second: NDArray[np.float32], rings: NDArray[np.int64], radius_px: float
) -> NDArray[np.float32]:
    """Turn and shift the second half's averages onto the first's, class by class, looking at the aligned band only.

    Halves that refine apart drift apart: by a few degrees where there is little signal.

    Parameters
    ----------
    first, second
        Averages, the first masked, shape (m, box, box).
    rings
        Aligned band of each class, (m,).
    radius_px
        Radius of the mask.
    """
    box = first.shape[-1]
    moved = second.copy()
    flat = np.ones((1, box // 2 + 1))
    for c in range(len(first)):
        if not (first[c].any() and second[c].any()):
            continue
        settings = SearchSettings(
            max_shift_px=box / 24, radius_px=radius_px, full_rings=int(rings[c]), coarse_rings=int(rings[c])
        )
        found = Searcher(plan_search(first[c : c + 1], flat, settings)).search(
            second[c : c + 1], psi_window=np.array([[-_WINDOW_DEG, _WINDOW_DEG]])
        )
        moved[c] = resample(second[c : c + 1], found.poses)[0]
    return moved


def next_halves(done: Round) -> References:
    """Make references of each half from that half's particles alone; an empty half keeps the ones it had."""
    used, averages, diameter = done.used, done.averages, done.mask_diameter_px
    assert used.rings is not None, "halves begin on low rings"
    found = half_references(done.totals, done.power, done.counts, averages.ssnr_per_image, mask_diameter_px=diameter)
    mask = soft_disc(found.shape[-1], diameter)
    found[1] = bring_together(found[0] * mask, found[1], used.rings, diameter / 2 + 2.5)
    filled = (done.counts > 0).T[:, :, None, None]
    rings = np.array(
        [ring if frc is None else march(frc.frc, ring) for frc, ring in zip(averages.frc, used.rings, strict=True)]
    )
    return References(
        np.where(filled, found, used.arms).astype(np.float32),
        rings.astype(np.int64),
        cross_fit_references(done.totals, done.power, done.counts, diameter),
    )
