"""Word for the wait on a first run, when the numerical kernels are compiled; later runs load them from a cache."""

from __future__ import annotations

import logging
from pathlib import Path

from cryoalign.core.cascade import refine_tile


def say_if_kernels_must_compile(log: logging.Logger) -> None:
    """Log one line where no compiled kernel is in the cache yet."""
    folder = Path(refine_tile.stats.cache_path)
    if not any(folder.glob("*refine_tile*.nbi")):
        log.info("compiling the numerical kernels, once on this machine (less than a minute)")
