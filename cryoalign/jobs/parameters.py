"""What parameters of all commands have in common: their way into run.json and back, and what options are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from cryoalign.core.errors import InputError

P = TypeVar("P")


def option_of(name: str) -> str:
    """Return the option that sets a parameter."""
    return f"--{name.replace('_', '-')}"


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
