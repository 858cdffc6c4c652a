"""Every rotation and every shift at once, at low resolution: one GEMM per angular harmonic.

References are shifted beforehand, so that for each (reference, shift) cell the correlation over the angle is
X(a) = sum_q Re(Z_q exp(i q a)), Z_q = sum_k D_kq conj(G_kq): a matrix product over the rings for each q, a small one
over q (even and odd harmonics apart, which halves it), and one pass for the maximum (Joyeux and Penczek,
Ultramicroscopy 92:33, 2002, for resampling to polar coordinates; Rangan and others, Inverse Problems 36, 2020, for
searching shifts through the harmonics).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.search.bank import ReferenceBank, angular_harmonics
from cryoalign.core.search.polar import RingLayout
from cryoalign.core.tiles import TILE

MAX_CHUNK = 128
"""Most (reference, shift) cells per GEMM: with TILE they keep a chunk's planes in cache."""
LANES = 8
"""Cells per vector."""


def shift_grid(max_shift: float, step: float) -> NDArray[np.float64]:
    """Lay a square grid of shifts over a disc.

    Parameters
    ----------
    max_shift, step
        Radius and spacing, in pixels.

    Returns
    -------
    ndarray
        Shape (s, 2), x then y, centre first.
    """
    reach = int(np.floor(max_shift / step + 1e-9)) if max_shift > 0 else 0
    line = np.arange(-reach, reach + 1) * step
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    # Half a step beyond the disc, so that a peak at the rim lies among cells; a denser rim found nothing more.
    inside = np.hypot(x, y) <= max_shift + step / 2 if reach else np.hypot(x, y) == 0
    order = np.lexsort((x[inside], y[inside], np.round(np.hypot(x, y)[inside], 9)))
    return np.stack([x[inside][order], y[inside][order]], axis=1)


@dataclass(frozen=True, eq=False)
class CoarsePlan:
    """Shifted references as GEMM operands; made once, shared by all threads.

    Parameters
    ----------
    layout
        The full layout; the coarse rings are its first ones.
    n_rings
        Coarse rings.
    shifts
        The grid, shape (s, 2), in pixels.
    n_references
        References; cell = reference * s + shift.
    first_ring_of
        0-based first coarse ring that carries harmonic q, shape (q,).
    column_of
        First column of harmonic q in the image operand, shape (q + 1,).
    to_harmonics
        For each ring the matrices from real and imaginary half rings to (re, im) of even and odd harmonics.
    column_order
        Column of the image operand for each of their outputs in turn.
    operand
        Right-hand sides, for each q an array (chunks, 2, rows, cells per chunk) float32.
    angles
        Synthesis matrices for even and odd harmonics, each (n_angles / 2, planes) float32.
    """

    layout: RingLayout
    n_rings: int
    shifts: NDArray[np.float64]
    n_references: int
    first_ring_of: NDArray[np.int64]
    column_of: NDArray[np.int64]
    to_harmonics: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    column_order: NDArray[np.int64]
    operand: tuple[NDArray[np.float32], ...]
    angles: tuple[NDArray[np.float32], NDArray[np.float32]]

    @property
    def n_cells(self) -> int:
        """Number of (reference, shift) cells."""
        return self.n_references * len(self.shifts)

    @property
    def chunk(self) -> int:
        """Cells per GEMM."""
        return int(self.operand[0].shape[-1])

    @property
    def n_angles(self) -> int:
        """Number of angles tried on the full circle."""
        return 2 * len(self.angles[0])


def plan_coarse(bank: ReferenceBank, n_rings: int, shifts: NDArray[np.float64], radius: float) -> CoarsePlan:
    """Shift the references, expand them in harmonics, and lay them out for the GEMMs.

    Parameters
    ----------
    bank
        The references.
    n_rings
        Coarse rings.
    shifts
        From :func:`shift_grid`, in pixels.
    radius
        Extent of the references from their centre, in pixels: it bounds the harmonics.
    """
    layout = bank.layout
    count = len(bank)
    samples = layout.ring_samples[:n_rings]
    k = np.arange(1, n_rings + 1)
    reach = radius + float(np.hypot(*shifts.T).max())
    harmonics = np.minimum(samples, np.ceil(2 * np.pi * k * reach / layout.box).astype(np.int64) + 4)
    n_q = int(harmonics.max())
    first_ring_of = np.array([int(np.argmax(harmonics > q)) for q in range(n_q)])
    # A harmonic once carried is carried by every higher ring, except where bands clip it.
    harmonics = np.maximum.accumulate(harmonics)
    rings_of = n_rings - first_ring_of
    column_of = np.concatenate([[0], np.cumsum(2 * rings_of)])
    counts = np.minimum(harmonics, samples)
    to_harmonics = tuple(_analysis(int(samples[r]), int(counts[r])) for r in range(n_rings))
    column_order = np.concatenate(
        [_operand_columns(int(counts[r]), r, first_ring_of, column_of, rings_of) for r in range(n_rings)]
    )
    operand = _shifted_operands(bank, shifts, harmonics, first_ring_of, rings_of, count)
    n_angles = 4 * ((n_q + 2) // 2)
    return CoarsePlan(
        layout,
        n_rings,
        shifts,
        count,
        first_ring_of,
        column_of,
        to_harmonics,
        column_order,
        operand,
        _synthesis(n_q, n_angles),
    )


def _analysis(h: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices (h, columns) from real and imaginary half-ring samples to (re, im) of even and odd harmonics."""
    angle = np.pi * np.arange(h) / h
    result = []
    for parity in (0, 1):
        wave = np.exp(-1j * np.outer(angle, np.arange(parity, count, 2))) / h * (1j if parity else 1)
        matrix = np.empty((h, 2 * wave.shape[1]), np.float32)
        matrix[:, 0::2], matrix[:, 1::2] = wave.real, wave.imag
        result.append(matrix)
    return result[0], result[1]


def _operand_columns(count, ring, first_ring_of, column_of, rings_of):  # type: ignore[no-untyped-def]
    """Columns of the image operand for the outputs of one ring's two matrices."""
    q = np.concatenate([np.arange(0, count, 2), np.arange(1, count, 2)])
    real = column_of[q] + ring - first_ring_of[q]
    return np.stack([real, real + rings_of[q]], axis=1).ravel()


def _synthesis(n_q: int, n_angles: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices from planes (re, im per harmonic) to half the angles, for even and odd harmonics."""
    angle = 2 * np.pi * np.arange(n_angles // 2) / n_angles
    result = []
    for parity in (0, 1):
        phase = np.outer(angle, np.arange(parity, n_q, 2))
        matrix = np.empty((len(angle), 2 * phase.shape[1]), np.float32)
        matrix[:, 0::2], matrix[:, 1::2] = np.cos(phase), -np.sin(phase)
        result.append(matrix)
    return result[0], result[1]


def _shifted_operands(bank, shifts, harmonics, first_ring_of, rings_of, count):  # type: ignore[no-untyped-def]
    layout = bank.layout
    start = layout.ring_start
    n_cells = count * len(shifts)
    chunks = math.ceil(n_cells / MAX_CHUNK)
    # Equal chunks, in whole vectors: a chunk padded to MAX_CHUNK would cost up to twice the work.
    chunk = math.ceil(n_cells / chunks / LANES) * LANES
    operand = tuple(np.zeros((chunks, 2, 2 * n, chunk), np.float32) for n in rings_of)
    kx, ky = layout.points()
    fold = 2.0 * layout.ring_weight * layout.ring_samples
    for ring in range(len(harmonics)):
        part = slice(start[ring], start[ring + 1])
        n = min(int(harmonics[ring]), int(layout.ring_samples[ring]))
        phase = np.exp(-2j * np.pi / layout.box * (np.outer(shifts[:, 0], kx[part]) + np.outer(shifts[:, 1], ky[part])))
        for first in range(0, count, 16):
            members = bank.samples[first : min(first + 16, count), None, part]
            values = angular_harmonics(members * phase, n).reshape(-1, n) * fold[ring]
            values[:, 0] *= 0.5
            cells = first * len(shifts) + np.arange(len(values))
            block, slot = cells // chunk, cells % chunk
            for q in range(n):
                row = ring - first_ring_of[q]
                re, im = values[:, q].real, values[:, q].imag
                target = operand[q]
                target[block, 0, row, slot] = re
                target[block, 0, row + rings_of[q], slot] = im
                target[block, 1, row, slot] = -im
                target[block, 1, row + rings_of[q], slot] = re
    return operand


class CoarseWorkspace:
    """Buffers of one thread; every call reuses them."""

    def __init__(self, plan: CoarsePlan) -> None:
        self.plan = plan
        self.rings = np.empty((TILE, len(plan.column_order)), np.float32)
        self.image_operand = np.zeros((TILE, int(plan.column_of[-1])), np.float32)
        chunks, chunk = plan.operand[0].shape[0], plan.chunk
        self.planes = tuple(np.empty((m.shape[1], TILE * chunk), np.float32) for m in plan.angles)
        self.curves = tuple(np.empty((len(m), TILE * chunk), np.float32) for m in plan.angles)
        self.best = np.empty((TILE, chunks * chunk), np.float32)
        self.angle = np.empty((TILE, chunks * chunk), np.int32)

    def search(
        self, polar: NDArray[np.float32], window: NDArray[np.int32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Find the best angle of every cell for every image of a tile.

        Parameters
        ----------
        polar
            Weighed transforms, float32 (TILE, 2, n_points), full layout.
        window
            For a local search the first and last angle index allowed per image, shape (TILE, 2), possibly negative
            or beyond a full circle (they wrap); None for the full circle.

        Returns
        -------
        best, angle
            Highest X per cell and its angle index, shape (TILE, n_cells). Views of this workspace.
        """
        plan = self.plan
        self._expand(polar)
        width = plan.chunk
        for chunk in range(self.best.shape[1] // width):
            self._planes_of(chunk)
            for matrix, planes, curves in zip(plan.angles, self.planes, self.curves, strict=True):
                np.matmul(matrix, planes, out=curves)
            # Whole arrays and where to start: parts would be of one layout or another, and each compiled on its own.
            if window is None:
                _maximum(self.curves[0], self.curves[1], chunk * width, self.best, self.angle)
            else:
                _local_maximum(self.curves[0], self.curves[1], window, chunk * width, self.best, self.angle)
        return self.best[:, : plan.n_cells], self.angle[:, : plan.n_cells]

    def _expand(self, polar: NDArray[np.float32]) -> None:
        """Expand the images' rings in harmonics, in the order of the GEMM operand."""
        start = self.plan.layout.ring_start
        column = 0
        for ring, matrices in enumerate(self.plan.to_harmonics):
            for plane, matrix in enumerate(matrices):
                out = self.rings[:, column : column + matrix.shape[1]]
                np.matmul(polar[:, plane, start[ring] : start[ring + 1]], matrix, out=out)
                column += matrix.shape[1]
        _reorder(self.rings, self.plan.column_order, self.image_operand)

    def _planes_of(self, chunk: int) -> None:
        """Sum over the rings for every harmonic: two planes each."""
        plan = self.plan
        for q, operand in enumerate(plan.operand):
            left = self.image_operand[:, plan.column_of[q] : plan.column_of[q + 1]]
            planes = self.planes[q % 2]
            for part in (0, 1):
                out = planes[2 * (q // 2) + part].reshape(TILE, plan.chunk)
                np.matmul(left, operand[chunk, part], out=out)


@kernel(nogil=True)
def _reorder(rings, order, operand):  # type: ignore[no-untyped-def]
    """Move columns from ring order to harmonic order."""
    for i in range(rings.shape[0]):
        for c in range(rings.shape[1]):
            operand[i, order[c]] = rings[i, c]


@kernel(nogil=True, fastmath=True)
def _maximum(even, odd, start, best, angle):  # type: ignore[no-untyped-def]
    """Take the maximum over the full circle: X(a) = E + O, X(a + pi) = E - O."""
    half = even.shape[0]
    cells = even.shape[1] // best.shape[0]
    top = np.empty(cells, np.float32)
    where = np.empty(cells, np.int32)
    for i in range(best.shape[0]):
        first = i * cells
        for c in range(cells):
            top[c] = np.float32(-3e38)
            where[c] = 0
        for a in range(half):
            e = even[a, first : first + cells]
            o = odd[a, first : first + cells]
            for c in range(cells):
                # |O| decides which half circle wins, one comparison for two angles.
                value = e[c] + abs(o[c])
                index = np.int32(a) if o[c] >= 0.0 else np.int32(a + half)
                better = value > top[c]
                top[c] = value if better else top[c]
                where[c] = index if better else where[c]
        for c in range(cells):
            best[i, start + c] = top[c]
            angle[i, start + c] = where[c]


@kernel(nogil=True, fastmath=True)
def _local_maximum(even, odd, window, start, best, angle):  # type: ignore[no-untyped-def]
    """Take the maximum over each image's own window of angles."""
    half = even.shape[0]
    cells = even.shape[1] // best.shape[0]
    for i in range(best.shape[0]):
        first = i * cells
        top, where = best[i, start : start + cells], angle[i, start : start + cells]
        for c in range(cells):
            top[c] = np.float32(-3e38)
            where[c] = 0
        for step in range(window[i, 0], window[i, 1] + 1):
            a = step % (2 * half)
            sign = np.float32(1.0) if a < half else np.float32(-1.0)
            row = a % half
            for c in range(cells):
                value = even[row, first + c] + sign * odd[row, first + c]
                if value > top[c]:
                    top[c] = value
                    where[c] = a
