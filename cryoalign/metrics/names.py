"""The names of measures, for options: where the class of each is, imported when the measure is asked for.

A new measure is a file with a class that extends :class:`cryoalign.metrics.measure.Measure`, and one line here, or a
call of :func:`register` from elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from cryoalign.core.errors import InputError

if TYPE_CHECKING:
    from cryoalign.metrics.measure import Measure, Ranking

R = TypeVar("R", bound="Ranking")

_MEASURES = {
    "euclidean": "cryoalign.metrics.euclidean:Euclidean",
    "ncc": "cryoalign.metrics.ncc:NormalisedCrossCorrelation",
    "absolute-difference": "cryoalign.metrics.absolute_difference:AbsoluteDifference",
    "ssd": "cryoalign.metrics.ssd:SumOfSquaredDifferences",
    "normalised-ssd": "cryoalign.metrics.normalised_ssd:NormalisedSsd",
    "correntropy": "cryoalign.metrics.correntropy:Correntropy",
    "mutual-information": "cryoalign.metrics.mutual_information:MutualInformation",
    "sw": "cryoalign.metrics.sliced_wasserstein:SlicedWasserstein",
    "sw1": "cryoalign.metrics.sliced_wasserstein:SlicedWassersteinOne",
    "rfsw": "cryoalign.metrics.ramp_filtered:RampFilteredSlicedWasserstein",
    "wavelet-emd": "cryoalign.metrics.wavelet_emd:WaveletEmd",
    "auto": "cryoalign.metrics.automatic:Automatic",
}
"""Module and class of each."""
_RANKINGS = {"rfsw-ncc": "cryoalign.metrics.rfsw_ncc:RfswWithCorrelation"}
"""What ranks images but does not align them."""


def register(name: str, where: str, *, aligns: bool = True) -> None:
    """Add a measure.

    Parameters
    ----------
    name
        What users type.
    where
        ``module:Class`` of a :class:`~cryoalign.metrics.measure.Measure`; if it does not align, of a ``Ranking``.
    aligns
        Whether ``align`` and ``compare`` can use it, and not ``rid-distance`` alone.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in ranking_names():
        raise ValueError(f"there is a measure of the name {name} already")
    (_MEASURES if aligns else _RANKINGS)[name] = where


def measure_names() -> tuple[str, ...]:
    """Return the names of the measures that align images, and rank them."""
    return tuple(_MEASURES)


def ranking_names() -> tuple[str, ...]:
    """Return the names of all that rank images."""
    return (*_MEASURES, *_RANKINGS)


def ranking_class(name: str) -> type[Ranking]:
    """Return the class of what ranks images, which carries its facts.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    where = _MEASURES.get(name) or _RANKINGS.get(name)
    if where is None:
        raise InputError("there is no such measure", value=name, hint=f"choose from {', '.join(ranking_names())}")
    module, _, kind = where.partition(":")
    return getattr(import_module(module), kind)


def measure_class(name: str) -> type[Measure]:
    """Return the class of a measure; as :func:`ranking_class`, and an InputError for what only ranks."""
    if name in _RANKINGS:
        raise InputError(f"{name} only ranks images, for rid-distance: it does not align them")
    return ranking_class(name)  # type: ignore[return-value]


def ranking(name: str, **options: Any) -> Ranking:
    """Make what ranks images by its name; options are the parameters that its class takes.

    Raises
    ------
    InputError
        If there is none of that name, or it does not take an option.
    """
    return _made(ranking_class(name), options)


def measure(name: str, **options: Any) -> Measure:
    """Make a measure by its name; as :func:`ranking`, and an InputError for what only ranks."""
    return _made(measure_class(name), options)


def _made(kind: type[R], options: dict[str, Any]) -> R:
    try:
        return kind(**options)
    except TypeError as error:
        if options and "unexpected keyword" in str(error):
            raise InputError(f"{kind.name} does not take these options", value=", ".join(options)) from None
        raise
