"""The strategies by the names that users type: where the class of each is, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cryoalign.core.errors import InputError

if TYPE_CHECKING:
    from cryoalign.alignment.strategy import Strategy

STRATEGIES: dict[str, str] = {
    "references": "cryoalign.alignment.given:GivenReferences",
    "synchronized": "cryoalign.alignment.synchronized:Synchronized",
}
"""Module and class of each."""


def register(name: str, where: str) -> None:
    """Add a strategy: the name that users type, and ``module:Class``.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in STRATEGIES:
        raise ValueError(f"there is a strategy of the name {name} already")
    STRATEGIES[name] = where


def strategy(name: str) -> type[Strategy]:
    """Return the class of a strategy by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in STRATEGIES:
        raise InputError(f"--strategy must be one of {', '.join(STRATEGIES)}", value=name)
    module, _, kind = STRATEGIES[name].partition(":")
    found: type[Strategy] = getattr(import_module(module), kind)
    return found
