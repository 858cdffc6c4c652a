"""The sqrt(n) growth of the largest class's average, measured on some of its members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.growth import GrowthCurve, amplitude_growth, growth_counts, growth_level
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.tiles import TILE, map_tiles

MOST_MEMBERS = 2048
"""Members that are averaged anew for the curve, at most."""
RESOLVED_FRC = 0.5
"""The growth is measured on the rings before the FRC of all members first falls below this."""

Add = Callable[[ClassSums, NDArray[np.int64], NDArray[np.int64]], None]
"""Adds rows to sums, each to its cell."""


def growth_curve(
    averages: ClassAverages,
    class_numbers: NDArray[np.integer],
    class_index: NDArray[np.int64],
    half: NDArray[np.int8],
    geometry: NDArray[np.int64],
    settings: Callable[[int], SumSettings],
    add: Add,
    *,
    mask_diameter_px: float,
    threads: int,
) -> GrowthCurve | None:
    """Measure the growth of the largest class, on rings that the whole average resolves.

    Parameters
    ----------
    averages, class_numbers
        The averages, and the number of each class, (m,).
    class_index
        0-based class of each row, negative where it cannot be used, (k,).
    half, geometry
        Half and geometry of each row, (k,); the geometry that most members have is looked at.
    settings
        Tells how rows of a geometry are summed.
    add
        Adds rows, all of one geometry and at most 64 at a time.
    mask_diameter_px
        Soft mask in which the halves are compared, at the output geometry.
    threads
        Change nothing but the time.

    Returns
    -------
    GrowthCurve or None
        None where the class has less than 16 members, or its halves agree on less than two rings.
    """
    largest = int(np.argmax(averages.counts))
    frc = averages.frc[largest]
    if frc is None:
        return None
    members = np.flatnonzero(class_index == largest)
    g = int(np.bincount(geometry[members]).argmax())
    members = members[geometry[members] == g]
    below = np.flatnonzero(frc.frc[1:] < RESOLVED_FRC)
    last = int(below[0]) if len(below) else len(frc.frc) - 1
    if last < 2:
        return None
    s = settings(g)
    counts, amplitude = measure_growth(
        members, half, s, add, mask_diameter_px=mask_diameter_px, last_ring=last, threads=threads
    )
    if not len(counts):
        return None
    box_angstrom = s.out_box * s.out_pixel_size_angstrom
    return GrowthCurve(
        counts=counts, amplitude_snr=amplitude, class_number=int(class_numbers[largest]),
        band_angstrom=(box_angstrom, box_angstrom / last),
    )  # fmt: skip


def measure_growth(
    rows: NDArray[np.int64],
    half: NDArray[np.int8],
    settings: SumSettings,
    add: Add,
    *,
    mask_diameter_px: float,
    last_ring: int,
    threads: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Average 16, 32, ... members and measure each average.

    Parameters
    ----------
    rows
        Usable members of one class in one geometry; evenly chosen if there are more than 2,048.
    half
        Of all rows, indexed by row.
    settings
        How they are summed; the number of cells is set here.
    add
        Adds rows, at most 64 at a time.
    mask_diameter_px, last_ring
        Soft mask and band in which the halves are compared, at the output geometry.
    threads
        Change nothing but the time: sums are exact.

    Returns
    -------
    counts, amplitude
        Images in each average, and the ratio of the amplitudes of signal and noise (NaN where none is seen).
    """
    chosen = rows[evenly_spread(MOST_MEMBERS, len(rows))]
    n = len(chosen)
    counts = growth_counts(n)
    if not len(counts):
        return counts, np.zeros(0)
    # Members in an order that has nothing to do with the table's, which may go by micrograph or quality.
    chosen = chosen[np.random.default_rng(0).permutation(n)]
    cells = 2 * growth_level(counts) + half[chosen]

    def share(first: int) -> ClassSums:
        mine = ClassSums(replace(settings, n_cells=2 * len(counts)))
        for start in range(first, n, threads * TILE):
            add(mine, chosen[start : start + TILE], cells[start : start + TILE])
        return mine

    sums, *others = map_tiles(share, range(0, min(threads * TILE, n), TILE), threads)
    for other in others:
        sums.add_packed(other.pack(""), "")
    box, p = settings.out_box, len(counts)
    amplitude = amplitude_growth(
        np.cumsum(sums.totals().reshape(p, 2, box, box), axis=0),
        np.cumsum(sums.ctf_power().reshape(p, 2, box, box // 2 + 1), axis=0),
        np.cumsum(sums.counts.reshape(p, 2), axis=0),
        mask_diameter_px=mask_diameter_px,
        last_ring=last_ring,
    )
    return counts, amplitude
