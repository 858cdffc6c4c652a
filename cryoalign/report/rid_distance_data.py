"""What the report of `rid-distance` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.quality_data import expect_shape

GraphKind = Literal["nearest", "threshold", "all-pairs"]


@dataclass(frozen=True, eq=False, kw_only=True)
class NeighbourExample:
    """One particle and its nearest neighbours, as pictures.

    Parameters
    ----------
    name
        Of the particle, such as 000012@stack.mrcs.
    query
        (L, L).
    neighbours
        (m, L, L), nearest first, after their poses: turned, shifted and mirrored onto the particle.
    distance
        (m,).
    mirror
        (m,) bool, or None where mirrors were not searched.
    mean
        (L, L) average of the particle and its neighbours after their poses, or None.
    mean_of
        Images in `mean`.

    Raises
    ------
    ValueError
        If shapes do not belong together.
    """

    name: str
    query: NDArray
    neighbours: NDArray
    distance: NDArray
    mirror: NDArray | None = None
    mean: NDArray | None = None
    mean_of: int = 0

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        m, shape = len(self.neighbours), np.shape(self.query)
        expect_shape("neighbours", self.neighbours, (m, *shape))
        expect_shape("distance", self.distance, (m,))
        if self.mirror is not None:
            expect_shape("mirror", self.mirror, (m,))
        if self.mean is not None:
            expect_shape("mean", self.mean, shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class RidDistanceReportData:
    """Everything that report.html shows of a run of `rid-distance`.

    Parameters
    ----------
    title
        Heading of the page.
    command_line, version
        As typed, and of cryoalign.
    pixel_size_angstrom
        Of the particles as read, and of the pictures of `examples`.
    particles
        Number n of particles.
    i, j
        (E,) 0-based rows of the two ends of each edge, as in graph.npz. "nearest": grouped by i, nearest first.
    distance
        (E,), >= 0.
    angle_deg
        (E,) in-plane angle of each edge.
    kind
        How edges were chosen: the nearest of each particle, all below a distance, or all pairs; these two list i < j.
    distance_unit
        What a distance is counted in, for axis labels.
    metric
        As typed, in words.
    queries
        Particles that lists were asked for; None = all.
    k
        Length of the lists ("nearest"), or None.
    max_distance
        The limit ("threshold"), or None.
    shift_angstrom
        (E, 2) shift of each edge, x and y in A; None where none were searched.
    mirror
        (E,) bool; None where mirrors were not searched.
    shift_sd_angstrom
        Estimated (or given) standard deviation of either coordinate of the centres; None where not searched.
    examples
        Some particles with their neighbours.
    display_lowpass_angstrom
        How far pictures of single particles are smoothed for the eye; None chooses.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number, such as read, compared, skipped.
    warnings
        One sentence each.
    timings_s
        Stage -> seconds.
    files
        File name in the run directory -> what it holds.
    notes
        Remarks on how the numbers were made, one sentence each.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together.
    """

    title: str
    command_line: str
    version: str
    pixel_size_angstrom: float
    particles: int
    i: NDArray
    j: NDArray
    distance: NDArray
    angle_deg: NDArray
    kind: GraphKind = "nearest"
    distance_unit: str = "no unit"
    metric: str = ""
    queries: int | None = None
    k: int | None = None
    max_distance: float | None = None
    shift_angstrom: NDArray | None = None
    mirror: NDArray | None = None
    shift_sd_angstrom: float | None = None
    examples: Sequence[NeighbourExample] = ()
    display_lowpass_angstrom: float | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        if not self.pixel_size_angstrom > 0:
            raise ValueError(f"pixel_size_angstrom must be positive, not {self.pixel_size_angstrom}")
        for name, shape in (("j", ()), ("distance", ()), ("angle_deg", ()), ("shift_angstrom", (2,)), ("mirror", ())):
            if getattr(self, name) is not None:
                expect_shape(name, getattr(self, name), (len(self), *shape))
        for name in ("i", "j"):
            rows = np.asarray(getattr(self, name))
            if len(rows) and not 0 <= rows.min() <= rows.max() < self.particles:
                raise ValueError(f"{name} must hold rows of {self.particles} particles")

    def __len__(self) -> int:
        """Count the edges."""
        return int(np.size(self.i))
