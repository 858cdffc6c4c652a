"""Everything that `cryoalign align` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryoalign.alignment.names import STRATEGIES, strategy
from cryoalign.alignment.strategy import Strategy
from cryoalign.core.errors import InputError
from cryoalign.passes.align.settings import AlignSettings
from cryoalign.passes.settings import TableOptions
from cryoalign.runs.parameters import PartOptions
from cryoalign.runs.reads import Reads, given

HALVES_ITERATIONS = 5
"""Rounds of halves, where no number was asked for."""


@dataclass(frozen=True, kw_only=True)
class AlignParameters(AlignSettings, TableOptions, PartOptions):
    """Parameters of one alignment, to references that are given or that the particles make themselves.

    Attributes
    ----------
    reference
        References (one file of one or many images).
    strategy
        Where references come from, a name of ``cryoalign.alignment.strategy``.
    classes
        Where no references are given, how many are made; None = as the strategy has it.
    iterations
        Rounds; from the second on, the references are the averages of the round before. None = 1, or 5 with halves or
        without given references.
    halves
        None = where there is more than one round.
    guard, null_test
        Test the alignment on rings that were held out; align as many noise images in the same way.
    write_stack
        Write aligned.mrcs.
    allow_no_signal
        Exit status 0 also where there is no signal.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    reference: Path | None = None
    strategy: str = "references"
    classes: int | None = None
    iterations: int | None = None
    halves: bool | None = None
    guard: bool = True
    null_test: bool = False
    write_stack: bool = True
    allow_no_signal: bool = False

    command: ClassVar[str] = "align"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("iterations", "classes", at_least=1)
        self._check_strategy()
        rounds = self.iterations or (HALVES_ITERATIONS if self.halves else self.way.iterations)
        halves = self.halves if self.halves is not None else rounds > 1
        if self.part is not None and rounds > 1:
            raise InputError(
                "--part cannot be used with --iterations above 1", hint="every round needs all parts of the last"
            )
        if halves and rounds < 2:
            raise InputError("--halves needs at least two rounds", value=self.iterations, hint="leave --iterations out")
        if self.initial_lowpass is not None and not halves:
            raise InputError("--initial-lowpass goes with --halves", hint="--lowpass limits every round")

        # From here on they say what is done, in run.json too.
        object.__setattr__(self, "iterations", rounds)
        object.__setattr__(self, "halves", halves)

    def _check_strategy(self) -> None:
        """Refuse what does not go with the place where references come from."""
        if self.way.needs_reference:
            if self.reference is None:
                raise InputError("--reference is needed", hint=f"or --strategy {_others()}, which makes references")
            if self.classes is not None:
                raise InputError(f"--classes goes with --strategy {_others()}", value=self.classes)
        elif self.reference is not None:
            raise InputError(
                f"--strategy {self.strategy} makes its own references", value=self.reference,
                hint="leave --reference out",
            )  # fmt: skip
        elif self.local is not None:
            what = f"--local cannot be used with --strategy {self.strategy}"
            raise InputError(what, hint="its frame has no input angle")
        if self.part is not None and self.way.why_whole:
            raise InputError(f"--part cannot be used with --strategy {self.strategy}", hint=self.way.why_whole)

    def reads(self) -> Reads:
        """Return what is read: particles and references."""
        return Reads(particles=self.inputs, images=given(self.reference), datadir=self.datadir)

    @property
    def way(self) -> type[Strategy]:
        """The strategy's class."""
        return strategy(self.strategy)

    @property
    def rounds(self) -> int:
        """Rounds of alignment."""
        return self.iterations or 1


def _others() -> str:
    """Name the strategies that need no reference."""
    return " or ".join(name for name in STRATEGIES if not strategy(name).needs_reference)
