"""Word for the wait on a first run, when the numerical kernels are compiled; later runs load them from a cache."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def telling_of_compilation(log: logging.Logger, warn: Callable[[str], None]) -> Iterator[None]:
    """Log one line when the first kernel is compiled within, and warn where what comes of it cannot be kept."""
    if "numba" not in sys.modules:  # commands without kernels do not wait for its import
        yield
        return
    from numba.core.event import Listener, install_listener

    class First(Listener):
        """Speaks once."""

        told = False

        def on_start(self, event: Any) -> None:
            """Hear that a function is compiled."""
            if self.told or not event.data["dispatcher"].py_func.__module__.startswith("cryoalign."):
                return
            self.told = True
            from cryoalign.core.kernel_cache import kernel_folders, writable_folder

            log.info("compiling the numerical kernels, once on this machine (less than a minute)")
            if writable_folder() is None:
                warn(
                    "the compiled kernels cannot be kept, and every run compiles them again: "
                    f"{' and '.join(map(str, kernel_folders()))} cannot be written; "
                    "name a folder that can be with NUMBA_CACHE_DIR"
                )

        def on_end(self, event: Any) -> None:
            """Say nothing."""

    with install_listener("numba:compile", First()):
        yield
