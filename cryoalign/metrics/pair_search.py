"""From curves over the angle to the best pose of every pair: what the measures that turn columns share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.metrics.measure import APART_DEG, Matches, PairTable, SearchLimits

Curves = Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]
"""Rows of the images, and their curves (m, rows, n_angles)."""


def search_curves(
    curves_of: Callable[[bool], Curves],
    m: int,
    n: int,
    limits: SearchLimits,
    *,
    power: float = 1.0,
    margins: bool = True,
) -> tuple[PairTable, NDArray[np.float64]]:
    """Find the best rotation, and hand, of all pairs.

    Parameters
    ----------
    curves_of
        Given whether images are mirrored, their curves, tile by tile.
    m, n
        Number of references and of images.
    limits
        Windows and mirrors.
    power
        Values are curves raised to this.
    margins
        Whether the next lowest valley is wanted.

    Returns
    -------
    table, next_lowest
        Shifts are zeros. With one reference, the value of the lowest other peak of each image, (n,).
    """
    table, next_value = PairTable.empty(m, n), np.full(n, np.inf)
    table.value[...] = np.inf
    for mirror in (False, True) if limits.mirror else (False,):
        for rows, curve in curves_of(mirror):
            psi, value = lowest(curve, limits, rows)
            value = value**power
            if margins and m == 1:
                other = next_lowest(curve[0], psi[0], limits, rows) ** power
                # The better of the two hands has the other's lowest for a rival as well.
                rival = np.maximum(value[0], table.value[0, rows])
                next_value[rows] = np.minimum(np.minimum(next_value[rows], other), rival)
            better = value < table.value[:, rows]
            table.psi[:, rows] = np.where(better, psi, table.psi[:, rows])
            table.mirror[:, rows] = np.where(better, mirror, table.mirror[:, rows])
            table.value[:, rows] = np.where(better, value, table.value[:, rows])
    return table, next_value


def nearest_valleys(curves_of: Callable[[bool], Curves], poses: Poses, *, power: float = 1.0) -> PairTable:
    """Walk down from the angle of each image's pose to the nearest valley of its curve against the first reference.

    Parameters
    ----------
    curves_of
        As in :func:`search_curves`.
    poses
        Of the n images; shifts are not looked at.
    power
        Values are raised to it.

    Returns
    -------
    PairTable
        (1, n), without shifts.
    """
    table = PairTable.empty(1, len(poses))
    for mirror in np.unique(poses.mirror).tolist():
        for rows, curves in curves_of(mirror):
            mine = poses.mirror[rows] == mirror
            rows, curve = rows[mine], curves[:1, mine]
            if len(rows) == 0:
                continue
            n, everyone = curve.shape[-1], np.arange(len(rows))
            at = np.rint(poses.psi[rows] * (n / 360.0)).astype(np.int64) % n
            for _ in range(n):
                around = (at[:, None] + np.array([0, -1, 1])) % n
                step = around[everyone, curve[0][everyone[:, None], around].argmin(axis=1)]
                if np.array_equal(step, at):
                    break
                at = step
            centres = np.zeros(len(poses))
            centres[rows] = at * (360.0 / n)
            window = SearchLimits(psi_centre_deg=centres, psi_half_width_deg=180.0 / n)
            psi, value = lowest(curve, window, rows)
            table.psi[0, rows], table.value[0, rows] = psi[0], value[0] ** power
            table.mirror[0, rows] = mirror
    return table


def best_matches(table: PairTable, next_value: NDArray[np.float64], *, lower_is_better: bool = True) -> Matches:
    """Pick each image's best reference; the margin is over the next reference, or the next peak of the only one."""
    sign = 1.0 if lower_is_better else -1.0
    cost, other = sign * table.value, sign * next_value
    best, everyone = np.argmin(cost, axis=0), np.arange(cost.shape[1])
    if len(cost) > 1:
        rest = cost.copy()
        rest[best, everyone] = np.inf
        other = rest.min(axis=0)
    return Matches(
        reference=best.astype(np.int64),
        poses=table.poses((best, everyone)),
        score=table.value[best, everyone],
        margin=np.maximum(other - cost[best, everyone], 0.0),
        found=None if table.found is None else table.found[best, everyone],
    )


def lowest(
    curve: NDArray[np.floating], limits: SearchLimits, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the lowest point of curves (m, rows, n_angles) within each image's window.

    Returns
    -------
    psi_deg, value
        Float64 (m, rows): the vertex of the parabola through the lowest sample and its neighbours.
    """
    n_angles = curve.shape[-1]
    closed = _outside(limits, rows, n_angles)
    best = (curve if closed is None else np.where(closed, np.inf, curve)).argmin(axis=-1)
    left, least, right = (
        np.take_along_axis(curve, ((best + step) % n_angles)[..., None], -1)[..., 0].astype(np.float64)
        for step in (-1, 0, 1)
    )
    bend = left - 2.0 * least + right
    step = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    step = np.clip(step, -0.5, 0.5)
    psi = wrap_degrees((best + step) * (360.0 / n_angles))
    if window := limits.windows(rows):
        centre, half = window
        psi = wrap_degrees(centre + np.clip(wrap_degrees(psi - centre), -half, half))
    return psi, np.maximum(least - 0.25 * (left - right) * step, 0.0)


def next_lowest(
    curve: NDArray[np.floating], psi_deg: NDArray[np.float64], limits: SearchLimits, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the lowest valley turned by more than 10 degrees from psi, (rows,); the curve's highest value if none.

    Parameters
    ----------
    curve
        Of one reference, (rows, n_angles).
    """
    angle = np.arange(curve.shape[-1]) * (360.0 / curve.shape[-1])
    valley = (curve <= np.roll(curve, 1, -1)) & (curve <= np.roll(curve, -1, -1))
    valley &= np.abs(wrap_degrees(angle - psi_deg[:, None])) > APART_DEG
    closed = _outside(limits, rows, curve.shape[-1])
    if closed is not None:
        valley &= ~closed
    other = np.where(valley, curve, np.inf).min(axis=-1)
    return np.asarray(np.where(np.isfinite(other), other, curve.max(axis=-1)), dtype=np.float64)


def _outside(limits: SearchLimits, rows: NDArray[np.int64], n_angles: int) -> NDArray[np.bool_] | None:
    """Mark samples outside the windows of images, with half a sample of grace, (rows, n_angles); None: no windows."""
    window = limits.windows(rows)
    if window is None:
        return None
    (centre, half), step = window, 360.0 / n_angles
    away = np.abs(wrap_degrees(np.arange(n_angles) * step - centre[:, None]))
    return np.asarray(away > half + 0.5 * step)
