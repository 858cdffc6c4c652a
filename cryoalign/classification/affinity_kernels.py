"""Affinities of tiles, as matrix products and their squares; loops over listed pairs; angles at the peak.

Features are float32 (n, K, 2, m): real and imaginary parts of an image's row at each of K frequencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel

COLUMNS = 1000
"""Columns of a matrix product."""


def tile_affinities(tile: NDArray[np.float32], others: NDArray[np.float32], mirror: bool) -> NDArray[np.float32]:
    """Return the affinities of a tile of images with others, (1 or 2, tile, others): plain, and mirrored if wanted."""
    frequencies = tile.shape[1]
    out = np.zeros((1 + mirror, len(tile), len(others)), np.float32)
    for k in range(frequencies):
        ours = np.concatenate([tile[:, k, 0], tile[:, k, 1]])
        for first in range(0, len(others), COLUMNS):
            part = slice(first, first + COLUMNS)
            real, imaginary = (ours @ others[part, k, side].T for side in (0, 1))
            add_squares(real, imaginary, np.float32(1 / frequencies), out[:, :, part])
    return out


@kernel(nogil=True, fastmath={"contract"})
def add_squares(with_real, with_imaginary, weight, out):  # type: ignore[no-untyped-def]
    """Add |c|^2, and |c|^2 of the mirrored partner, from products of real and imaginary parts."""
    rows = out.shape[1]
    for row in range(rows):
        rr, ir = with_real[row], with_real[rows + row]
        ri, ii = with_imaginary[row], with_imaginary[rows + row]
        plain = out[0, row]
        for q in range(len(plain)):
            a, b = rr[q] + ii[q], ir[q] - ri[q]
            plain[q] += weight * (a * a + b * b)
        if out.shape[0] == 2:
            mirrored = out[1, row]
            for q in range(len(plain)):
                a, b = rr[q] - ii[q], ir[q] + ri[q]
                mirrored[q] += weight * (a * a + b * b)


@kernel(nogil=True, fastmath={"contract", "reassoc"}, inline="always")
def products(ours, theirs):  # type: ignore[no-untyped-def]
    """Return sums of real-real, real-imaginary, imaginary-real and imaginary-imaginary products of (2, m) rows."""
    rr = ri = ir = ii = np.float32(0)
    for q in range(ours.shape[1]):
        a, b, x, y = ours[0, q], ours[1, q], theirs[0, q], theirs[1, q]
        rr += a * x
        ri += a * y
        ir += b * x
        ii += b * y
    return rr, ri, ir, ii


@kernel(nogil=True, fastmath={"contract", "reassoc"})
def listed_affinities(features, rows, names, out):  # type: ignore[no-untyped-def]
    frequencies = features.shape[1]
    weight = np.float32(1 / frequencies)
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            other = names[row, s]
            if other < 0 or other == rows[row]:
                continue
            plain = mirrored = np.float32(0)
            for k in range(frequencies):
                rr, ri, ir, ii = products(features[rows[row], k], features[other, k])
                a, b, c, d = rr + ii, ir - ri, rr - ii, ir + ri
                plain += a * a + b * b
                mirrored += c * c + d * d
            out[0, row, s] = weight * plain
            if out.shape[0] == 2:
                out[1, row, s] = weight * mirrored


@kernel(nogil=True, fastmath={"contract", "reassoc"})
def frequency_parts(features, names, mirror, out):  # type: ignore[no-untyped-def]
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            if names[row, s] < 0:
                continue
            for k in range(features.shape[1]):
                rr, ri, ir, ii = products(features[row, k], features[names[row, s], k])
                sign = np.float32(-1) if mirror[row, s] else np.float32(1)
                a, b = rr + sign * ii, ir - sign * ri
                out[row, s, k] = a * a + b * b


@kernel(nogil=True, fastmath={"contract", "reassoc"})
def pair_angles(features, frequency, first, names, mirror, angle):  # type: ignore[no-untyped-def]
    """Find the peak of Re sum_k c_k exp(-i k phi): a grid of 8 points a period of the highest k, then Newton steps.

    The frequencies follow each other.
    """
    n_points = 8 * (frequency[-1] + 1)
    # Point by point, here and below: what acts on whole arrays takes longer to compile, assigning rows two seconds.
    turn = np.empty(n_points)
    for point in range(n_points):
        turn[point] = point * (2 * np.pi / n_points)
    waves = np.empty((2, len(frequency), n_points), np.float32)
    cosine, sine = waves[0], waves[1]
    for k in range(len(frequency)):
        for point in range(n_points):
            cosine[k, point] = np.cos(frequency[k] * turn[point])
            sine[k, point] = np.sin(frequency[k] * turn[point])
    value = np.empty(n_points, np.float32)
    real, imaginary = np.empty(len(frequency), np.float32), np.empty(len(frequency), np.float32)
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            if names[row, s] < 0:
                continue
            for point in range(n_points):
                value[point] = 0
            for k in range(len(frequency)):
                rr, ri, ir, ii = products(features[first + row, k], features[names[row, s], k])
                sign = np.float32(-1) if mirror[row, s] else np.float32(1)
                real[k], imaginary[k] = rr + sign * ii, ir - sign * ri
                a, b, with_cosine, with_sine = real[k], imaginary[k], cosine[k], sine[k]
                for point in range(n_points):
                    value[point] += a * with_cosine[point] + b * with_sine[point]
            best = 0
            for point in range(n_points):
                if value[point] > value[best]:
                    best = point
            phi = turn[best]
            for _ in range(4):
                slope = bend = 0.0
                one = complex(np.cos(phi), np.sin(phi))
                wave = complex(np.cos(frequency[0] * phi), np.sin(frequency[0] * phi))
                for k in range(len(frequency)):
                    c, d = wave.real, wave.imag
                    slope += frequency[k] * (imaginary[k] * c - real[k] * d)
                    bend -= frequency[k] * frequency[k] * (real[k] * c + imaginary[k] * d)
                    wave *= one
                if bend >= 0:
                    break
                step = min(max(slope / bend, -0.5 * turn[1]), 0.5 * turn[1])
                phi -= step
                if abs(step) < 1e-5:
                    break
            degrees = np.degrees(phi)
            angle[row, s] = degrees - 360.0 * np.ceil((degrees - 180.0) / 360.0)


@kernel(nogil=True, fastmath={"contract", "reassoc"})
def agreement(features, frequency, first, second, angle_rad, mirror, out):  # type: ignore[no-untyped-def]
    """Write Re sum_k c_k exp(-i k angle) / K of listed edges."""
    for edge in range(len(first)):
        total = np.float32(0)
        for k in range(len(frequency)):
            rr, ri, ir, ii = products(features[first[edge], k], features[second[edge], k])
            sign = np.float32(-1) if mirror[edge] else np.float32(1)
            turn = np.float32(frequency[k]) * angle_rad[edge]
            total += (rr + sign * ii) * np.cos(turn) + (ir - sign * ri) * np.sin(turn)
        out[edge] = total / np.float32(len(frequency))
