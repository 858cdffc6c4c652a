"""Everything that `cryoalign sync` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryoalign.core.errors import InputError
from cryoalign.jobs.sync.named_by_run import named_by_run
from cryoalign.runs.parameters import SeedOptions
from cryoalign.runs.reads import Reads
from cryoalign.synchronization.settings import Algorithm, SyncSettings


@dataclass(frozen=True, kw_only=True)
class SyncParameters(SeedOptions):
    """Parameters of one synchronisation.

    Attributes
    ----------
    graph
        File of edges (graph.npz, STAR, CSV, TSV), or a run directory with graph.npz.
    particles
        The particles that the graph is of; empty = those that the run beside graph.npz names, if they are there.
    datadir, angpix
        As for every command that reads particles.
    algorithm, k_max, weights
        As `SyncSettings`.
    anchor
        NODE=DEG: the angle of a node, which fixes that of its component.
    max_distance
        Edges further apart than this are left out, in the distance's own unit.
    allow_no_signal
        Exit status 0 also where there is no signal.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    graph: Path
    particles: tuple[Path, ...] = ()
    datadir: Path | None = None
    angpix: float | None = None
    algorithm: Algorithm = "auto"
    k_max: int | None = None
    weights: bool = True
    anchor: tuple[str, ...] = ()
    max_distance: float | None = None
    allow_no_signal: bool = False

    command: ClassVar[str] = "sync"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("angpix")
        self.check_numbers("max_distance", at_least=0)
        if self.k_max is not None and self.algorithm in ("spectral", "gpm") and self.k_max != 1:
            raise InputError(f"--k-max does not go with --algorithm {self.algorithm}, which has one frequency",
                             value=self.k_max)  # fmt: skip
        for text in self.anchor:
            parse_anchor(text)
        self.settings()  # checks the rest

    def settings(self) -> SyncSettings:
        """Return what the numerics are told."""
        return SyncSettings(
            algorithm=self.algorithm, k_max=self.k_max, weights=self.weights, seed=self.seed, threads=self.threads
        )

    def reads(self) -> Reads:
        """Return what is read: the graph, and its particles, whose images are not but must stay."""
        graph = self.graph / "graph.npz" if self.graph.is_dir() else self.graph
        if self.particles:
            return Reads(files=(graph,), particles=self.particles, datadir=self.datadir)
        named = named_by_run(graph)
        if named is None:
            return Reads(files=(graph,))
        return Reads(files=(graph,), perhaps=tuple(named.paths), datadir=self.datadir or named.datadir)


def parse_anchor(text: str) -> tuple[str, float]:
    """Return node and angle of NODE=DEG; a node's name may hold = itself.

    Raises
    ------
    InputError
        If it is not NODE=DEG.
    """
    match = re.fullmatch(r"(.+)=\s*([^=\s]+)\s*", text)
    try:
        angle = float(match[2]) if match else math.nan
    except ValueError:
        angle = math.nan
    if match is None or not math.isfinite(angle):
        raise InputError("--anchor is NODE=DEG", value=text, hint="such as --anchor 12=90")
    return match[1].strip(), angle
