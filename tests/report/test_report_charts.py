"""Charts: sound SVG, labelled axes, the right heights."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from cryoalign.report import charts

PREFIX = "data:image/svg+xml;base64,"


def decode(uri: str) -> tuple[str, str]:
    """Return the SVG and the words in it."""
    assert uri.startswith(PREFIX)
    svg = base64.b64decode(uri[len(PREFIX) :]).decode("utf-8")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    return svg, " | ".join(text for text in root.itertext() if text.strip())


def all_charts(n: int) -> dict[str, str]:
    rng = np.random.default_rng(n)
    values = rng.random(n)
    return {
        "histogram": charts.histogram(values, x_label="length (Å)", marks=[(np.median(values), "here")]),
        "sizes": charts.class_sizes(np.array([n, 0, 2])),
        "spread": charts.class_spread(rng.random(n), np.full(n, 2), 3, y_label="score (correlation)"),
        "map": charts.shift_map(rng.normal(size=(n, 2)), 4.0),
        "rose": charts.angle_rose(rng.uniform(-180, 180, n)),
        "spectra": charts.spectra([("a", 1 + rng.random(17), 64.0), ("b", 1 + rng.random(17), 67.2)]),
    }


@pytest.mark.parametrize("n", [1, 2, 30, 5000])
def test_charts_are_sound_and_say_their_units(n):
    words = {name: decode(uri)[1] for name, uri in all_charts(n).items()}
    assert "length (Å)" in words["histogram"]
    assert "here" in words["histogram"]
    assert "particles" in words["histogram"]
    assert "class number" in words["sizes"]
    assert "score (correlation)" in words["spread"]
    assert "shift x (Å)" in words["map"]
    assert "shift y (Å), downwards" in words["map"]
    assert "of psi" in words["rose"]
    assert "spatial frequency (1/Å)" in words["spectra"]
    assert "resolution (Å)" in words["spectra"]
    assert "noise power" in words["spectra"]


def test_charts_are_the_same_every_time_and_load_nothing():
    for first, second in zip(all_charts(5000).values(), all_charts(5000).values(), strict=True):
        assert first == second
        svg, _ = decode(first)
        assert "<metadata" not in svg
        assert "DOCTYPE" not in svg
        # Only the two names of XML vocabularies look like addresses.
        addresses = {part.split('"')[0] for part in svg.split('"http')[1:]}
        assert addresses <= {"://www.w3.org/2000/svg", "://www.w3.org/1999/xlink"}


def test_thousands_of_classes_make_no_larger_charts_than_hundreds():
    numbers = np.repeat(np.arange(1, 5001), 3)
    scores = np.tile([0.1, 0.2, 0.3], 5000) + np.repeat(np.linspace(0, 1, 5000), 3)
    spread, words = decode(charts.class_spread(scores, numbers, 5000, y_label="score"))
    assert "rank of the class by its median" in words
    sizes, words = decode(charts.class_sizes(np.arange(5000)))
    assert "rank of the class by size" in words and "5,000" in words
    assert "10⁴" in decode(charts.class_sizes(np.array([50_000] + [3] * 500)))[1]
    for many, few in (
        (spread, charts.class_spread(scores[:1200], numbers[:1200], 400, y_label="score")),
        (sizes, charts.class_sizes(np.arange(400))),
    ):
        assert len(many) < 4 * len(decode(few)[0])


def test_bins_hold_every_value_but_a_few_stragglers():
    rng = np.random.default_rng(1)
    values = rng.normal(size=50_000)
    values[0] = 1e6
    edges = charts.bin_edges(values)
    assert 8 <= len(edges) - 1 <= 60
    assert np.mean((values < edges[0]) | (values > edges[-1])) <= 0.0041
    few = rng.normal(size=50)
    edges = charts.bin_edges(few)
    assert edges[0] <= few.min()
    assert edges[-1] >= few.max()
    edges = charts.bin_edges(np.full(10, -3.0))
    assert edges[0] < -3 < edges[-1]
    assert charts.bin_edges(np.zeros(3), low=0.0)[-1] > 0


def test_a_histogram_says_that_stragglers_are_in_the_end_bars():
    values = np.random.default_rng(2).normal(size=2000)
    assert "end bars hold" in decode(charts.histogram(values, x_label="a"))[1]
    assert "last bar holds" in decode(charts.histogram(np.abs(values), x_label="a", low=0.0))[1]
    assert "all beyond" not in decode(charts.histogram(values[:100], x_label="a"))[1]


def test_charts_without_a_finite_value_are_empty_not_broken():
    nothing = np.full(4, np.nan)
    decode(charts.histogram(nothing, x_label="a", marks=[(np.nan, "median")]))
    decode(charts.shift_map(np.full((4, 2), np.nan), None))
    decode(charts.angle_rose(nothing))
    decode(charts.class_spread(nothing, np.ones(4), 1, y_label="a"))
    decode(charts.spectra([("a", np.zeros(9), 16.0)]))


def test_spectra_turn_logarithmic_only_for_wide_ranges():
    steep = decode(charts.spectra([("a", 10.0 ** -np.linspace(0, 4, 33), 64.0)]))[0]
    flat = decode(charts.spectra([("a", np.linspace(1, 2, 33), 64.0)]))[0]
    assert all(f">{level}<" in steep for level in ("0.01", "0.1", "1"))
    assert ">0.01<" not in flat
    assert "mathdefault" not in steep  # no fonts beyond those of the page


def test_many_noise_groups_need_no_legend():
    words = decode(charts.spectra([(f"group {i}", np.ones(9), 16.0) for i in range(40)]))[1]
    assert "group 3" not in words


def test_shifts_on_a_search_pattern_are_counted_place_by_place():
    pattern = np.array([(x, y) for x in (-2.0, 0.0, 2.0) for y in (-2.0, 0.0, 2.0)])
    shift = np.repeat(pattern, [10, 20, 10, 20, 880, 20, 10, 20, 10], axis=0)
    places, counts = charts.pattern_counts(shift)
    assert places.tolist() == pattern.tolist()
    assert counts.tolist() == [10, 20, 10, 20, 880, 20, 10, 20, 10]
    words = decode(charts.shift_map(shift, None, things="edges"))[1]
    assert "88.0 %" in words and "2.0 %" in words and "share of edges at each place" in words
    spread = shift + np.random.default_rng(0).normal(size=shift.shape)
    assert not len(charts.pattern_counts(spread)[0])
    assert "edges per" in decode(charts.shift_map(spread, None, things="edges"))[1]
