"""Fourier transforms along the first axis of many columns at once, in compiled code.

Stockham's self-sorting algorithm on planes of real and imaginary parts: C. Van Loan, "Computational Frameworks for the
Fast Fourier Transform", SIAM (1992), section 1.7. Columns are contiguous, so every step is a row of vectors, and an
image is transformed by itself: its bits do not depend on what else is transformed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import INNER, kernel
from cryoalign.core.lanes import LANES, Complex, Emitter, vector_operation


def radices_of(size: int) -> NDArray[np.int64]:
    """Return the radices of the passes of a transform, their product the size: 8, 4, 2, 5, 3, then other primes."""
    radices = []
    for radix in (8, 4, 2, 5, 3):
        while size % radix == 0:
            radices.append(radix)
            size //= radix
    if 8 in radices and 2 in radices:  # two middling passes instead of a large and a small one
        radices.remove(8)
        radices.remove(2)
        radices += [4, 4]
    radix = 7
    while size > 1:
        while size % radix == 0:
            radices.append(radix)
            size //= radix
        radix += 2
    return np.array(sorted(radices, reverse=True), np.int64)


def factors_of(size: int) -> NDArray[np.float32]:
    """Return the factors of all passes as (re, im) float32 pairs, flattened.

    For each pass exp(-2 pi i j p / n) for the rows p = 0..n / radix - 1 and j = 1..radix - 1, n the length still left,
    then the roots of unity exp(-2 pi i j / radix).
    """
    parts = [np.empty(0, np.complex128)]
    for radix in radices_of(size):
        p, j = np.meshgrid(np.arange(size // radix), np.arange(1, radix), indexing="ij")
        parts.append(np.exp(-2j * np.pi * p * j / size).ravel())
        parts.append(np.exp(-2j * np.pi * np.arange(radix) / radix))
        size //= radix
    factors = np.concatenate(parts)
    return np.stack([factors.real, factors.imag], axis=1).astype(np.float32).ravel()


def _factor(v: Emitter, factors: Any, at: Any, index: int) -> Complex:
    return v.spread_at(factors, v.offset(at, 1, 2 * index)), v.spread_at(factors, v.offset(at, 1, 2 * index + 1))


def _butterfly(radix: int) -> Any:
    """Make the operation of one vector of a pass: transform ``radix`` rows and multiply by the factors of the pass."""

    def emit(v: Emitter, data: list[Any], at: list[Any]) -> None:
        x_re, x_im, y_re, y_im, factors = data
        source, source_step, target, target_step, factor = at
        places = [v.offset(source, source_step, k) for k in range(radix)]
        transformed = v.fourier([(v.load(x_re, place), v.load(x_im, place)) for place in places])
        for j, value in enumerate(transformed):
            if j:
                value = v.complex_multiply(value, _factor(v, factors, factor, j - 1))
            place = v.offset(target, target_step, j)
            v.store(value[0], y_re, place)
            v.store(value[1], y_im, place)

    return vector_operation(emit)


def _emit_accumulate(v: Emitter, data: list[Any], at: list[Any]) -> None:
    x_re, x_im, y_re, y_im, factors = data
    source, target, factor = at
    term = v.complex_multiply((v.load(x_re, source), v.load(x_im, source)), _factor(v, factors, factor, 0))
    v.store(v.add(v.load(y_re, target), term[0]), y_re, target)
    v.store(v.add(v.load(y_im, target), term[1]), y_im, target)


def _emit_turn(v: Emitter, data: list[Any], at: list[Any]) -> None:
    y_re, y_im, factors = data
    target, factor = at
    value = v.complex_multiply((v.load(y_re, target), v.load(y_im, target)), _factor(v, factors, factor, 0))
    v.store(value[0], y_re, target)
    v.store(value[1], y_im, target)


_butterfly2, _butterfly3, _butterfly4, _butterfly5, _butterfly8 = (_butterfly(radix) for radix in (2, 3, 4, 5, 8))
_accumulate, _turn = vector_operation(_emit_accumulate), vector_operation(_emit_turn)


@numba.njit(nogil=True, **INNER)
def _prime_pass(
    x_re: NDArray[np.float32],
    x_im: NDArray[np.float32],
    y_re: NDArray[np.float32],
    y_im: NDArray[np.float32],
    factors: NDArray[np.float32],
    radix: int,
    p: int,
    rows: int,
    inner: int,
    factor: int,
    roots: int,
) -> None:
    """Do row p of a pass by the definition, for the primes that have no operation of their own."""
    for j in range(radix):
        start = (p * radix + j) * inner
        for q in range(inner):
            y_re[start + q] = x_re[p * inner + q]
            y_im[start + q] = x_im[p * inner + q]
        for k in range(1, radix):
            root = np.uint64(roots + 2 * (j * k % radix))
            source = (p + rows * k) * inner
            for q in range(0, inner, LANES):
                _accumulate((x_re, x_im, y_re, y_im, factors), (np.uint64(source + q), np.uint64(start + q), root))
        if j > 0:
            for q in range(0, inner, LANES):
                _turn((y_re, y_im, factors), (np.uint64(start + q), np.uint64(factor + 2 * (j - 1))))


@kernel(nogil=True)
def transform_columns(
    x_re: NDArray[np.float32],
    x_im: NDArray[np.float32],
    y_re: NDArray[np.float32],
    y_im: NDArray[np.float32],
    size: int,
    columns: int,
    radices: NDArray[np.int64],
    factors: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Transform along the first axis, kernel exp(-2 pi i j k / size); with re and im exchanged, its inverse times size.

    Parameters
    ----------
    x_re, x_im
        Flattened planes of float32 (size, columns) or more rows; overwritten.
    y_re, y_im
        Flattened planes of the same shape for the passes to go to and fro.
    size
        Length of the transforms.
    columns
        Number of columns, a multiple of LANES.
    radices, factors
        From :func:`radices_of` and :func:`factors_of`.

    Returns
    -------
    tuple
        The four planes again, the two that hold the result first.
    """
    left, inner, factor = size, columns, 0
    for radix in radices:
        rows = left // radix
        step, target_step = np.uint64(rows * inner), np.uint64(inner)
        roots = factor + 2 * rows * (radix - 1)
        planes = (x_re, x_im, y_re, y_im, factors)
        for p in range(rows):
            f = np.uint64(factor + 2 * p * (radix - 1))
            a, b = p * inner, p * radix * inner
            if radix == 8:
                for q in range(0, inner, LANES):
                    _butterfly8(planes, (np.uint64(a + q), step, np.uint64(b + q), target_step, f))
            elif radix == 5:
                for q in range(0, inner, LANES):
                    _butterfly5(planes, (np.uint64(a + q), step, np.uint64(b + q), target_step, f))
            elif radix == 4:
                for q in range(0, inner, LANES):
                    _butterfly4(planes, (np.uint64(a + q), step, np.uint64(b + q), target_step, f))
            elif radix == 3:
                for q in range(0, inner, LANES):
                    _butterfly3(planes, (np.uint64(a + q), step, np.uint64(b + q), target_step, f))
            elif radix == 2:
                for q in range(0, inner, LANES):
                    _butterfly2(planes, (np.uint64(a + q), step, np.uint64(b + q), target_step, f))
            else:
                _prime_pass(x_re, x_im, y_re, y_im, factors, radix, p, rows, inner, int(f), roots)
        x_re, x_im, y_re, y_im = y_re, y_im, x_re, x_im
        factor = roots + 2 * radix
        left, inner = rows, inner * radix
    return x_re, x_im, y_re, y_im
