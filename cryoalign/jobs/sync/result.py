"""What a run of `sync` found, as its job and its report know it."""

from __future__ import annotations

from dataclasses import dataclass

from cryoalign.io.edge_table import EdgeTable
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.sync.edges import EdgeCounts
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.robust_shifts import RobustShifts
from cryoalign.synchronization.synchronise import Synchronization


@dataclass(frozen=True, eq=False)
class SyncResult:
    """Everything that a run found.

    Attributes
    ----------
    table, particles
        Edges as read, and the particles that are the nodes, if they are known.
    edges, counts
        The edges that were used, and what was counted.
    sync
        Angles in the frame that was asked for.
    shifts, pixel_size_angstrom
        Origins in pixels of this size; None where the edges have no shifts.
    """

    table: EdgeTable
    particles: ParticleSet | None
    edges: EdgeList
    counts: EdgeCounts
    sync: Synchronization
    shifts: RobustShifts | None
    pixel_size_angstrom: float | None
