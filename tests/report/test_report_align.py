"""The page of `align`, read as a browser would."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from cryoalign.report.align_page import build_align_page, class_section, draw_align_montage, summary_sentence
from cryoalign.report.classes import HalfSets
from helpers.page_reader import Reader, sound_page
from helpers.quality_samples import (
    facts_that_say,
    make_bare_facts,
    make_curve,
    make_facts,
    make_growth,
    make_guard,
    make_null,
)

FACTS = make_facts()
CASES = {
    "three": {},
    "one": {"n": 1, "m": 1},
    "two particles": {"n": 2, "m": 4},
    "odd box": {"m": 2, "box": 33},
    "large box": {"m": 2, "box": 300, "n": 20},
    "no members": {"m": 5, "empty": (2, 5)},
    "many": {"n": 3000, "m": 30},
    "least": {"noise": (), "max_shift_angstrom": 0.0},
    "zeros": {"n": 9, "m": 1, "shift_angstrom": np.zeros((9, 2)), "psi_deg": np.zeros(9), "score": np.zeros(9)},
    "no errors": {"n": 9, "psi_error_deg": np.full(9, np.nan), "shift_error_angstrom": np.full(9, np.nan)},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(make_data, case):
    page, pictures = sound_page(build_align_page(make_bare_facts() if "noise" in case else FACTS, make_data(**case)))
    assert pictures >= 7
    assert page.aids


@pytest.mark.parametrize("m", [1, 3, 12, 24])
def test_gallery_shows_every_class_largest_first(make_data, m):
    data = make_data(n=800, m=m)
    page = Reader(class_section(data))
    assert page.count("div", class_="card") == m
    assert page.count("svg", class_="tiles") == m
    assert page.count("image") == 2 * m
    assert page.count("circle") == m  # the mask, on the reference
    numbers = [int(c) for c in re.findall(r"Class (\d+): [\d,]+ particle", page.text)]
    assert numbers == list(np.argsort(-data.class_counts, kind="stable") + 1)


def test_numbers_in_the_text_are_those_of_the_data(make_data):
    data = make_data(n=1501, m=3, flag=np.r_[np.ones(30, int), np.zeros(1471, int)], flag_meanings={1: "at the limit"})
    page = Reader(build_align_page(FACTS, data))
    text = page.text
    shift = np.median(np.linalg.norm(data.shift_angstrom, axis=1))
    assert f"1,501 particles aligned to 3 references: median score {np.median(data.score):.3f}" in text
    assert f"median shift {shift:.2f} Å" in text
    assert f"{shift / 4.0:.1f} pixels of 4 Å" in text
    assert f"{np.median(data.psi_error_deg):.2g}°" in text
    assert "; 1 warning." in text
    assert "2 particles were skipped" in text
    assert "of 1,503 read" in text
    for number in (1, 2, 3):
        members = np.count_nonzero(data.reference == number - 1)
        assert f"Class {number}: {members} particles" in text
        assert f"{100 * members / 1501:.1f} %" in text
        assert f"median score {np.median(data.score[data.reference == number - 1]):.3f}" in text
    at_limit = np.count_nonzero(np.linalg.norm(data.shift_angstrom, axis=1) >= 12.0 - 2.0)
    assert f"{at_limit:,} ({100 * at_limit / 1501:.1f} %) within half a pixel of the limit" in text
    assert "search limit, 12.0 Å" in text
    assert ["1", "at the limit", "30"] in page.rows
    assert ["0", "good", "1,471"] in page.rows
    assert ["search", "3.00", "75.0 %"] in page.rows
    assert ["skipped", "2"] in page.rows


def test_correlation_under_a_class_is_that_inside_the_mask(make_data):
    data = make_data(m=1, box=32)
    offset = np.arange(32) - 16
    inside = offset[:, None] ** 2 + offset**2 <= (0.4 * 32) ** 2
    expected = np.corrcoef(data.references[0][inside], data.classes.images[1][inside])[0, 1]
    assert f"correlation {expected:.3f}" in Reader(class_section(data)).text


def test_scale_bars_have_the_length_they_say(make_data):
    page = Reader(build_align_page(FACTS, make_data(box=50)))  # 200 A wide, drawn 200 wide: the bar is 50 A
    bars = [float(a["width"]) for tag, a in page.tags if tag == "rect" and a.get("height") == "4"]
    assert bars == [50.0] * len(bars)
    assert len(bars) == page.count("image") == 2 * 3 + 2 * 3
    assert page.text.count("50 Å") >= len(bars)


def test_pictures_are_not_flipped(make_data):
    from matplotlib.image import imread

    references = np.zeros((1, 32, 32), np.float32)
    references[0, :8, :16] = 1.0  # upper left
    page = Reader(class_section(make_data(m=1, references=references)))
    uri = next(a["href"] for tag, a in page.tags if tag == "image")
    drawn = imread(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert np.array_equal(drawn, references[0])


def test_classes_without_members_say_so(make_data):
    data = make_data(m=4, empty=(2,))
    text = Reader(build_align_page(FACTS, data)).text
    assert "Class 2: 0 particles" in text
    assert "no members" in text
    assert "4 references (1 without members)" in text


def test_resolution_and_its_absence(make_data):
    curves = {1: make_curve(resolution=12.34), 2: make_curve(shared=0, resolution=999.0)}
    text = Reader(class_section(make_data(m=2, curves=curves))).text
    assert "· 12.3 Å" in text
    assert "not resolved" in text
    assert "999" not in text


def test_words_of_users_are_escaped(make_data):
    bad = '<script>alert("&")</script>'
    text = build_align_page(facts_that_say(bad), make_data())
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 7


def test_display_filter_is_named(make_data):
    assert "half amplitude at 25.0 Å" in Reader(build_align_page(FACTS, make_data())).text


def test_clumped_angles_are_called_uneven(make_data):
    rng = np.random.default_rng(0)
    assert "Even within" in Reader(build_align_page(FACTS, make_data(n=900))).text
    text = Reader(build_align_page(FACTS, make_data(n=900, psi_deg=rng.normal(0, 20, 900), local_search_deg=30.0))).text
    assert "Not even" in text
    assert "only within 30.0° of the input angle" in text


def test_pages_and_sheets_are_alike_every_time(make_data):
    data = make_data()
    page = build_align_page(FACTS, data)
    assert page == build_align_page(FACTS, make_data())
    assert draw_align_montage(FACTS, data) == draw_align_montage(FACTS, make_data())
    assert draw_align_montage(FACTS, data).startswith(b"\x89PNG")
    assert summary_sentence(FACTS, data) in Reader(page).text


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"score": np.zeros(3)}, "score"),
        ({"psi_error_deg": np.zeros(3)}, "psi_error_deg"),
        ({"shift_angstrom": np.zeros(400)}, "shift_angstrom"),
        ({"reference": np.full(400, 3)}, "reference"),
        ({"reference": np.full(400, -1)}, "reference"),
        ({"references": np.zeros((4, 32, 32))}, "references"),
        ({"references": np.zeros((3, 8, 8))}, "references"),
        ({"example_names": ["only one"]}, "example_raw"),
        ({"flag": np.zeros(2)}, "flag"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(make_data, fields, name):
    with pytest.raises(ValueError, match=name):
        replace(make_data(), **fields)


def test_evidence_is_shown_where_there_is_any(make_data):
    bare = Reader(build_align_page(FACTS, make_data()))
    assert not {"guard", "null", "frc"} & {attributes.get("id") for _, attributes in bare.tags}
    curves = {1: make_curve(), 2: make_curve(shared=16), 3: make_curve(resolution=999.0, half=999.0)}
    data = make_data(
        curves=curves,
        halves=HalfSets(counts=(201, 199), rule="rlnRandomSubset", shared_resolution_angstrom=25.6),
        growth=make_growth(),
        guard=make_guard("no signal", 0.31),
        null_test=make_null(),
        quality={1: 0.8765},
    )
    page, _ = sound_page(build_align_page(FACTS, data))
    assert {"guard", "null", "frc"} <= {attributes.get("id") for _, attributes in page.tags}
    assert "z 0.3, share 0.87" in page.text
    assert "No signal" in page.text
    assert "18.3 Å (independent halves)" in page.text
    assert "shared reference: no resolution" in page.text
    assert "quality 0.876" in page.text or "quality 0.877" in page.text
    assert "Half 1 holds 201 and half 2 199" in page.text
    assert "by 0.66 from 128 to 0.87 from 2,048" in page.text


def test_a_curve_that_is_not_independent_is_no_resolution(make_data):
    data = make_data(m=1, curves={1: make_curve(shared=16, resolution=11.11)})
    assert not data.classes.resolved
    text = Reader(class_section(data)).text
    assert "11.1" not in text
    assert "no resolution" in text
    assert data.classes.resolution_words(1, short=True) == "shared ref."


def test_filtered_references_are_named(make_data):
    assert "Left: reference; right: average of its members" in Reader(class_section(make_data(m=1))).text
    data = make_data(m=1, references_filtered_to_angstrom=20.0, kind="plain mean")
    text = Reader(class_section(data)).text
    assert "Left: reference, low-passed to 20.0 Å as it was aligned to; right: plain mean of its members" in text


@pytest.mark.parametrize("m", [25, 200])
def test_many_classes_stay_on_one_page_largest_first(make_data, m):
    data = make_data(n=3000, m=m, box=64)
    text = build_align_page(FACTS, data) if m == 200 else class_section(data)
    assert len(text.encode()) < 3e6
    page = Reader(text)
    assert page.count("div", class_="card") == m + (len(data.example_names) if m == 200 else 0)
    assert page.classes == list(np.argsort(-data.class_counts, kind="stable") + 1)
    assert "Every picture is 256 Å wide, its white bar 100 Å" in page.text
