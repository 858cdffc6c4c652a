"""Which particle is better than another, and which ones chance picks.

A sample is drawn by a key that belongs to the image: a hash of its stack's name, its number there and the seed
(BLAKE2b for the name; SplitMix64, Steele et al., OOPSLA 2014, for the rest). So neither the order of the table nor what
else is in it changes who goes before whom, and the sample of 100 is part of the sample of 200.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.paths import plain_stack
from cryoalign.jobs.select.parameters import SCORE
from cryoalign.jobs.select.sieve import Sieve

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = 2**64 - 1


def best_first(sieve: Sieve, rank_by: str | None, *, lowest: bool, needed: bool) -> NDArray[np.int64]:
    """Return places among the rows left, the best first; equal ones as they stand in the table.

    Parameters
    ----------
    sieve
        The particles.
    rank_by
        Column of numbers; None = cryoalignScore. NaN is worst.
    lowest
        The lowest value is the best.
    needed
        Without a column to rank by: an error if True, else the order of the table.

    Raises
    ------
    InputError
        If the column is missing or holds something else than numbers.
    """
    count = len(sieve.left)
    if rank_by is None and SCORE not in sieve.particles.particles:
        if not needed:
            return np.arange(count)
        raise InputError(
            f"there is no {SCORE} to tell which particles are the best", path=sieve.particles.path,
            hint="name another column with --rank-by",
        )  # fmt: skip
    values = sieve.numbers(rank_by or SCORE)
    cost = np.where(np.isnan(values), np.inf, values if lowest else -values)
    return np.argsort(cost, kind="stable")


def random_first(sieve: Sieve, seed: int) -> NDArray[np.int64]:
    """Return places among the rows left in random order; rows of the same image as they stand in the table."""
    particles, left = sieve.particles, sieve.left
    names = [plain_stack(str(stack)).encode("utf-8", "surrogateescape") for stack in particles.stacks]
    stacks = [int.from_bytes(blake2b(name, digest_size=8).digest(), "little") for name in names]
    start = np.array([s ^ _mixed_one(seed) for s in stacks], np.uint64)[particles.stack_index[left]]
    with np.errstate(over="ignore"):
        key = _mixed(start + np.uint64(_GOLDEN) * (particles.frame[left].astype(np.uint64) + np.uint64(1)))
    return np.argsort(key, kind="stable")


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_MIX_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_MIX_2)
    return values ^ (values >> np.uint64(31))


def _mixed_one(value: int) -> int:
    return int(_mixed(np.array([(value + _GOLDEN) & _MASK], np.uint64))[0])
