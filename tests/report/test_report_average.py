"""The page of `average`, read as a browser would."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from cryoalign.report.average_page import build_average_page, draw_average_montage, summary_sentence
from helpers.page_reader import Reader, sound_page
from helpers.quality_samples import facts_that_say, make_averages, make_bare_facts, make_curve, make_facts

FACTS = make_facts()
CASES = {
    "three": {},
    "one": {"m": 1},
    "odd box": {"m": 2, "box": 33},
    "large box": {"m": 2, "box": 300},
    "many": {"m": 40, "growth": None},
    "variance": {"m": 5, "variance": True},
    "many with variance": {"m": 30, "variance": True, "curves": False},
    "common reference": {"shared": 16},
    "no halves": {"curves": False, "halves": None, "growth": None},
    "everything": {
        "scale": np.random.default_rng(0).normal(1, 0.3, 500),
        "moved_angstrom": np.array([(1.0, -2.0), (0.5, 0.25), (-7.0, 24.0), (0.0, 0.0)]),
    },
    "not finite": {
        "scale": np.array([np.nan, np.inf, 1.0]),
        "quality": {1: float("nan"), 3: float("inf")},
        "images": {1: np.full((32, 32), np.nan), 3: np.zeros((32, 32)), 5: np.ones((32, 32))},
    },
    "least": {"curves": False, "halves": None, "growth": None, "score_mean": None},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, pictures = sound_page(build_average_page(FACTS if case else make_bare_facts(), make_averages(**case)))
    assert pictures >= 1
    assert page.aids


def test_numbers_in_the_text_are_those_of_the_data():
    curves = {
        1: make_curve(resolution=18.34),
        3: make_curve(resolution=999.0, half=999.0),
        5: make_curve(resolution=12.0),
    }
    data = make_averages(
        curves=curves,
        scale=np.linspace(0.5, 1.5, 101),
        moved_angstrom=np.array([(3.0, -4.0), (0.0, 0.04), (0.1, 0.0), (0.0, 0.0)]),
        score_mean=np.array([0.3123, 0, 0, 0]),
        quality={1: 0.7777},
    )
    members = data.classes.members
    total = sum(members.values())
    text = Reader(build_average_page(make_facts(counts={"read": total + 3}), data)).text
    assert f"{total:,} particles in 3 classes (Wiener-filtered average): median resolution 15.2 Å" in text
    assert "(2 of 3 classes resolved)" in text
    assert f"of {total + 3:,} read" in text
    assert "1 more without members" in text
    for number in (1, 3, 5):
        assert f"Class {number}: {members[number]:,} particles" in text
        assert f"{100 * members[number] / total:.1f} %" in text
    assert "18.3 Å (independent halves)" in text
    assert "not resolved" in text
    assert "quality 0.778" in text
    assert "mean score 0.312" in text
    assert "Median 1.00; 90 % between 0.55 and 1.45" in text.replace("0.550", "0.55")
    assert "largest 5.00 Å (class 1)" in text
    assert "Half 1 holds 512 and half 2 498 particles, parted by a hash of the image name" in text
    rows = Reader(build_average_page(FACTS, data)).rows
    assert ["1", "3.0", "−4.0", "5.00", "1.25"] in rows
    assert ["search", "3.00", "75.0 %"] in rows


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"curves": False}, "no halves, so no resolution"),
        ({"shared": 16}, "no resolution, as the halves share their references"),
        ({"curves": {1: make_curve(resolution=999.0, half=999.0)}}, "none of 1 class resolved"),
        ({"m": 1}, "resolution 18.3 Å from independent halves"),
    ],
)
def test_the_summary_never_flatters(fields, words):
    assert words in summary_sentence(FACTS, make_averages(**fields))


@pytest.mark.parametrize("m", [1, 5, 24, 25, 60])
def test_gallery_holds_every_class_largest_first_with_its_own_number(m):
    data = make_averages(m=m, curves=False, growth=None)
    page = Reader(build_average_page(FACTS, data))
    assert page.count("div", class_="card") == m
    members = data.classes.members
    wanted = sorted(data.classes.images, key=lambda c: (-members[c], c))
    assert page.classes == wanted
    for number in wanted:
        assert f"{members[number]:,}" in page.text


def test_kinds_are_told_class_by_class():
    data = make_averages(curves={1: make_curve(shared=16), 3: make_curve(), 5: make_curve(shared=16)})
    text = Reader(build_average_page(FACTS, data)).text
    assert text.count("shared reference: no resolution") == 2
    assert "18.3 Å (independent halves)" in text
    assert "2 classes share all rings and have no resolution" in text


def test_variance_maps_stand_beside_averages_with_their_unit():
    page = Reader(build_average_page(FACTS, make_averages(m=2, variance=True, curves=False)))
    assert page.count("image") == 4
    assert "variance map, in noise variances" in page.text
    assert re.search(r"variance 1\.0 to 2\.0", page.text)


@pytest.mark.parametrize(("m", "variance"), [(200, False), (200, True), (1000, False)])
def test_pages_with_many_classes_stay_below_three_megabytes(m, variance):
    # White noise is what compresses worst.
    data = make_averages(m=m, box=128, variance=variance, curves=variance)
    text = build_average_page(FACTS, data)
    assert len(text.encode()) < 3e6
    page = Reader(text)
    shown = page.count("div", class_="card")
    assert shown == min(m, 400)
    assert ("averages.mrcs holds every average" in page.text) == (shown < m)
    assert "Every picture is 512 Å wide, its white bar 200 Å" in page.text


def test_a_report_of_thousands_of_classes_stays_small():
    sizes = np.random.default_rng(0).permutation(3000) + 1
    members = {2 * c + 1: int(n) for c, n in enumerate(sizes)}
    data = make_averages(m=3000, members=members, growth=None)
    text = build_average_page(FACTS, data)
    assert len(text.encode()) < 4e6
    assert len(draw_average_montage(FACTS, data)) < 1e7
    page = Reader(text)
    assert page.classes == sorted(members, key=members.get, reverse=True)[:400]
    assert "The 400 largest of 3,000 classes" in page.text


def test_pages_and_sheets_are_alike_every_time():
    data = make_averages(variance=True)
    page, sheet = build_average_page(FACTS, data), draw_average_montage(FACTS, data)
    assert page == build_average_page(FACTS, make_averages(variance=True))
    assert sheet == draw_average_montage(FACTS, make_averages(variance=True))
    assert sheet.startswith(b"\x89PNG")
    assert summary_sentence(FACTS, data) in Reader(page).text


def test_words_of_users_are_escaped():
    bad = '<script>alert("&")</script>'
    text = build_average_page(facts_that_say(bad), make_averages(kind=f"x{bad}"))
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 8


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"members": {1: 0, 3: 0, 5: 0}}, "no classes"),
        ({"score_mean": np.zeros(3)}, "score_mean"),
        ({"moved_angstrom": np.zeros((4, 3))}, "moved_angstrom"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(fields, name):
    with pytest.raises(ValueError, match=name):
        make_averages(**fields)
    with pytest.raises(ValueError, match="variance"):
        replace(make_averages(), variance=np.zeros((4, 8, 8)))
    with pytest.raises(ValueError, match="2 numbers of 4 classes"):
        replace(make_averages().classes, numbers=[1, 2])
