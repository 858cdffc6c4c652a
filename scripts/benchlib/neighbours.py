"""Room of neighbour search: pair scores against the sgemm peak, lists, shifts, and candidates for many images.

Coefficients are random with the spectrum that particles of 32 px have; the cost depends on shapes alone. CPU seconds of
one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.all_pairs import all_neighbours, pairs_above, screen_pairs, strongest_components
from cryoalign.classification.candidates import propose
from cryoalign.classification.pair_kernels import COARSE, angle_grid, pack_images_in_lanes, score_block
from cryoalign.classification.pair_score import score_pairs, top_neighbours
from cryoalign.classification.shift_search import search_shifts, shift_pattern

from .results import Room
from .settings import Settings
from .speed import best_cpu, sgemm_peak

COMPONENTS = (14, 13, 13, 12, 12, 11, 11, 10, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1)
"""Of each angular frequency: 150 in all."""
VECTOR_SIZE = 256


def run_neighbours(settings: Settings) -> Room:
    """Pair scores over the sgemm peak, microseconds a pair, shifts, candidates for up to 100,000 images."""
    room = settings.room("neighbours")
    frequency = np.repeat(np.arange(len(COMPONENTS)), COMPONENTS).astype(np.int64)
    n = 1000 if settings.quick else 3000
    coefficients = _images(n, frequency)
    _kernel(room, coefficients, frequency)
    _lists(room, coefficients, frequency)
    for count in (3000,) if settings.quick else (10_000, 30_000, 100_000):
        _candidates(room, count, frequency)
    return room


def _images(n: int, frequency: NDArray[np.int64]) -> NDArray[np.complex64]:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n, len(frequency), 2), dtype=np.float32).view(np.complex64)[..., 0]
    values *= np.exp(-0.15 * frequency).astype(np.float32)
    values[:, frequency == 0] = values[:, frequency == 0].real
    return values


def _cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _kernel(room: Room, coefficients: NDArray[np.complex64], frequency: NDArray[np.int64]) -> None:
    """One tile of all pairs without the climb, which is all matrix products and a maximum."""
    rows, columns = 64, 512
    grid = angle_grid(coefficients, frequency, COARSE)
    first = np.ascontiguousarray(np.stack([coefficients.real, coefficients.imag], axis=-1))
    second = pack_images_in_lanes(coefficients)
    starts = np.searchsorted(frequency, np.arange(grid.k_max + 2)).astype(np.int64)
    g, score = np.zeros(len(coefficients), np.float32), np.empty((rows, columns), np.float32)
    angle, flipped = np.empty((0, 0), np.float32), np.empty((0, 0), bool)

    def call() -> None:
        score_block(first, second, starts, grid, g, True, False, 0, 0, score, angle, flipped)

    # Four real products for each component; for either hand two for each frequency and angle of a quarter circle.
    flop = 8 * int(starts[grid.k_grid + 1]) + 8 * (grid.k_grid + 1) * len(grid.cosine)
    rounds = [(sgemm_peak(), rows * columns / best_cpu(call, 20)) for _ in range(3)]
    rate, share = max(r for _, r in rounds), float(np.median([r * flop / peak for peak, r in rounds]))
    shapes = f"{starts[grid.k_grid + 1]} components, {4 * len(grid.cosine)} angles, both hands"
    room.add("all pairs, kernel alone, pairs/s", rate, note=shapes)
    peak = max(p for p, _ in rounds)
    note = f"sgemm {peak / 1e9:.1f} Gflop/s; {flop} flop a pair: the products alone, as done"
    room.add("all-pairs kernel over sgemm peak", share, 0.45, ">=", note)


def _lists(room: Room, coefficients: NDArray[np.complex64], frequency: NDArray[np.int64]) -> None:
    n, size = coefficients.shape
    rng = np.random.default_rng(1)
    rows = np.stack([rng.choice(n, 401, replace=False) for _ in range(n)]).astype(np.int32)
    rows = np.where(rows == np.arange(n)[:, None], -1, rows)[:, :400]
    spent = best_cpu(lambda: score_pairs(coefficients, frequency, rows), 2)
    room.add(
        "re-rank, microseconds a pair",
        1e6 * spent / rows.size,
        0.5,
        "<=",
        f"{n} x 400, {size} components: {spent:.2f} s",
    )
    pattern = shift_pattern(1.0)
    spent = best_cpu(
        lambda: search_shifts(coefficients, frequency, rows[:, :200], lambda _: coefficients, pattern, 50), 1
    )
    room.add(f"shift search, {n} x 200 x 13, CPU s", spent, note="without the making of moved copies")
    spent = best_cpu(lambda: all_neighbours(coefficients, frequency, 50), 1)
    pairs = n * (n - 1) / 2
    room.add(f"all pairs of {n}, 50 nearest, CPU s", spent, note=f"{pairs / spent / 1e6:.1f} million pairs/s")
    spent = best_cpu(lambda: sum(len(b.i) for b in pairs_above(coefficients, frequency, np.inf)), 1)
    room.add(f"all pairs of {n} with exact poses, CPU s", spent, note=f"{pairs / spent / 1e6:.1f} million pairs/s")


def _candidates(room: Room, n: int, frequency: NDArray[np.int64]) -> None:
    """400 candidates by few components, and by vectors of invariants."""
    coefficients = _images(n, frequency)
    strong = strongest_components(coefficients, frequency)
    few, of = np.ascontiguousarray(coefficients[:, strong]), frequency[strong]
    screen_pairs(few[:100], of, 40)
    spent = _cpu(lambda: screen_pairs(few, of, 400))
    room.add(f"400 candidates of {n:,} by {len(strong)} components, CPU s", spent, note="all pairs, both hands")
    vectors = np.random.default_rng(2).standard_normal((n, VECTOR_SIZE), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mirrored = vectors * np.where(np.arange(VECTOR_SIZE) % 2, -1, 1).astype(np.float32)
    propose(vectors[:600], mirrored[:600], 40)
    spent = _cpu(lambda: propose(vectors, mirrored, 400))
    bar = 170 if n == 100_000 else None
    room.add(f"400 candidates of {n:,} by vectors of {VECTOR_SIZE}, CPU s", spent, bar, "<=")
    if n <= 10_000:
        rows = screen_pairs(few, of, 400)
        listed = _cpu(lambda: top_neighbours(rows, score_pairs(coefficients, frequency, rows), 50))
        spent = _cpu(lambda: all_neighbours(coefficients, frequency, 50))
        room.add(f"50 nearest of {n:,} without candidates, CPU s", spent, note=f"their re-rank {listed:.1f} s")
