"""Neighbour lists and shifts against the truth, with geometry of the judge's own.

RELION's matrix of (rot, tilt, psi) has the image's x and y axes and the viewing direction as rows. Two particles show
the same view if their third rows agree; a mirrored particle is the particle of (rot + 180, 180 - tilt, 180 - psi), and
its third row is the opposite one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .judge import wrap


@dataclass(frozen=True)
class Lists:
    """Neighbours of given rows, best first: index (m, k), mirror (m, k), psi (degrees, brings j onto i) or None."""

    rows: NDArray
    index: NDArray
    mirror: NDArray
    psi: NDArray | None = None

    def nearest(self, k: int) -> Lists:
        """Keep the k best."""
        return Lists(self.rows, self.index[:, :k], self.mirror[:, :k], None if self.psi is None else self.psi[:, :k])


class Views:
    """True views of n particles: angles between them, in-plane angles, and how a 3-D shift looks in each."""

    def __init__(self, truth: dict[str, NDArray]) -> None:
        self.psi = truth["psi"]
        self.shift = np.stack([truth["dx"], truth["dy"]], axis=1)
        self.plain = _frames(truth["rot"], truth["tilt"])
        self.mirrored = _frames(truth["rot"] + 180.0, 180.0 - truth["tilt"])

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.psi)

    def angle(self, i: NDArray, j: NDArray, mirror: NDArray) -> NDArray[np.float64]:
        """Return the angle between the views of i and of j (mirrored where said), degrees."""
        cosine = np.einsum("...a,...a->...", self.plain[i, 2], self.plain[j, 2]) * np.where(mirror, -1.0, 1.0)
        return np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))

    def in_plane(self, i: NDArray, j: NDArray, mirror: NDArray) -> NDArray[np.float64]:
        """Return psi of the edge (i, j) that turns j best onto i, degrees.

        With X = frame_j frame_i^T, the turn by psi about the view that is nearest to X; for equal views psi_j - psi_i.
        """
        other = np.where(np.asarray(mirror)[..., None, None], self.mirrored[j], self.plain[j])
        between = np.einsum("...ab,...cb->...ac", other, self.plain[i])
        frame = np.rad2deg(np.arctan2(between[..., 1, 0] - between[..., 0, 1], between[..., 0, 0] + between[..., 1, 1]))
        return wrap(np.where(mirror, 180.0 - self.psi[j], self.psi[j]) - self.psi[i] - frame)

    def nearest(self, rows: NDArray, k: int) -> Lists:
        """Return the k truly nearest others of each row, mirrored ones included, with the true in-plane angles."""
        cosine = self.plain[rows, 2] @ self.plain[:, 2].T
        score = np.abs(cosine)
        score[np.arange(len(rows)), rows] = -1.0
        index = np.argsort(-score, axis=1, kind="stable")[:, :k]
        mirror = np.take_along_axis(cosine, index, axis=1) < 0
        return Lists(rows, index, mirror, self.in_plane(rows[:, None], index, mirror))

    def shift_residual(self, centre: NDArray, rows: NDArray | None = None) -> NDArray[np.float64]:
        """Return found minus true centres (m, 2) in pixels, less what one 3-D shift of the molecule explains."""
        rows = np.arange(len(self)) if rows is None else rows
        turn = np.deg2rad(self.psi[rows])
        c, s = np.cos(turn), np.sin(turn)
        rotation = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)  # R(-psi): reference to particle
        axes = np.einsum("nab,nbc->nac", rotation, self.plain[rows, :2])
        error = centre - self.shift[rows]
        moved = np.linalg.lstsq(axes.reshape(-1, 3), error.reshape(-1), rcond=None)[0]
        return error - axes @ moved


def _frames(rot_deg: NDArray, tilt_deg: NDArray) -> NDArray[np.float64]:
    """Return RELION's matrices of (rot, tilt, 0), (n, 3, 3)."""
    a, b = np.deg2rad(rot_deg), np.deg2rad(tilt_deg)
    ca, sa, cb, sb, zero = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.zeros_like(a)
    rows = [[cb * ca, cb * sa, -sb], [-sa, ca, zero], [sb * ca, sb * sa, cb]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@dataclass(frozen=True)
class Found:
    """Figures of lists: mean view error (degrees) over the nearest 10, 20, 50; median in-plane error over the nearest
    10, and over those of them within 10 degrees of view; share of mirrored members.
    """

    view10: float
    view20: float
    view50: float
    in_plane: float
    in_plane_near: float
    mirrored: float

    def views(self) -> str:
        """Say the three view errors."""
        return "/".join(f"{v:.2f}" for v in (self.view10, self.view20, self.view50))


def judge_lists(lists: Lists, views: Views) -> Found:
    """Judge neighbour lists; a list that is too short counts with what it has (index -1 is left out)."""
    i = lists.rows[:, None]
    valid = lists.index >= 0
    view = np.where(valid, views.angle(i, lists.index, lists.mirror), np.nan)
    means = [float(np.nanmean(view[:, :k])) for k in (10, 20, 50)]
    in_plane = near = float("nan")
    if lists.psi is not None:
        first = lists.nearest(10)
        error = np.abs(wrap(first.psi - views.in_plane(i, first.index, first.mirror)))[valid[:, :10]]
        in_plane = float(np.median(error))
        close = view[:, :10][valid[:, :10]] <= 10.0
        near = float(np.median(error[close])) if close.any() else float("nan")
    return Found(*means, in_plane, near, float(lists.mirror[valid].mean()))


def read_turns(lists: Lists, turns_deg: NDArray, views: Views) -> tuple[Lists, str]:
    """Give lists the angles of a program whose convention is not ours: sign and half turn that fit the truth best.

    It is told from pairs of truly near views only; a wrong convention errs by 90 degrees in the median.
    """
    best = (np.inf, lists, "")
    near = views.angle(lists.rows[:, None], lists.index, lists.mirror) < 10.0
    true = views.in_plane(lists.rows[:, None], lists.index, lists.mirror)
    for sign in (1.0, -1.0):
        for half in (0.0, 180.0):
            psi = sign * turns_deg + np.where(lists.mirror, half, 0.0)
            error = float(np.median(np.abs(wrap(psi - true))[near])) if near.any() else np.inf
            spread = float(np.mean(np.abs(wrap(psi - true))[near])) if near.any() else np.inf
            if error + spread < best[0]:
                best = (
                    error + spread,
                    Lists(lists.rows, lists.index, lists.mirror, psi),
                    f"{sign:+g}, mirror {half:g}",
                )
    return best[1], best[2]
