"""Everything that `cryoalign average` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cryoalign.core.errors import InputError
from cryoalign.passes.average.settings import AverageSettings, MembershipOptions
from cryoalign.passes.settings import TableOptions
from cryoalign.runs.parameters import PartOptions
from cryoalign.runs.reads import Reads, given


@dataclass(frozen=True, kw_only=True)
class AverageParameters(AverageSettings, MembershipOptions, TableOptions, PartOptions):
    """Parameters of one run of averages.

    Attributes
    ----------
    variance, scale
        Variance maps; an intensity of every particle.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    variance: bool = False
    scale: bool = False

    command: ClassVar[str] = "average"
    spelling: ClassVar[Mapping[str, str]] = {"one_class": "--all"}

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.refuse_together(("by", "one_class"))
        self.refuse_together(("robust", "weights"), ("robust", "scale"), hint="a robust mean takes all members alike")
        if self.one_class and self.classes is not None:
            raise InputError("--all makes one class: there is nothing for --classes to choose")
        for name in ("recenter", "scale", "variance"):
            if self.part is not None and getattr(self, name):
                raise InputError(
                    f"--part cannot be used with {self.option_of(name)}",
                    hint="it goes through the particles again, once all parts are there",
                )

    def reads(self) -> Reads:
        """Return what is read: particles and memberships."""
        return Reads(particles=self.inputs, files=given(self.members), datadir=self.datadir)
