"""Everything that `cryoalign classavg` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cryoalign.classification.settings import Algorithm
from cryoalign.core.errors import InputError
from cryoalign.passes.prepare.settings import PATHS, ComparisonParameters
from cryoalign.run.parameters import option_of, parameters_from_json, parameters_to_json

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

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        for name in ("classes", "k_max", "rounds", "min_class_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{option_of(name)} must be at least 1", value=value)
        if self.ssnr is not None and not 0 < self.ssnr < float("inf"):
            raise InputError("--ssnr must be a positive number", value=self.ssnr)
        if self.algorithm not in get_args(Algorithm):
            raise InputError(f"--algorithm must be one of {', '.join(get_args(Algorithm))}", value=self.algorithm)
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

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold; `from_json` undoes it."""
        return parameters_to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClassavgParameters:
        """Return the parameters that `to_json` described; an unknown name is an InputError."""
        return parameters_from_json(cls, values, command="classavg", paths=(*PATHS, "graph"))
