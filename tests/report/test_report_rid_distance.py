"""The page of `rid-distance`, read as a browser would, and its counts."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.charts import histogram, whole_bin_edges
from cryoalign.report.neighbour_counts import in_degree, lists_ends, mutual_share
from cryoalign.report.rid_distance_page import build_rid_distance_page, summary_sentence
from helpers.page_reader import Reader, chart_words, sound_page
from helpers.quality_samples import facts_that_say, make_bare_facts, make_facts
from helpers.rid_samples import make_example, make_graph, make_rid

FACTS = make_facts()
BARE = {"shift_sd_px": None, "mirrors": False}
CASES = {
    "nearest": {},
    "queries": {"queries": 7},
    "threshold": {"kind": "threshold", "max_distance": 9.5, "n": 60},
    "all pairs": {"kind": "all-pairs", "n": 40},
    "without shifts and mirrors": BARE,
    "no examples": {"examples": ()},
    "example with one neighbour": {"examples": [make_example(1, 33)]},
    "no edges": {"kind": "threshold", "n": 1, "max_distance": 0.1},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, _ = sound_page(build_rid_distance_page(FACTS if case else make_bare_facts(), make_rid(**case)))
    assert page.aids
    assert ("Who is whose neighbour" in page.text) == (case.get("n", 300) > 1 and case.get("kind") != "all-pairs")


def test_numbers_in_the_text_are_those_of_the_data():
    data = make_rid(n=300, k=10)
    page = Reader(build_rid_distance_page(FACTS, data))
    graph = data.graph
    nearest, last = graph.distance.reshape(300, 10)[:, [0, -1]].T
    count = int(graph.mirror.sum())
    degree = np.bincount(graph.j, minlength=300)
    edges = set(zip(graph.i.tolist(), graph.j.tolist(), strict=True))
    mutual = sum((b, a) in edges for a, b in edges)
    length = np.hypot(*graph.shift_px.astype(float).T) * 4.0
    for words in (
        f"300 particles, the 10 nearest of each: 3,000 edges, median distance {np.median(graph.distance):.2f}",
        f"median shift {np.median(length):.2f} Å, {count / 30:.1f} % mirrored; 1 warning.",
        f"Median {np.median(nearest):.2f}.",
        f"Median {np.median(last):.2f}.",
        "Distance to number 10",
        f"{count:,} of 3,000 edges are mirrored",
        f"{mutual / 30:.1f} % of the neighbours are mutual",
        f"Most often: particle {int(np.argmax(degree)) + 1:,}, {degree.max()} times",
        "5.12",
        "5.32, mirrored",
        "mean of 51",
        "Shift5.2 Å",
    ):
        assert words in page.text
    assert ["search", "3.00", "75.0 %"] in page.rows
    assert page.count("div", class_="strip") == 2
    assert sum(tag == "img" and "neighbour" in attributes["alt"] for tag, attributes in page.tags) == 2 * 8 + 1


def test_what_was_not_searched_is_said():
    text = Reader(build_rid_distance_page(FACTS, make_rid(**BARE))).text
    assert "Shiftnot searched" in text
    assert "Mirrorsnot searched" in text
    assert "Shifts of edges" not in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"queries": 7}, "7 of 300 particles, the 10 nearest of each"),
        ({"kind": "threshold", "max_distance": 9.5}, "300 particles, all pairs within 9.50: "),
        ({"kind": "all-pairs"}, "300 particles, all pairs: "),
        ({"kind": "threshold", "n": 1}, "1 particle, all pairs: no edges."),
    ],
)
def test_the_summary_says_how_edges_were_chosen(fields, words):
    assert summary_sentence(FACTS, make_rid(**fields)).startswith(words)


def test_pages_are_alike_every_time_and_words_are_escaped():
    bad = '<script>alert("&")</script>'
    nearest = make_rid().graph
    graph = make_graph(300, nearest.i, nearest.j, metric=bad)
    text, again = (
        build_rid_distance_page(
            facts_that_say(bad), make_rid(graph=graph, distance_unit=bad, examples=[make_example(name=bad)])
        )
        for _ in range(2)
    )
    assert text == again
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 5


def test_a_large_graph_makes_a_small_page():
    n, k = 20_000, 50
    rng = np.random.default_rng(0)
    edges = n * k
    graph = make_graph(n, np.repeat(np.arange(n), k), rng.integers(0, n, edges), mirror=np.zeros(edges, bool),
                       shift_px=np.zeros((edges, 2), np.float32))  # fmt: skip
    text = build_rid_distance_page(FACTS, make_rid(graph=graph, k=k))
    assert len(text) < 1e6
    assert "1,000,000 edges" in text
    assert "0 % mirrored" in text


@pytest.mark.parametrize("fields", [{"distance": np.zeros(3)}, {"mirror": np.zeros(3, bool)},
                                    {"mean": np.zeros((9, 9))}])  # fmt: skip
def test_examples_that_do_not_belong_together_are_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        make_example(**fields)


def test_counts_of_neighbours():
    i, j = np.array([0, 0, 2, 2, 3]), np.array([1, 2, 0, 3, 0])
    first, last = lists_ends(i)
    assert first.tolist() == [0, 2, 4]
    assert last.tolist() == [1, 3, 4]
    assert in_degree(j, 5).tolist() == [2, 1, 1, 1, 0]
    # 0-2 and 2-0 are mutual; 0-1 cannot be, as 1 has no list; 2-3 and 3-0 are not.
    assert mutual_share(i, j, 5) == (2, 4)
    assert mutual_share([], [], 5) == (0, 0)
    assert [len(part) for part in lists_ends([])] == [0, 0]


def test_counts_stand_in_bins_of_whole_numbers():
    edges = whole_bin_edges(np.array([0, 3, 7]))
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    wide = whole_bin_edges(np.arange(500))
    assert np.all(np.diff(wide) == 9)
    assert wide[-1] > 499
    assert "all beyond" not in chart_words(histogram([0, 1, 5], x_label="a", whole=True))
