"""The tile: 64 rows that are computed together, and a pool of threads over tiles.

BLAS and vector code give bits that depend on a row's place among its neighbours. A row's slot in its tile is its
global row number modulo 64 and work starts at multiples of 64, so no block size, thread count or resumed run can
change the arithmetic. BLAS is held at one thread: what a tile computes depends on its number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from cryoalign.core.blas import one_blas_thread
from cryoalign.core.frames import with_room

TILE = 64
"""Rows of a tile."""

Tile = TypeVar("Tile")
Result = TypeVar("Result")


class RoomyPool(ThreadPoolExecutor):
    """A thread pool whose tasks run :func:`with_room`: they may compile kernels."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Schedule a call."""
        return super().submit(with_room, fn, *args, **kwargs)


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
