"""Some of many, evenly spread: the one choice of samples that are to stand for a whole table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spread(count: int, places: int) -> NDArray[np.int64]:
    """Return ``count`` of so many places, or all if there are fewer: ascending, evenly spread from the first.

    Parameters
    ----------
    count
        Places wanted, at least 0.
    places
        Places there are, at least 0.

    Returns
    -------
    ndarray
        0-based places, int64 (min(count, places),).
    """
    chosen = min(count, places)
    return np.arange(chosen) * places // max(chosen, 1)
