"""What ``rid-distance`` finds, whichever way it compares, and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.graph_file import Graph
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.passes.chosen import chosen_rows
from cryoalign.passes.prepare.prepared import Prepared


@dataclass(frozen=True, eq=False)
class FoundGraph:
    """A graph and what was found on the way.

    Parameters
    ----------
    graph
        The graph.
    k
        Neighbours of each particle; None where pairs are listed.
    shift_sd_px
        Standard deviation of the centres that was searched, in raw pixels; None where no shifts were searched.
    components
        Components that were compared; 0 where images were.
    queries
        How many particles lists were asked for; None = all.
    """

    graph: Graph
    k: int | None
    shift_sd_px: float | None
    components: int
    queries: int | None = None

    @property
    def unit(self) -> str:
        """What distances are counted in: what the graph's metric says in brackets."""
        return str(self.graph.metric).rpartition("(")[2].rstrip(")")


def queried(p: RidDistanceParameters, prepared: Prepared) -> NDArray[np.int64] | None:
    """Return the usable images whose neighbours are wanted, ascending; None = all."""
    if p.queries is None:
        return None
    rows = np.sort(chosen_rows(p.queries, prepared.particles, option="--queries"))
    bad = rows[prepared.look["reason"][rows] > 0]
    if len(bad):
        path, row = prepared.particles.where(int(bad[0]))
        raise InputError("--queries names a particle whose image cannot be used", path=path, row=row)
    return np.searchsorted(prepared.rows, rows)
