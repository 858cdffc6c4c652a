"""Names of measures, and the facts that their classes carry."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cryoalign.core.errors import InputError
from cryoalign.metrics.measure import NOISY, Measure
from cryoalign.metrics.names import (
    measure,
    measure_class,
    measure_names,
    ranking,
    ranking_class,
    ranking_names,
    register,
)


@pytest.mark.parametrize("name", ranking_names())
def test_every_name_makes_its_measure_which_carries_all_facts(name):
    if name == "wavelet-emd":
        pytest.importorskip("pywt")
    made, kind = ranking(name), ranking_class(name)
    assert type(made) is kind and kind.name == name
    for fact in ("words", "unit", "cost"):
        assert getattr(kind, fact) and "\n" not in getattr(kind, fact)
    assert 0 < kind.pair_ms < 100 and made.cost_in_words.endswith(" ms a pair of 64 px")
    assert isinstance(kind.lower_is_better, bool)
    assert issubclass(kind, Measure) == (name in measure_names())
    if name in measure_names():
        assert kind.translations and measure_class(name) is kind


def test_options_go_to_the_measure():
    assert measure("mutual-information", bins=24).bins == 24
    with pytest.raises(InputError, match=r"ssd does not take these options \('bins'\)"):
        measure("ssd", bins=3)


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(InputError, match=r"no such measure \('euclid'\); choose from euclidean, ncc, .*rfsw.*auto"):
        measure("euclid")
    with pytest.raises(InputError, match="no such measure"):
        ranking("x")


def test_what_only_ranks_is_refused_where_images_are_aligned():
    with pytest.raises(InputError, match="rfsw-ncc only ranks images, for rid-distance"):
        measure("rfsw-ncc")


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="ncc already"):
        register("ncc", "cryoalign.metrics.ssd:SumOfSquaredDifferences")


def test_names_cost_no_numerics():
    code = "import sys, cryoalign.metrics.names; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "loses"), [("rfsw", True), ("rfsw-ncc", True), ("mutual-information", True), ("auto", False)]
)
def test_warning_where_noise_is_strong_and_the_measure_loses(name, loses):
    one = ranking(name)
    said = one.warning_in_noise(0.123)
    assert (said is not None and f"{name} on noisy particles (SNR 0.12)" in said) == loses
    assert one.warning_in_noise(NOISY) is None and one.warning_in_noise(None) is None


@pytest.mark.parametrize(
    ("snr", "shifts", "name"),
    [
        (None, True, "rfsw-ncc"), (None, False, "rfsw-ncc"), (2.0, False, "rfsw-ncc"), (0.3, False, "auto"),
        (0.3, True, "auto"),
    ],
)  # fmt: skip
def test_auto_ranks_by_the_blend_where_it_would_align_by_rfsw(snr, shifts, name):
    assert measure("auto").for_ranking(snr, shifts).name == name
    assert measure("rfsw").for_ranking(snr, shifts).name == "rfsw"
