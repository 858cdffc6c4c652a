"""The fixed-point scale of sums of particles: one rule, so that every command adds in the same unit."""

from __future__ import annotations

import numpy as np

from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_statistics
from cryoalign.core.source import ImageSource
from cryoalign.core.tiles import TILE
from cryoalign.io.stacks import usable

SAMPLE_ROWS = 2000
"""Images whose pixels are looked at, at most, evenly spread over the source."""


def sum_scale(source: ImageSource, *, normalized: bool = False) -> float:
    """Return the scale for :class:`cryoalign.averaging.exact_sums.ExactSums` of these images.

    Parameters
    ----------
    source
        The images of one geometry, all that the table holds: a subset could fall on the other side of a power of two.
    normalized
        The images are brought to a background deviation of 1 before they are added: nothing is read.

    Raises
    ------
    InputError
        If no image of the sample can be used.
    """
    if normalized:
        return fixed_point_scale(1.0)
    count = min(len(source), SAMPLE_ROWS)
    rows = np.arange(count) * len(source) // max(count, 1)
    everywhere = np.ones((source.box, source.box), bool)
    power: list[float] = []
    for start in range(0, count, TILE):
        images = source.read(rows[start : start + TILE])
        power += (background_statistics(images[usable(images)], everywhere)[1] ** 2).tolist()
    if not power:
        raise InputError("no usable image among the particles")
    return fixed_point_scale(float(np.sqrt(np.mean(power))))
