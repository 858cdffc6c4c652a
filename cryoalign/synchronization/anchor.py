"""Which rotation and which handedness of each component: what the edges leave free is fixed by what is known else.

All poses of a component may be followed by one pose G = (gamma, mirror) of the common frame, and no edge
P_i^-1 o P_j changes. Then psi_i becomes gamma + s psi_i, s = -1 where G mirrors, and every handedness turns with it.

- Handedness: of two anchors in a component, the one under which they agree; else that of the input, by the majority of
  the weights; else the smallest row of the component is not mirrored.
- Rotation: the anchor's; else the weighted circular mean of psi - input psi is 0, over the images whose handedness
  agrees with the input's (those not mirrored, where the input says nothing of it); else the smallest row of the
  component has 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.synchronization.synchronise import Synchronization

ANCHOR_TOLERANCE_DEG = 1.0
"""Two anchors of one component may differ by this much from what the graph says of the two nodes."""


def anchored(
    sync: Synchronization,
    anchors_deg: Mapping[int, float] | None = None,
    psi_prior_deg: ArrayLike | None = None,
    mirror_prior: ArrayLike | None = None,
    *,
    names: Sequence[object] | None = None,
) -> Synchronization:
    """Return the same solution in the common frame that the user asked for.

    Parameters
    ----------
    sync
        What `synchronise` found.
    anchors_deg
        Row (from 0) -> psi in degrees that it must have; one for a component is enough, more must agree.
    psi_prior_deg
        psi of the input, (n,) degrees; NaN where it is not known. Nodes count by their confidence.
    mirror_prior
        Handedness of the input, (n,) bool; None where it is not known.
    names
        What users call the nodes, (n,); rows from 1 if omitted.

    Raises
    ------
    InputError
        An anchor is not a node or not a finite angle, or two in one component disagree.
    """
    n = len(sync.psi_deg)
    anchors = dict(anchors_deg or {})
    for row, angle in anchors.items():
        if not 0 <= row < n:
            raise InputError(f"anchor {row + 1} is not one of the {n} nodes")
        if not np.isfinite(angle):
            raise InputError(f"anchor {_name(names, row)} has no usable angle", value=angle)
    prior = np.full(n, np.nan) if psi_prior_deg is None else np.asarray(psi_prior_deg, dtype=np.float64)
    hands = None if mirror_prior is None else np.asarray(mirror_prior, dtype=bool)
    psi, mirror = sync.psi_deg.copy(), sync.mirror.copy()
    by_component: dict[int, dict[int, float]] = {}
    for row in sorted(anchors):
        by_component.setdefault(int(sync.component[row]), {})[row] = float(anchors[row])
    order = np.argsort(sync.component, kind="stable")
    cuts = np.flatnonzero(np.r_[True, np.diff(sync.component[order]) != 0, True]) if n else np.zeros(1, np.int64)
    # Many graphs have many nodes without neighbours.
    alone = order[cuts[:-1][np.diff(cuts) == 1]]
    psi[alone] = np.where(np.isfinite(prior[alone]), wrap_degrees(np.nan_to_num(prior[alone])), 0)
    mirror[alone] = False if hands is None else hands[alone]
    for row in np.intersect1d(alone, list(anchors)).astype(int):
        psi[row] = wrap_degrees(anchors[row])
    for first, last in pairwise(cuts):
        if last == first + 1:
            continue
        nodes = order[first:last]
        here = by_component.get(int(sync.component[nodes[0]]), {})
        part = Poses(psi[nodes], np.zeros(len(nodes)), np.zeros(len(nodes)), mirror[nodes])
        known = None if hands is None else hands[nodes]
        moved = _placed(part, nodes, here, prior[nodes], known, sync.confidence[nodes], names)
        psi[nodes], mirror[nodes] = moved.psi, moved.mirror
    return replace(sync, psi_deg=psi, mirror=mirror)


def _placed(
    part: Poses,
    nodes: NDArray[np.int64],
    anchors: Mapping[int, float],
    prior: NDArray[np.float64],
    hands: NDArray[np.bool_] | None,
    weight: NDArray[np.float64],
    names: Sequence[object] | None,
) -> Poses:
    """Place one component; ``nodes`` are its rows, ascending."""
    weight = np.where(np.isfinite(weight) & (weight > 0), weight, 0)
    if not weight.any():
        weight = np.ones(len(nodes))
    rows = [int(np.searchsorted(nodes, row)) for row in anchors]
    angles = np.array(list(anchors.values()))
    flipped = _turned(part, 0.0, True)
    if hands is not None:
        against = bool(weight[part.mirror != hands].sum() > weight[part.mirror == hands].sum())
    else:
        against = bool(part.mirror[0])
        # Without any mirrored node both handednesses say the same of angles only if there is one anchor.
        if len(rows) > 1 and part.mirror.any():
            gap = [_spread(other.psi[rows], angles) for other in (part, flipped)]
            against = gap[1] < gap[0] - 1e-6 if abs(gap[1] - gap[0]) > 1e-6 else against
    chosen = flipped if against else part
    if rows:
        spread = _spread(chosen.psi[rows], angles)
        if spread > ANCHOR_TOLERANCE_DEG:
            _refuse(chosen.psi[rows], angles, [_name(names, row) for row in anchors])
        return _turned(chosen, _mean_deg(angles - chosen.psi[rows], np.ones(len(rows))), False)
    used = np.isfinite(prior) & (weight > 0)
    used &= chosen.mirror == (False if hands is None else hands)
    if used.any():
        return _turned(chosen, _mean_deg(prior[used] - chosen.psi[used], weight[used]), False)
    return _turned(chosen, -float(chosen.psi[0]), False)


def _turned(part: Poses, gamma_deg: float, mirror: bool) -> Poses:
    """Follow all poses by one of the common frame."""
    return part.then(Poses([gamma_deg], [0.0], [0.0], [mirror]))


def _mean_deg(angle_deg: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the circular mean; 0 where there is none."""
    total = np.sum(weight * np.exp(1j * np.deg2rad(angle_deg)))
    return float(np.rad2deg(np.angle(total))) if abs(total) > 1e-12 * weight.sum() else 0.0


def _spread(psi_deg: NDArray[np.float64], angle_deg: NDArray[np.float64]) -> float:
    """Return the largest difference between what anchors say of each other and what the graph does."""
    gap = angle_deg - psi_deg
    return float(np.abs(wrap_degrees(gap - gap[0])).max())


def _refuse(psi_deg: NDArray[np.float64], angle_deg: NDArray[np.float64], called: list[object]) -> None:
    worst = int(np.argmax(np.abs(wrap_degrees((angle_deg - psi_deg) - (angle_deg - psi_deg)[0]))))
    graph = float(wrap_degrees(psi_deg[worst] - psi_deg[0]))
    asked = float(wrap_degrees(angle_deg[worst] - angle_deg[0]))
    raise InputError(
        f"anchors {called[0]} and {called[worst]} are in one component and disagree: "
        f"{asked:.2f} degrees apart, the graph says {graph:.2f}",
        hint="give one anchor for each component",
    )


def _name(names: Sequence[object] | None, row: int) -> object:
    return row + 1 if names is None else names[row]
