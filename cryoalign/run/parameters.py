"""What parameters of all commands have in common: their way into run.json and back, and what options are called."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from cryoalign.core.errors import InputError

P = TypeVar("P")


def option_of(name: str) -> str:
    """Return the option that sets a parameter."""
    return f"--{name.replace('_', '-')}"


def check_values(
    parameters: Any,
    *,
    positive: Iterable[str],
    at_least_one: Iterable[str],
    choices: Mapping[str, Any],
    option: Callable[[str], str] = option_of,
) -> None:
    """Refuse values out of range in what commands that work in parts have in common.

    Parameters
    ----------
    parameters
        The dataclass; ``inputs``, ``block_size`` and ``seed`` are looked at too.
    positive, at_least_one
        Names of parameters that are None, or positive numbers, or whole numbers from 1.
    choices
        The literal type of each parameter that is one of several words, or None.
    option
        How an option is called.

    Raises
    ------
    InputError
        At the first one.
    """
    p = parameters
    if not p.inputs:
        raise InputError("no particles given")
    for name in positive:
        value = getattr(p, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{option(name)} must be a positive number", value=value)
    for name in at_least_one:
        value = getattr(p, name)
        if value is not None and value < 1:
            raise InputError(f"{option(name)} must be at least 1", value=value)
    for name, kind in choices.items():
        value = getattr(p, name)
        if value is not None and value not in get_args(kind):
            raise InputError(f"{option(name)} must be one of {', '.join(get_args(kind))}", value=value)
    if p.block_size is not None and (p.block_size < 64 or p.block_size % 64):
        raise InputError("--block-size must be a multiple of 64", value=p.block_size)
    if p.seed < 0:
        raise InputError("--seed must not be negative", value=p.seed)


def check_part(part: tuple[int, int] | None, *, overwrite: bool) -> None:
    """Refuse a task of a job array that does not exist, or that would remove what its fellows wrote."""
    if part is None:
        return
    k, n = part
    if not 1 <= k <= n:
        raise InputError("--part is K/N with 1 <= K <= N", value=f"{k}/{n}")
    if overwrite:
        raise InputError(
            "--overwrite would remove what the other parts of the job array wrote",
            hint="remove the old run first, then start the parts without it",
        )


def refuse_together(
    parameters: Any,
    *pairs: tuple[str, str],
    option: Callable[[str], str] = option_of,
    hint: str = "give one of them",
) -> None:
    """Refuse options that exclude each other.

    Parameters
    ----------
    parameters
        What has the fields.
    pairs
        Names of fields of which one at most may be given: not None and not False.
    option
        What the option of a field is called.
    hint
        What to do about it.
    """
    for one, other in pairs:
        if getattr(parameters, one) not in (None, False) and getattr(parameters, other) not in (None, False):
            raise InputError(f"{option(one)} and {option(other)} exclude each other", hint=hint)


def parameters_to_json(parameters: Any) -> dict[str, Any]:
    """Return a frozen dataclass of parameters as a dictionary that JSON can hold; paths become text, tuples lists."""
    return {field.name: _plain(getattr(parameters, field.name)) for field in fields(parameters)}


def parameters_from_json(kind: type[P], values: Mapping[str, Any], *, command: str, paths: Iterable[str]) -> P:
    """Return the parameters that `parameters_to_json` described.

    Parameters
    ----------
    kind
        The dataclass, which has ``inputs``, a tuple of paths.
    values
        From run.json.
    command
        For the message.
    paths
        Names of parameters that are paths, or None.

    Raises
    ------
    InputError
        If a name is not known, as after a change of version.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = set(values) - known
    if unknown:
        raise InputError(f"unknown parameters of {command}", value=sorted(unknown))
    found = {name: _tuples(value) for name, value in values.items()}
    found["inputs"] = tuple(Path(path) for path in values["inputs"])
    found |= {name: Path(values[name]) for name in paths if values.get(name) is not None}
    return kind(**found)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
