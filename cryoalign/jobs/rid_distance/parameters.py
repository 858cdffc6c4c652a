"""Everything that `cryoalign rid-distance` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from cryoalign.core.errors import InputError
from cryoalign.metrics.names import ranking
from cryoalign.passes.chosen import chosen_file
from cryoalign.passes.prepare.settings import COMPONENTS, DEFAULT_DOWNSAMPLE, ComparisonParameters
from cryoalign.runs.reads import Reads, given

EXPORTS = ("csv", "star")
MEASURE_DOWNSAMPLE = 64
"""Images themselves are compared at so many pixels."""


@dataclass(frozen=True, kw_only=True)
class RidDistanceParameters(ComparisonParameters):
    """Parameters of one graph of distances, besides those of every comparison.

    Attributes
    ----------
    metric
        Components, compared by the score, or a measure of images (``cryoalign.metrics.names``).
    whiten, downsample
        None = whitened at 32 px where components are compared; as they are at 64 px where images are.
    max_distance
        Keep pairs no further apart than this, in the distance's own unit; without k all such pairs.
    all_pairs
        Keep all pairs.
    queries
        Particles whose neighbours alone are wanted: rows as 1,5-8, or a file (``cryoalign.passes.chosen``).
    export
        Further formats of the graph: "csv", "star".

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    whiten: bool = cast("bool", None)
    downsample: int = cast("int", None)
    max_distance: float | None = None
    all_pairs: bool = False
    queries: str | None = None
    export: tuple[str, ...] = ()

    command: ClassVar[str] = "rid-distance"
    uses_halves: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        # From here on they say what is done, in run.json too.
        by_components = self.measure is None
        if self.whiten is None:
            object.__setattr__(self, "whiten", by_components)
        if self.downsample is None:
            object.__setattr__(self, "downsample", DEFAULT_DOWNSAMPLE if by_components else MEASURE_DOWNSAMPLE)
        super().__post_init__()
        self.check_numbers("max_distance", at_least=0)
        unknown = [kind for kind in self.export if kind not in EXPORTS]
        if unknown:
            raise InputError(f"--export must be one of {', '.join(EXPORTS)}", value=unknown[0])
        self.refuse_together(*(("all_pairs", name) for name in ("k", "max_distance", "queries")))
        if self.queries is not None and self.lists_pairs:
            raise InputError("--queries and --max-distance go together with -k only", hint="say how many neighbours")
        if self.measure is None and self.lists_pairs and self.shift_sd:
            raise InputError(
                "--shift-sd goes with lists of neighbours: pairs are compared without shifts", hint="give -k"
            )
        if self.measure is None and self.lists_pairs and self.candidates is not None:
            raise InputError("--candidates goes with lists of neighbours: all pairs are compared", hint="give -k")

        # From here on it is said once: run.json names each format once, in this order.
        object.__setattr__(self, "export", tuple(kind for kind in EXPORTS if kind in self.export))

    def check_metric(self) -> None:
        """Refuse a name that is wrong, a package that is missing, and with a measure what compares components."""
        name = self.measure
        if name is None:
            return
        ranking(name)
        if self.score != "llr":
            raise InputError(
                f"--score and --metric {name} exclude each other", value=self.score, hint="scores compare components"
            )
        if self.candidates is not None:
            raise InputError(
                f"--candidates and --metric {name} exclude each other", value=self.candidates,
                hint="measures of images compare all pairs",
            )  # fmt: skip

    def reads(self) -> Reads:
        """Return what is read: particles, a list of rows."""
        queries = None if self.queries is None else chosen_file(self.queries)
        return Reads(particles=self.inputs, files=given(queries), datadir=self.datadir)

    @property
    def measure(self) -> str | None:
        """The measure of images; None where components are compared."""
        return None if self.metric in COMPONENTS else self.metric

    @property
    def lists_pairs(self) -> bool:
        """Whether the graph lists pairs i < j, not neighbours of each particle."""
        return self.all_pairs or (self.max_distance is not None and self.k is None)
