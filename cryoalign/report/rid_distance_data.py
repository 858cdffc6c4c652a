"""What the page of `rid-distance` is told: the graph, how it was made, and a few particles with their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.graph_file import Graph
from cryoalign.report.numbers import expect_shapes


@dataclass(frozen=True, eq=False, kw_only=True)
class NeighbourExample:
    """One particle and its nearest neighbours, as pictures.

    Parameters
    ----------
    name
        Of the particle, such as 000012@stack.mrcs.
    images
        (1 + m, L, L): the particle, then its neighbours, nearest first, after their poses.
    distance, mirror
        (m,) of the neighbours.
    mean
        (L, L) average of the particle and its neighbours after their poses.
    mean_of
        Images in `mean`.

    Raises
    ------
    ValueError
        If shapes do not belong together.
    """

    name: str
    images: NDArray
    distance: NDArray
    mirror: NDArray[np.bool_]
    mean: NDArray
    mean_of: int

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        expect_shapes(self, (len(self.images) - 1,), "distance", "mirror")
        expect_shapes(self, self.images.shape[1:], "mean")


@dataclass(frozen=True, eq=False, kw_only=True)
class RidDistanceReportData:
    """Everything that report.html shows of a run of `rid-distance`.

    Parameters
    ----------
    graph
        The graph; "nearest": edges grouped by i, nearest first.
    kind
        How edges were chosen: the nearest of each particle, all below a distance, or all pairs; these two list i < j.
    distance_unit
        What a distance is counted in, for axis labels.
    mirrors
        Whether mirrors were searched.
    queries
        Particles that lists were asked for; None = all.
    k
        Length of the lists ("nearest"), or None.
    max_distance
        The limit ("threshold"), or None.
    shift_sd_px
        Estimated (or given) standard deviation of either coordinate of the centres; None where not searched.
    examples
        Some particles with their neighbours.
    """

    graph: Graph
    kind: Literal["nearest", "threshold", "all-pairs"]
    distance_unit: str
    mirrors: bool
    queries: int | None = None
    k: int | None = None
    max_distance: float | None = None
    shift_sd_px: float | None = None
    examples: Sequence[NeighbourExample] = ()

    def __len__(self) -> int:
        """Count the edges."""
        return len(self.graph)

    @property
    def shift_sd_angstrom(self) -> float | None:
        """`shift_sd_px` in A."""
        return None if self.shift_sd_px is None else self.shift_sd_px * self.graph.pixel_size_angstrom

    @property
    def mirrored(self) -> int:
        """How many edges are mirrored."""
        return int(np.count_nonzero(self.graph.mirror))
