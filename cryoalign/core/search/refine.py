"""Candidates from the coarse search, refined by Newton's method in angle and shift on the polar points.

At an angle a and a shift t the score X = sum w Re(D conj(G_a) exp(i k.t)) and its nine derivatives come from one pass:
the reference's rings are read between samples with one set of weights per band, and the phase of the shift runs from
ring to ring by one multiplication. The angle is scaled by the radius so that both variables are in pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.search.bank import ReferenceBank, turning_kernel
from cryoalign.core.search.weigh import cosine_of_turns, sine_of_turns

SUMS = 10
"""X, Xx, Xy, Xxx, Xxy, Xyy, Xa, Xax, Xay, Xaa."""


class ScoreField(NamedTuple):
    """What the score needs of rings and references; the same for every image. Compiled code takes it as it is.

    Parameters
    ----------
    box, radius
        In pixels; the radius scales the angle.
    first_ring, samples, table_start, ring_weight
        Of the ring layout and the reference bank.
    cosine, sine
        Directions of the points of each band's first ring, concatenated, float32.
    kernel
        From :func:`cryoalign.core.search.bank.turning_kernel`.
    """

    box: int
    radius: float
    first_ring: NDArray[np.int64]
    samples: NDArray[np.int64]
    table_start: NDArray[np.int64]
    ring_weight: NDArray[np.float64]
    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    kernel: NDArray[np.float32]


def score_field(bank: ReferenceBank, radius: float) -> ScoreField:
    """Gather what the score needs of a bank; the radius, in pixels, scales the angle."""
    layout = bank.layout
    angle = np.concatenate([np.arange(h) * np.pi / h for h in layout.samples])
    return ScoreField(
        layout.box,
        float(radius),
        layout.first_ring,
        layout.samples,
        bank.table_start,
        layout.ring_weight,
        np.cos(angle).astype(np.float32),
        np.sin(angle).astype(np.float32),
        turning_kernel(),
    )


class Room(NamedTuple):
    """Scratch of the score and the climb. Compiled code takes it as it is: each kind of array made there would be
    compiled on its own, in a twentieth of a second.

    Parameters
    ----------
    work
        float32 (4, longest half ring).
    weights
        Of the taps, float32 (3, taps).
    step, previous
        float64 (3,).
    """

    work: NDArray[np.float32]
    weights: NDArray[np.float32]
    step: NDArray[np.float64]
    previous: NDArray[np.float64]


def room_for(field: ScoreField) -> Room:
    """Make room for a score."""
    work = np.empty((4, int(field.samples[-1])), np.float32)
    return Room(work, np.empty(field.kernel.shape[1:], np.float32), np.empty(3), np.empty(3))


# Inlined by force, as are all that the tile's kernel calls: the process that compiles a kernel also holds these
# functions on their own and would call those, rounded otherwise than the copies within the kernel that later
# processes load.
@kernel(keep=False, nogil=True, fastmath=True, forceinline=True)
def evaluate_score(image, table, pose, n_rings, field, room, out):  # type: ignore[no-untyped-def]
    """Sum the score and its derivatives over rings 1 .. n_rings.

    Parameters
    ----------
    image
        D of one image, float32 (2, n_points).
    table
        Turning table of one reference, float32 (2, table length).
    pose
        Angle (radians), tx, ty (pixels).
    field
        A :class:`ScoreField`.
    room
        A :class:`Room`.
    out
        Float64 (10,): X, Xx, Xy, Xxx, Xxy, Xyy, Xa, Xax, Xay, Xaa in radians and pixels.
    """
    re, im, table_re, table_im = image[0], image[1], table[0], table[1]
    angle, tx, ty = pose[0], pose[1], pose[2]
    box, first_ring, samples, kernel = field.box, field.first_ring, field.samples, field.kernel
    work, weights = room.work, room.weights
    table_start, ring_weight, cosine, sine = field.table_start, field.ring_weight, field.cosine, field.sine
    for s in range(SUMS):
        out[s] = 0.0
    unit = 2.0 * np.pi / box
    sx, sy = np.float32(tx / box), np.float32(ty / box)
    # Not literals: the types of what is counted up stand at once, and the compiler's search for types is shorter.
    point = direction = np.int64(0)
    steps = kernel.shape[0] - 1
    taps = kernel.shape[2]
    for band in range(len(samples)):
        ring = first_ring[band]
        if ring > n_rings:
            break
        h = samples[band]
        last = min(first_ring[band + 1] - 1, n_rings)
        ex = cosine[direction : direction + h]
        ey = sine[direction : direction + h]
        phase_re, phase_im, ratio_re, ratio_im = work[0, :h], work[1, :h], work[2, :h], work[3, :h]
        k0 = np.float32(ring)
        for j in range(h):
            turns = ex[j] * sx + ey[j] * sy
            ratio_re[j] = cosine_of_turns(turns)
            ratio_im[j] = sine_of_turns(turns)
            phase_re[j] = cosine_of_turns(k0 * turns)
            phase_im[j] = sine_of_turns(k0 * turns)
        # Fine samples per radian, and where this angle falls among them.
        density = 2.0 * h / np.pi
        place = -angle * density
        whole = 4 * h
        place -= np.floor(place / whole) * whole
        n0 = int(place)
        fraction = (place - n0) * steps
        cell = min(int(fraction), steps - 1)
        rest = np.float32(fraction - cell)
        for d in range(3):
            for t in range(taps):
                weights[d, t] = kernel[cell, d, t] + rest * (kernel[cell + 1, d, t] - kernel[cell, d, t])
        w, v, u = weights[0], weights[1], weights[2]
        low = n0 - (taps // 2 - 1)
        if low < 0:
            low += whole
        row = 3 * h + taps
        # Taps alternate between the two phases of the table.
        even = (low & 1) * row + (low >> 1)
        odd = ((low + 1) & 1) * row + ((low + 1) >> 1)
        w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
        v0, v1, v2, v3, v4, v5 = v[0], v[1], v[2], v[3], v[4], v[5]
        u0, u1, u2, u3, u4, u5 = u[0], u[1], u[2], u[3], u[4], u[5]
        for k in range(ring, last + 1):
            base = table_start[k - 1]
            ar, ai = table_re[base + even :], table_im[base + even :]
            br, bi = table_re[base + odd :], table_im[base + odd :]
            dr, di = re[point : point + h], im[point : point + h]
            x = xx = xy = yy = np.float32(0.0)
            gx = gy = xa = ax = ay = aa = np.float32(0.0)
            for j in range(h):
                # Elements read once: compiling takes time by the operation.
                a0, b0, a1, b1, a2, b2 = ar[j], br[j], ar[j + 1], br[j + 1], ar[j + 2], br[j + 2]
                c0, d0, c1, d1, c2, d2 = ai[j], bi[j], ai[j + 1], bi[j + 1], ai[j + 2], bi[j + 2]
                g_re = w0 * a0 + w1 * b0 + w2 * a1 + w3 * b1 + w4 * a2 + w5 * b2
                g_im = w0 * c0 + w1 * d0 + w2 * c1 + w3 * d1 + w4 * c2 + w5 * d2
                d_re = v0 * a0 + v1 * b0 + v2 * a1 + v3 * b1 + v4 * a2 + v5 * b2
                d_im = v0 * c0 + v1 * d0 + v2 * c1 + v3 * d1 + v4 * c2 + v5 * d2
                e_re = u0 * a0 + u1 * b0 + u2 * a1 + u3 * b1 + u4 * a2 + u5 * b2
                e_im = u0 * c0 + u1 * d0 + u2 * c1 + u3 * d1 + u4 * c2 + u5 * d2
                i_re, f_re, i_im, f_im = dr[j], phase_re[j], di[j], phase_im[j]
                p_re = i_re * f_re - i_im * f_im
                p_im = i_re * f_im + i_im * f_re
                b_re = p_re * g_re + p_im * g_im
                b_im = p_im * g_re - p_re * g_im
                c_re = p_re * d_re + p_im * d_im
                c_im = p_im * d_re - p_re * d_im
                x += b_re
                x_j, y_j = ex[j], ey[j]
                gx += b_im * x_j
                gy += b_im * y_j
                bx = b_re * x_j
                by = b_re * y_j
                xx += bx * x_j
                xy += bx * y_j
                yy += by * y_j
                xa += c_re
                ax += c_im * x_j
                ay += c_im * y_j
                aa += p_re * e_re + p_im * e_im
                phase_re[j] = f_re * ratio_re[j] - phase_im[j] * ratio_im[j]
                phase_im[j] = f_re * ratio_im[j] + phase_im[j] * ratio_re[j]
            weight = ring_weight[k - 1]
            wave = k * unit
            out[0] += weight * x
            out[1] -= weight * wave * gx
            out[2] -= weight * wave * gy
            out[3] -= weight * wave * wave * xx
            out[4] -= weight * wave * wave * xy
            out[5] -= weight * wave * wave * yy
            # The table is read at -angle * density: one sign and one density for each derivative in the angle.
            out[6] -= weight * density * xa
            out[7] += weight * density * wave * ax
            out[8] += weight * density * wave * ay
            out[9] += weight * density * density * aa
            point += h
        direction += h


@kernel(keep=False, nogil=True, forceinline=True)
def newton_step(sums, radius, longest, held, step):  # type: ignore[no-untyped-def]
    """Solve for the Newton step in (angle x radius, x, y) and return the gain it predicts.

    With the shift ``held`` only the angle moves.

    Where the curvature is not that of a maximum, a damped step up the gradient is taken. Steps are cut to ``longest``
    pixels. ``step`` receives radians and pixels.
    """
    g0, g1, g2 = sums[6] / radius, sums[1], sums[2]
    a00, a01, a02 = -sums[9] / (radius * radius), -sums[7] / radius, -sums[8] / radius
    a11, a12, a22 = -sums[3], -sums[4], -sums[5]
    if held:
        g1 = g2 = a01 = a02 = a12 = 0.0
        a11 = a22 = abs(a00) + 1e-300
    # Cholesky by hand; levels are added to the diagonal until it goes through.
    size = abs(a00) + abs(a11) + abs(a22) + 1e-300
    damping = 0.0
    l00 = l10 = l20 = l11 = l21 = l22 = 0.0
    for _ in range(12):
        d0 = a00 + damping
        good = d0 > 1e-9 * size
        if good:
            l00 = np.sqrt(d0)
            l10, l20 = a01 / l00, a02 / l00
            d1 = a11 + damping - l10 * l10
            good = d1 > 1e-9 * size
            if good:
                l11 = np.sqrt(d1)
                l21 = (a12 - l20 * l10) / l11
                d2 = a22 + damping - l20 * l20 - l21 * l21
                good = d2 > 1e-9 * size
                if good:
                    l22 = np.sqrt(d2)
                    break
        damping = max(4.0 * damping, 0.05 * size)
    y0 = g0 / l00
    y1 = (g1 - l10 * y0) / l11
    y2 = (g2 - l20 * y0 - l21 * y1) / l22
    s2 = y2 / l22
    s1 = (y1 - l21 * s2) / l11
    s0 = (y0 - l10 * s1 - l20 * s2) / l00
    gain = 0.5 * (y0 * y0 + y1 * y1 + y2 * y2)
    length = np.sqrt(s0 * s0 + s1 * s1 + s2 * s2)
    cut = 1.0
    if length > longest:
        cut = longest / length
        gain *= cut
    step[0], step[1], step[2] = cut * s0 / radius, cut * s1, cut * s2
    return gain


@kernel(keep=False, nogil=True, forceinline=True)
def climb(  # type: ignore[no-untyped-def]
    image, table, pose, n_rings, steps, held, field, room, sums, energy, tolerance
):
    """Take up to ``steps`` Newton steps from ``pose`` (angle, tx, ty; changed in place) and return the score there.

    With the shift ``held`` only the angle is sought. Climbing ends early where a step would gain less than
    ``tolerance`` in log likelihood, X^2 / (2 E) at the fitted scale, E = ``energy``. ``sums`` is left with the
    derivatives at, or one converged step before, the end.
    """
    step, previous = room.step, room.previous
    longest = max(0.35 * field.box / n_rings, 0.5)
    score = -1e300
    for trial in range(steps + 1):
        evaluate_score(image, table, pose, n_rings, field, room, sums)
        if sums[0] < score:
            # Overshot: go half way back and try again from there with what is left.
            for d in range(3):
                pose[d] = 0.5 * (pose[d] + previous[d])
            longest *= 0.5
            if trial == steps:
                for d in range(3):
                    pose[d] = previous[d]
                return score
            continue
        score = sums[0]
        if trial == steps:
            break
        for d in range(3):
            previous[d] = pose[d]
        gain = newton_step(sums, field.radius, longest, held, step)
        for d in range(3):
            pose[d] += step[d]
        if gain * score < tolerance * energy:
            score += gain
            break
    return score
