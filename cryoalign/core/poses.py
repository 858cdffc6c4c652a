"""The pose of an image in RELION's sense: the one type for in-plane geometry, from the core to the file.

With R(psi) = [[cos, -sin], [sin, cos]] on (x, y), F the flip of x, q an offset from the centre pixel N // 2 and
d = (dx, dy), a pose says ``aligned(R(psi)(F^m q + d)) = image(q)``: the mirror first, then the shift by +d, then the
rotation by psi about the centre. For ``mirror = False`` this is exactly rlnAnglePsi and rlnOriginX/Y in pixels, as
``relion_stack_create --apply_transformation`` applies them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def wrap_degrees(angle: ArrayLike) -> NDArray[np.float64]:
    """Bring angles into (-180, 180], in degrees."""
    wrapped = -np.mod(180.0 - np.asarray(angle, dtype=np.float64), 360.0) + 180.0
    return np.asarray(wrapped)


def rotate_points(angle_deg: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
    """Apply R(angle) to the points (x, y); all broadcast, angle in degrees."""
    radians = np.deg2rad(np.asarray(angle_deg, dtype=np.float64))
    cosine, sine = np.cos(radians), np.sin(radians)
    return cosine * x - sine * np.asarray(y), sine * x + cosine * np.asarray(y)


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of n images.

    Parameters
    ----------
    psi
        In-plane angle in degrees, shape (n,); kept in (-180, 180].
    dx, dy
        Origin offsets in pixels, shape (n,).
    mirror
        Whether x is flipped first, shape (n,) bool; all False if omitted.
    """

    psi: NDArray[np.float64]
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    mirror: NDArray[np.bool_]

    def __init__(self, psi: ArrayLike, dx: ArrayLike, dy: ArrayLike, mirror: ArrayLike | None = None) -> None:
        angle = wrap_degrees(np.atleast_1d(psi))
        columns = [np.atleast_1d(np.asarray(v, dtype=np.float64)).copy() for v in (dx, dy)]
        flips = np.zeros(len(angle), bool) if mirror is None else np.atleast_1d(np.asarray(mirror)).astype(bool)
        if not len(angle) == len(columns[0]) == len(columns[1]) == len(flips):
            raise ValueError("psi, dx, dy and mirror must have the same length")
        for name, value in zip(("psi", "dx", "dy", "mirror"), (angle, *columns, flips), strict=True):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Count the poses."""
        return len(self.psi)

    @classmethod
    def identity(cls, n: int) -> Poses:
        """Return n poses that leave images as they are."""
        return cls(np.zeros(n), np.zeros(n), np.zeros(n))

    @classmethod
    def concatenate(cls, parts: Iterable[Poses]) -> Poses:
        """Join poses in order."""
        parts = list(parts)
        psi, dx, dy, mirror = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("psi", "dx", "dy", "mirror")
        )
        return cls(psi, dx, dy, mirror)

    @classmethod
    def where(cls, first: NDArray[np.bool_], one: Poses, other: Poses) -> Poses:
        """Return the poses of ``one`` where ``first``, bool (n,), those of ``other`` elsewhere."""
        return cls(*(np.where(first, getattr(one, c), getattr(other, c)) for c in ("psi", "dx", "dy", "mirror")))

    def take(self, rows: ArrayLike) -> Poses:
        """Return the poses of some rows (indices or a boolean mask)."""
        rows = np.asarray(rows)
        return Poses(self.psi[rows], self.dx[rows], self.dy[rows], self.mirror[rows])

    def then(self, second: Poses) -> Poses:
        """Compose: this pose first, then ``second``; shapes (n,) with (n,) or (1,)."""
        sign = np.where(second.mirror, -1.0, 1.0)
        x, y = rotate_points(-sign * self.psi, second.dx, second.dy)
        # psi2 + s2 psi1;  d = F^m2 d1 + R(-s2 psi1) d2, since F R(a) = R(-a) F.
        return Poses(
            second.psi + sign * self.psi,
            sign * self.dx + x,
            self.dy + y,
            np.logical_xor(self.mirror, second.mirror),
        )

    def inverse(self) -> Poses:
        """Return the poses that undo these: (-s psi, -R(s psi) F^m d, m), s = -1 where mirrored."""
        sign = np.where(self.mirror, -1.0, 1.0)
        x, y = rotate_points(sign * self.psi, sign * self.dx, self.dy)
        return Poses(-sign * self.psi, -x, -y, self.mirror)

    def apply_to_points(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Carry image offsets from the centre to the aligned frame.

        Parameters
        ----------
        x, y
            Offsets from the centre pixel in pixels, broadcast against (n,).

        Returns
        -------
        tuple
            Offsets in the aligned frame, in pixels.
        """
        flipped = np.where(self.mirror, -1.0, 1.0) * np.asarray(x)
        return rotate_points(self.psi, flipped + self.dx, np.asarray(y) + self.dy)

    def recentred(self, x: ArrayLike, y: ArrayLike) -> Poses:
        """Move the aligned-frame point (x, y) (offset in pixels) to the centre: d' = d - R(-psi) (x, y)."""
        sx, sy = rotate_points(-self.psi, x, y)
        return Poses(self.psi, self.dx - sx, self.dy - sy, self.mirror)

    def as_written(self, pixel_size_angstrom: ArrayLike) -> Poses:
        """Round to what a STAR file keeps, six decimals of degrees and A, so that files give back the same poses.

        Parameters
        ----------
        pixel_size_angstrom
            In A, for all or for each of the n images; origins are written in A.
        """
        pixel = np.asarray(pixel_size_angstrom, dtype=np.float64)
        x, y = np.round(self.dx * pixel, 6) / pixel, np.round(self.dy * pixel, 6) / pixel
        return Poses(np.round(self.psi, 6), x, y, self.mirror)


class PosedEdges:
    """What all edges (i, j) have in common: the pose that brings image j onto image i.

    Attributes
    ----------
    angle_deg
        psi in degrees, any shape S.
    shift_px
        (dx, dy) in pixels, (*S, 2); None = no shifts.
    mirror
        Whether j is mirrored, S; None = no mirrors.
    """

    angle_deg: NDArray[np.floating]
    shift_px: NDArray[np.floating] | None
    mirror: NDArray[np.bool_] | None

    def poses(self, at: Any = slice(None), *, scale: float = 1.0) -> Poses:
        """Return the poses of some edges, in a row.

        Parameters
        ----------
        at
            Which edges, as an index of ``angle_deg``.
        scale
            What shifts are multiplied by.
        """
        angle = self.angle_deg[at].ravel()
        shift = np.zeros((len(angle), 2)) if self.shift_px is None else self.shift_px[at].reshape(-1, 2)
        mirror = None if self.mirror is None else self.mirror[at].ravel()
        return Poses(angle, shift[:, 0] * scale, shift[:, 1] * scale, mirror)
