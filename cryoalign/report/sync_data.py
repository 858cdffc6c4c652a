"""What the report of `sync` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.quality_data import expect_shape


@dataclass(frozen=True, eq=False, kw_only=True)
class SyncReportData:
    """Everything that report.html shows of a run of `sync`.

    Parameters
    ----------
    title
        Heading of the page.
    command_line, version
        As typed, and of cryoalign.
    psi_deg, confidence
        (n,) angle of each node, and its confidence in [0, 1].
    component, isolated
        (n,) number of its component, from 1; whether it has no edges.
    mirror
        (n,) bool; None where no edge is mirrored.
    i, j
        (E,) 0-based nodes of each edge.
    residual_deg, inlier
        (E,) edge angle minus what the nodes say, in (-180, 180]; probability to be right.
    density_centres_deg, density
        (B,) estimated density of residuals per degree.
    median_residual_deg
        Of edges that are likely right.
    eigenvalues
        Frequency -> its largest eigenvalues, falling.
    held_out_log_likelihood, signal
        Mean per held-out edge against uniform, and whether it says that there is anything to find.
    algorithm, algorithm_used
        As asked for; and per component with edges, in order, what gave its angles.
    shift_angstrom
        (n, 2) origins in A; None where the edges have no shifts.
    shift_scale_angstrom
        Estimated error of the shifts of good edges, one coordinate, in A; None as above.
    things
        What nodes are called, such as particles.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number.
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
    psi_deg: NDArray
    confidence: NDArray
    component: NDArray
    isolated: NDArray
    mirror: NDArray | None = None
    i: NDArray
    j: NDArray
    residual_deg: NDArray
    inlier: NDArray
    density_centres_deg: NDArray
    density: NDArray
    median_residual_deg: float
    eigenvalues: Mapping[int, NDArray]
    held_out_log_likelihood: float
    signal: bool
    algorithm: str
    algorithm_used: Sequence[str]
    shift_angstrom: NDArray | None = None
    shift_scale_angstrom: float | None = None
    things: str = "nodes"
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        n, edges = len(self.psi_deg), len(self.i)
        for name, shape in (
            ("confidence", (n,)), ("component", (n,)), ("isolated", (n,)), ("mirror", (n,)), ("shift_angstrom", (n, 2)),
            ("j", (edges,)), ("residual_deg", (edges,)), ("inlier", (edges,)),
            ("density", (len(self.density_centres_deg),)),
        ):  # fmt: skip
            if getattr(self, name) is not None:
                expect_shape(name, getattr(self, name), shape)
        if n and (np.min(self.component) < 1):
            raise ValueError("components count from 1")
