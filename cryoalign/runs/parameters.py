"""What parameters of all commands have in common: how the run treats its directory, and their way into run.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args

from cryoalign.core.errors import InputError
from cryoalign.runs.cpus import BASE_MEMORY_BYTES, size_in_words
from cryoalign.runs.limits import HINTS, LARGEST, LIMITS, MOST
from cryoalign.runs.reads import Reads

S = TypeVar("S")


def option_of(name: str) -> str:
    """Return the option that sets a parameter."""
    return f"--{name.replace('_', '-')}"


class Checked:
    """What options and settings have in common: values that cannot be meant are refused when they are made."""

    spelling: ClassVar[Mapping[str, str]] = {}
    """Options that are not called like their parameters."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant: subclasses add to it."""

    @classmethod
    def option_of(cls, name: str) -> str:
        """Return the option that sets a parameter."""
        return cls.spelling.get(name, option_of(name))

    def check_numbers(self, *names: str, at_least: float | None = None) -> None:
        """Refuse parameters that are given and are not finite, or not positive, or beyond what they can mean.

        Parameters
        ----------
        *names
            Of the parameters; :data:`cryoalign.runs.limits.LIMITS` knows how far those of each name may go.
        at_least
            The least value, where that need not be positive; minus infinity for any number.
        """
        for name in names:
            value = getattr(self, name)
            if value is None:
                continue
            if not (math.isfinite(value) and (value > 0 if at_least is None else value >= at_least)):
                what = "be a positive number" if at_least is None else "not be negative"
                if at_least:
                    what = "be a number" if at_least == -math.inf else f"be at least {at_least}"
                raise InputError(f"{self.option_of(name)} must {what}", value=value)
            low, high = LIMITS.get(name, (-LARGEST, MOST if isinstance(value, int) else LARGEST))
            if not low <= value <= high:
                what = f"must be from {low:.10g} to {high:.10g}" if name in LIMITS else f"must not exceed {high:g}"
                raise InputError(f"{self.option_of(name)} {what}", value=value, hint=HINTS.get(name))

    def check_choices(self, choices: Mapping[str, Any]) -> None:
        """Refuse parameters that are given and are none of the words of their literal type."""
        for name, kind in choices.items():
            value = getattr(self, name)
            if value is not None and value not in get_args(kind):
                words = ", ".join(get_args(kind))
                raise InputError(f"{self.option_of(name)} must be one of {words}", value=value)

    def refuse_together(self, *pairs: tuple[str, str], hint: str = "give one of them") -> None:
        """Refuse options that exclude each other: of each pair one at most may be not None and not False."""
        for one, other in pairs:
            if getattr(self, one) not in (None, False) and getattr(self, other) not in (None, False):
                what = f"{self.option_of(one)} and {self.option_of(other)} exclude each other"
                raise InputError(what, hint=hint)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Checked):
    """What every command is told about its run; commands add their own.

    Attributes
    ----------
    output
        Run directory.
    threads
        Cannot change a result.
    resume, overwrite
        How the run treats what is in its directory.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    output: Path
    threads: int = 1
    resume: bool = False
    overwrite: bool = False

    command: ClassVar[str]
    """As users type it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("threads", at_least=1)
        self.refuse_together(("resume", "overwrite"))

    def reads(self) -> Reads:
        """Return every file that the command will read: no run begins without this answer."""
        raise NotImplementedError(f"{self.command} does not say what it reads")

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold, paths as text and tuples as lists; `from_json` undoes it."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the parameters that `to_json` described.

        Raises
        ------
        InputError
            If a name is not known, as after a change of version.
        """
        kinds = {field.name: str(field.type) for field in fields(cls)}
        unknown = set(values) - set(kinds)
        if unknown:
            raise InputError(f"unknown parameters of {cls.command}", value=sorted(unknown))
        return cls(**{name: _meant(value, is_path="Path" in kinds[name]) for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class SeedOptions(RunOptions):
    """What commands that draw numbers are told besides: the seed of all of them."""

    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        if not 0 <= self.seed < 2**64:
            raise InputError("--seed must be from 0 to 2^64 - 1", value=self.seed)


@dataclass(frozen=True, kw_only=True)
class PartOptions(SeedOptions):
    """What commands that work in parts are told besides.

    Attributes
    ----------
    memory
        Bytes to stay within; cannot change a result.
    block_size
        Rows of a part, a multiple of 64.
    part
        (k, n): this task of a job array.
    full_digest
        Hash input stacks whole.
    """

    memory: int | None = None
    block_size: int | None = None
    part: tuple[int, int] | None = None
    full_digest: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("memory", at_least=0)
        self.check_numbers("block_size", at_least=1)
        if self.memory is not None and self.memory < BASE_MEMORY_BYTES:
            least = size_in_words(BASE_MEMORY_BYTES)
            raise InputError("--memory is less than the program itself needs", value=self.memory,
                             hint=f"give {least} or more")  # fmt: skip
        if self.block_size is not None and (self.block_size < 64 or self.block_size % 64):
            raise InputError("--block-size must be a multiple of 64", value=self.block_size)
        if self.part is None:
            return
        k, n = self.part
        if not 1 <= k <= n:
            raise InputError("--part is K/N with 1 <= K <= N", value=f"{k}/{n}")
        if self.overwrite:
            raise InputError(
                "--overwrite would remove what the other parts of the job array wrote",
                hint="remove the old run first, then start the parts without it",
            )


def settings_from(kind: type[S], parameters: Any, **others: Any) -> S:
    """Return settings of a kind with what parameters say of the same names.

    Parameters
    ----------
    kind
        A dataclass of settings.
    parameters
        Another dataclass; names that it has not keep the kind's defaults.
    **others
        Values that win.
    """
    names = [field.name for field in fields(kind) if hasattr(parameters, field.name)]  # type: ignore[arg-type]
    return kind(**{name: getattr(parameters, name) for name in names} | others)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _meant(value: Any, *, is_path: bool) -> Any:
    if isinstance(value, list):
        return tuple(_meant(item, is_path=is_path) for item in value)
    return Path(value) if is_path and isinstance(value, str) else value
