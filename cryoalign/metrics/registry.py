"""The measures by the names that users type; a measure's file is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from cryoalign.core.errors import InputError
from cryoalign.metrics.measure import Measure


def _make(module: str, name: str, **options: Any) -> Measure:
    return getattr(import_module(f"cryoalign.metrics.{module}"), name)(**options)


MEASURES: dict[str, Callable[..., Measure]] = {
    "euclidean": partial(_make, "euclidean", "Euclidean"),
    "ncc": partial(_make, "ncc", "NormalisedCrossCorrelation"),
    "absolute-difference": partial(_make, "absolute_difference", "AbsoluteDifference"),
    "ssd": partial(_make, "ssd", "SumOfSquaredDifferences"),
    "normalised-ssd": partial(_make, "normalised_ssd", "NormalisedSsd"),
    "correntropy": partial(_make, "correntropy", "Correntropy"),
    "mutual-information": partial(_make, "mutual_information", "MutualInformation"),
    "sw": partial(_make, "sliced_wasserstein", "SlicedWasserstein"),
    "sw1": partial(_make, "sliced_wasserstein", "SlicedWassersteinOne"),
    "rfsw": partial(_make, "ramp_filtered", "RampFilteredSlicedWasserstein"),
    "wavelet-emd": partial(_make, "wavelet_emd", "WaveletEmd"),
    "auto": partial(_make, "automatic", "Automatic"),
}

_IN_WORDS = {
    "euclidean": "Euclidean distance",
    "ncc": "normalised cross-correlation",
    "absolute-difference": "mean absolute difference",
    "ssd": "mean squared difference",
    "normalised-ssd": "squared difference after normalising either image",
    "correntropy": "correntropy, deaf to outliers",
    "mutual-information": "mutual information, any contrast",
    "sw": "sliced Wasserstein distance",
    "sw1": "sliced Wasserstein distance of order 1",
    "rfsw": "ramp-filtered sliced Wasserstein distance, for deformed images",
    "wavelet-emd": "earth mover's distance by wavelets",
    "auto": "rfsw, a fusion, or euclidean, by the estimated SNR",
}


def measure(name: str, **options: Any) -> Measure:
    """Make a measure by its name.

    Parameters
    ----------
    name
        One of ``MEASURES``.
    **options
        The measure's own parameters, as its class takes them.

    Raises
    ------
    InputError
        If there is no measure of that name, or it does not take an option.
    """
    _check(name)
    try:
        return MEASURES[name](**options)
    except TypeError as error:
        if options and "unexpected keyword" in str(error):
            raise InputError(f"{name} does not take these options", value=", ".join(options)) from None
        raise


def in_words(name: str) -> str:
    """Say in a few words what a measure is, without importing it."""
    _check(name)
    return _IN_WORDS[name]


def _check(name: str) -> None:
    if name not in MEASURES:
        raise InputError("there is no such measure", value=name, hint=f"choose from {', '.join(MEASURES)}")
