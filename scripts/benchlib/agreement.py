"""How near found poses are to true ones, where both are free up to one rotation and one handedness.

Corr = |x* z| / n (Gao and Zhao, ICML 2019). With mirrors, a change of the common frame that flips it turns psi into
const - psi: both handednesses are tried, and only nodes whose handedness is then right count in the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.poses import wrap_degrees


@dataclass(frozen=True, eq=False)
class Agreement:
    """What is left after the best rotation and handedness of the whole.

    Parameters
    ----------
    correlation
        |x* z| / n, from 0 to 1.
    error_deg
        Signed error of each node in (-180, 180], float64 (n,).
    handed
        Whether the handedness of each node is right, bool (n,).
    """

    correlation: float
    error_deg: NDArray[np.float64]
    handed: NDArray[np.bool_]


def agreement(
    found_deg: ArrayLike,
    true_deg: ArrayLike,
    found_mirror: ArrayLike | None = None,
    true_mirror: ArrayLike | None = None,
) -> Agreement:
    """Compare the poses of n nodes of one component.

    Parameters
    ----------
    found_deg, true_deg
        psi in degrees, (n,).
    found_mirror, true_mirror
        Handedness, bool (n,); all False if omitted.
    """
    found, true = np.asarray(found_deg, np.float64), np.asarray(true_deg, np.float64)
    flips = [np.zeros(len(found), bool) if m is None else np.asarray(m, bool) for m in (found_mirror, true_mirror)]
    differs = flips[0] ^ flips[1]
    results = []
    for flipped in (False, True) if differs.any() else (False,):
        difference = found + true if flipped else found - true
        handed = differs == flipped
        total = np.exp(1j * np.deg2rad(difference[handed])).sum()
        error = wrap_degrees(difference - np.degrees(np.angle(total)))
        results.append(Agreement(float(np.abs(total)) / max(len(found), 1), error, handed))
    return max(results, key=lambda result: result.correlation)


def correlation(
    found_deg: ArrayLike,
    true_deg: ArrayLike,
    found_mirror: ArrayLike | None = None,
    true_mirror: ArrayLike | None = None,
) -> float:
    """Return `Agreement.correlation`."""
    return agreement(found_deg, true_deg, found_mirror, true_mirror).correlation
