"""A pool of threads over fixed tiles, with BLAS at one thread: what a tile computes depends on its number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import scipy.linalg  # noqa: F401  it brings a BLAS of its own, which must be there when libraries are looked for
from threadpoolctl import ThreadpoolController

from cryoalign.core.roomy_pool import RoomyPool

Tile = TypeVar("Tile")
Result = TypeVar("Result")


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Look for the libraries of this process: a millisecond or two, as long as a small tile."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Hold BLAS at one thread within a `with` block, as ``threadpool_limits`` does; libraries are looked for once."""
    return _libraries().limit(limits=1, user_api="blas")


def map_tiles(compute: Callable[[Tile], Result], tiles: Iterable[Tile], threads: int) -> Iterator[Result]:
    """Yield the results of all tiles in their order; at most two per thread are under way.

    Parameters
    ----------
    compute
        Called from several threads; what it returns may depend on nothing but the tile.
    tiles
        What to compute.
    threads
        Threads, at least 1.
    """
    with one_blas_thread():
        if threads <= 1:
            yield from map(compute, tiles)
            return
        rest = iter(tiles)
        with RoomyPool(threads, thread_name_prefix="tile") as pool:
            waiting: list[Future[Result]] = [pool.submit(compute, tile) for tile in islice(rest, 2 * threads)]
            try:
                while waiting:
                    result = waiting.pop(0).result()
                    waiting.extend(pool.submit(compute, tile) for tile in islice(rest, 1))
                    yield result
            finally:
                for future in waiting:
                    future.cancel()


def run_tiles(compute: Callable[[Tile], object], tiles: Iterable[Tile], threads: int) -> None:
    """Compute all tiles, each of which writes into rows of its own."""
    for _ in map_tiles(compute, tiles, threads):
        pass
