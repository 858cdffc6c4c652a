"""The page of `average`, read as a browser would."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cryoalign.report.average import write_average_report
from cryoalign.report.average_page import build_average_page, summary_sentence
from helpers.page_reader import Reader, sound_page
from helpers.quality_samples import make_averages, make_curve, make_guard, make_null

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
        "guard": make_guard(),
        "null_test": make_null(),
        "scale": np.random.default_rng(0).normal(1, 0.3, 500),
        "recentre_angstrom": {1: (1.0, -2.0), 3: (0.5, 0.25), 5: (-7.0, 24.0)},
    },
    "not finite": {
        "scale": np.array([np.nan, np.inf, 1.0]),
        "quality": {1: float("nan"), 3: float("inf")},
        "averages": {1: np.full((32, 32), np.nan)},
        "guard": make_guard("cannot tell", float("nan")),
    },
    "least": {
        "parameters": {},
        "counts": {},
        "warnings": [],
        "timings_s": {},
        "files": {},
        "notes": [],
        "curves": False,
        "halves": None,
        "growth": None,
        "quality": {},
        "score_mean": {},
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, pictures = sound_page(build_average_page(make_averages(**case)))
    assert pictures >= 1
    assert page.aids


def test_numbers_in_the_text_are_those_of_the_data():
    curves = {
        1: make_curve(resolution=18.34),
        3: make_curve(resolution=999.0, half=999.0),
        5: make_curve(resolution=12.0),
    }
    data = make_averages(
        frc=curves,
        scale=np.linspace(0.5, 1.5, 101),
        recentre_angstrom={1: (3.0, -4.0), 3: (0.0, 0.04), 5: (0.1, 0.0)},
        score_mean={1: 0.3123},
        quality={1: 0.7777},
    )
    text = Reader(build_average_page(data)).text
    total = sum(data.members.values())
    assert f"{total:,} particles in 3 classes (Wiener-filtered average): median resolution 15.2 Å" in text
    assert "(2 of 3 classes resolved)" in text
    assert f"of {total + 3:,} read" in text
    assert "1 more without members" in text
    for number in (1, 3, 5):
        assert f"Class {number}: {data.members[number]:,} particles" in text
        assert f"{100 * data.members[number] / total:.1f} %" in text
    assert "18.3 Å (independent halves)" in text
    assert "not resolved" in text
    assert "quality 0.778" in text
    assert "mean score 0.312" in text
    assert "Median 1.00; 90 % between 0.55 and 1.45" in text.replace("0.550", "0.55")
    assert "largest 5.00 Å (class 1)" in text
    assert "Half 1 holds 512 and half 2 498 particles, parted by a hash of the image name" in text
    rows = Reader(build_average_page(data)).rows
    assert ["1", "3.0", "−4.0", "5.00", "1.25"] in rows
    assert ["average", "2.50", "100 %"] in rows


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"curves": False}, "no halves, so no resolution"),
        ({"shared": 16}, "no resolution, as the halves share their references"),
        ({"frc": {1: make_curve(resolution=999.0, half=999.0)}}, "none of 1 class resolved"),
        ({"m": 1}, "resolution 18.3 Å from independent halves"),
    ],
)
def test_the_summary_never_flatters(fields, words):
    assert words in summary_sentence(make_averages(**fields))


@pytest.mark.parametrize("m", [1, 5, 24, 25, 60])
def test_gallery_holds_every_class_largest_first_with_its_own_number(m):
    data = make_averages(m=m, curves=False, growth=None)
    page = Reader(build_average_page(data))
    assert page.count("div", class_="card") == m
    wanted = sorted(data.averages, key=lambda c: (-data.members[c], c))
    assert page.classes == wanted
    for number in wanted:
        assert f"{data.members[number]:,}" in page.text


def test_kinds_are_told_class_by_class():
    data = make_averages(frc={1: make_curve(shared=16), 3: make_curve(), 5: make_curve(shared=16)})
    text = Reader(build_average_page(data)).text
    assert text.count("shared reference: no resolution") == 2
    assert "18.3 Å (independent halves)" in text
    assert "2 classes share all rings and have no resolution" in text


def test_variance_maps_stand_beside_averages_with_their_unit():
    page = Reader(build_average_page(make_averages(m=2, variance=True, curves=False)))
    assert page.count("image") == 4
    assert "variance map, in noise variances" in page.text
    assert re.search(r"variance 1\.0 to 2\.0", page.text)
    partly = make_averages(m=2, variance={1: np.ones((32, 32))}, curves=False)
    assert "no variance map" in Reader(build_average_page(partly)).text


@pytest.mark.parametrize(("m", "variance"), [(200, False), (200, True), (1000, False)])
def test_pages_with_many_classes_stay_below_three_megabytes(m, variance):
    # White noise is what compresses worst.
    data = make_averages(m=m, box=128, variance=variance, curves=variance)
    text = build_average_page(data)
    assert len(text.encode()) < 3e6
    page = Reader(text)
    shown = page.count("div", class_="card")
    assert shown == min(m, 400)
    assert ("averages.mrcs holds every average" in page.text) == (shown < m)
    assert "Every picture is 512 Å wide, its white bar 200 Å" in page.text


def test_a_report_of_thousands_of_classes_stays_small(tmp_path):
    sizes = np.random.default_rng(0).permutation(3000) + 1
    members = {2 * c + 1: int(n) for c, n in enumerate(sizes)}
    data = make_averages(m=3000, members=members, growth=None)
    write_average_report(tmp_path / "a.html", tmp_path / "a.png", data)
    assert (tmp_path / "a.html").stat().st_size < 4e6
    assert (tmp_path / "a.png").stat().st_size < 1e7
    page = Reader((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.classes == sorted(members, key=members.get, reverse=True)[:400]
    assert "The 400 largest of 3,000 classes" in page.text


def test_files_are_written_alike_every_time(tmp_path):
    data = make_averages(variance=True)
    for name in "ab":
        write_average_report(tmp_path / f"{name}.html", tmp_path / f"{name}.png", data)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert summary_sentence(data) in Reader((tmp_path / "a.html").read_text(encoding="utf-8")).text


def test_words_of_users_are_escaped():
    bad = '<script>alert("&")</script>'
    data = make_averages(title=bad, command_line=bad, warnings=[bad], parameters={bad: bad}, files={bad: bad},
                         notes=[bad], kind_of_average=f"x{bad}")  # fmt: skip
    text = build_average_page(data)
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 8


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"averages": {}}, "no averages"),
        ({"averages": {1: np.zeros((8, 8)), 3: np.zeros((9, 9))}}, r"averages\[3\]"),
        ({"members": {1: 5}}, "class 3"),
        ({"variance": {1: np.zeros((8, 8))}}, r"variance\[1\]"),
        ({"frc": {1: make_curve(box=64)}}, r"frc\[1\]"),
        ({"scale": np.zeros((3, 2))}, "scale"),
        ({"pixel_size_angstrom": 0.0}, "pixel_size"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(fields, name):
    with pytest.raises(ValueError, match=name):
        make_averages(**fields)
