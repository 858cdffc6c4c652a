"""Neighbour lists: for each image its nearest others, and the poses that bring them onto it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import PosedEdges


@dataclass(frozen=True, eq=False)
class NeighbourLists(PosedEdges):
    """For each of n images up to k others, best first; entry (i, s) is the edge (i, j = index[i, s]).

    The pose of an edge brings image j onto image i, in RELION's sense (`cryoalign.core.poses`): mirror first, then
    shift by +d, then rotation by psi.

    Parameters
    ----------
    index
        Rows of the neighbours, int32 (n, k), never i itself; -1 where a list is shorter than k.
    score
        The higher the nearer, float32 (n, k), falling along a list; -inf where there is no neighbour. What it means is
        said by the method that made the lists.
    angle_deg
        psi in (-180, 180], float32 (n, k).
    mirror
        Whether j is mirrored, bool (n, k).
    shift_px
        d = (dx, dy) in pixels of the images that were compared, float32 (n, k, 2).
    """

    index: NDArray[np.int32]
    score: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    mirror: NDArray[np.bool_]
    shift_px: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    @property
    def k(self) -> int:
        """The longest list."""
        return int(self.index.shape[1])

    def nearest(self, k: int) -> NeighbourLists:
        """Return the k best of each list."""
        return NeighbourLists(
            self.index[:, :k], self.score[:, :k], self.angle_deg[:, :k], self.mirror[:, :k], self.shift_px[:, :k]
        )
