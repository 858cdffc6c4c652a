"""Word for the wait on a first run, when the numerical kernels are compiled; later runs load them from a cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any


def say_if_kernels_must_compile(log: logging.Logger, kernel: Any) -> None:
    """Log one line where a compiled kernel that the run needs is not in the cache yet; it stands for the others."""
    folder = Path(kernel.stats.cache_path)
    if not any(folder.glob(f"*.{kernel.py_func.__name__}-*.nbi")):
        log.info("compiling the numerical kernels, once on this machine (less than a minute)")
