"""The sqrt(n) growth of a class's average, measured on some of its members."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.growth import amplitude_growth, growth_counts, growth_level
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import TILE

MOST_MEMBERS = 2048
"""Members that are averaged anew for the curve, at most."""


def measure_growth(
    rows: NDArray[np.int64],
    settings: SumSettings,
    read: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    poses: Poses,
    half: NDArray[np.int8],
    ctf: CtfParameters | None,
    *,
    mask_diameter_px: float,
    last_ring: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Average 16, 32, ... members and measure each average.

    Parameters
    ----------
    rows
        Usable members of one class in one geometry; evenly chosen if there are more than 2,048.
    settings
        How they are summed; the number of cells is set here.
    read
        Gives the raw images of rows.
    poses, half, ctf
        Of all particles, indexed by row.
    mask_diameter_px, last_ring
        Soft mask and band in which the halves are compared, at the output geometry.

    Returns
    -------
    counts, amplitude
        Images in each average, and the ratio of the amplitudes of signal and noise (NaN where none is seen).
    """
    from dataclasses import replace

    n = min(len(rows), MOST_MEMBERS)
    chosen = rows[np.arange(n) * len(rows) // max(n, 1)]
    counts = growth_counts(n)
    if not len(counts):
        return counts, np.zeros(0)
    # Members in an order that has nothing to do with the table's, which may go by micrograph or quality.
    chosen = chosen[np.random.default_rng(0).permutation(n)]
    cells = 2 * growth_level(counts) + half[chosen]
    sums = ClassSums(replace(settings, n_cells=2 * len(counts)))
    for start in range(0, n, TILE):
        some = chosen[start : start + TILE]
        sums.add(read(some), poses.take(some), cells[start : start + TILE], None if ctf is None else ctf.take(some))
    box, p = settings.out_box, len(counts)
    amplitude = amplitude_growth(
        np.cumsum(sums.totals().reshape(p, 2, box, box), axis=0),
        np.cumsum(sums.ctf_power().reshape(p, 2, box, box // 2 + 1), axis=0),
        np.cumsum(sums.counts.reshape(p, 2), axis=0),
        mask_diameter_px=mask_diameter_px,
        last_ring=last_ring,
    )
    return counts, amplitude
