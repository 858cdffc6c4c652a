"""Everything that `cryoalign classavg` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryoalign.classification.settings import Algorithm
from cryoalign.core.errors import InputError
from cryoalign.passes.chosen import chosen_file
from cryoalign.passes.prepare.settings import ComparisonParameters
from cryoalign.runs.reads import Reads, given

MOST_FREQUENCIES = 30
"""Edges are not known to the few degrees that higher angular frequencies would need."""


@dataclass(frozen=True, kw_only=True)
class ClassavgParameters(ComparisonParameters):
    """Parameters of one run of class averages, besides those of every comparison.

    Attributes
    ----------
    classes, every_particle, rows
        Which views are averaged: so many well separated ones (None = by the number of particles), that of every
        particle, or those of chosen particles (``cryoalign.passes.chosen``).
    graph, reweight
        A graph of neighbours to start from instead of a search, and whether its edges are weighted by how well they
        agree with the others.
    algorithm, k_max, rounds
        How views are found in the graph, its highest angular frequency, and rounds of search and classification.
    min_class_size
        Smaller views and classes are not kept.
    plain, phase_flip, ssnr
        Treatment of the CTF in averages, as in `average`.
    recenter
        Bring averages to the centre.
    allow_no_signal
        Exit with 0 where no consistent signal was found.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    classes: int | None = None
    every_particle: bool = False
    rows: str | None = None
    graph: Path | None = None
    reweight: bool = False
    algorithm: Algorithm = "mfvdm"
    k_max: int | None = None
    rounds: int | None = None
    min_class_size: int = 1
    plain: bool = False
    phase_flip: bool = False
    ssnr: float | None = None
    recenter: bool = False
    allow_no_signal: bool = False

    command: ClassVar[str] = "classavg"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("classes", "k_max", "rounds", "min_class_size", at_least=1)
        self.check_numbers("ssnr")
        self.check_choices({"algorithm": Algorithm})
        self.refuse_together(
            ("classes", "every_particle"), ("classes", "rows"), ("every_particle", "rows"), ("plain", "phase_flip"),
            ("plain", "ssnr"), ("phase_flip", "ssnr"), ("graph", "candidates"), ("graph", "rounds"),
        )  # fmt: skip
        if self.reweight and self.graph is None:
            raise InputError("--reweight goes with --graph only", hint="on graphs made from images it does harm")
        if self.k_max is not None and self.k_max > MOST_FREQUENCIES:
            raise InputError("--k-max is too large", value=self.k_max, hint=f"{MOST_FREQUENCIES} at most")
        if self.k_max is not None and self.algorithm in ("vdm", "kmeans"):
            raise InputError(f"--k-max has no meaning for --algorithm {self.algorithm}", value=self.k_max)

    def reads(self) -> Reads:
        """Return what is read: particles, a graph, a list of rows."""
        rows = None if self.rows is None else chosen_file(self.rows)
        return Reads(particles=self.inputs, files=given(self.graph, rows), datadir=self.datadir)
