"""The page of `classavg`, read as a browser would, and the sphere of views."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cryoalign.averaging.frc import ClassFrc
from cryoalign.classification.classification import SignalTest
from cryoalign.core.poses import Poses
from cryoalign.report.classavg_page import build_classavg_page, draw_view_montage, summary_sentence
from cryoalign.report.views_evidence import junk_limit
from cryoalign.report.views_sphere import (
    even_share,
    evenness,
    half_sphere_chart,
    half_spheres,
    project,
    unit_directions,
)
from helpers.classavg_samples import make_classavg, make_directions
from helpers.page_reader import Reader, chart_words, sound_page
from helpers.quality_samples import facts_that_say, make_bare_facts, make_curve, make_facts

FACTS = make_facts(counts={"read": 603})
CASES = {
    "some": {},
    "one view": {"m": 1, "partition": 1},
    "many views": {"m": 45, "n": 2000, "curves": False},
    "odd box": {"box": 33, "curves": False},
    "large box": {"m": 2, "box": 300, "partition": 2, "curves": False},
    "few particles": {"n": 30, "m": 2, "k": 3, "curves": False},
    "no signal": {"signal": SignalTest(0.52, 0.0052, False), "curves": False},
    "z unknown": {"signal": SignalTest(float("nan"), float("nan"), False), "curves": False},
    "no mirrors, no viewing angles": {"mirrors": False, "viewing_angle_deg": None, "spread_deg": np.zeros(3)},
    "not finite": {
        "curves": False,
        "classification": {
            "embedding": np.full((600, 3), np.nan),
            "quality": np.full(600, np.nan),
            "centre_px": np.full((600, 2), np.nan),
        },
        "quality": {1: float("nan")},
    },
    "least": {"curves": False, "classification": {"shift_sd_px": 0.0}},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, pictures = sound_page(build_classavg_page(FACTS if case else make_bare_facts(), make_classavg(**case)))
    assert pictures >= 1
    assert page.aids


def test_numbers_in_the_text_are_those_of_the_data():
    data = make_classavg(n=600, m=3, k=20)
    page = Reader(build_classavg_page(FACTS, data))
    for words in (
        "600 particles, 3 views of 20 images each (mfvdm, 2 rounds): signal (z = 51.7, share 0.22), median resolution "
        "19.0 Å from independent halves; 1 warning.",
        "of 603 read",
        "Best resolution18.0 Å",
        "Shift5.2 Å",
        "Mirrored" + f"{100 * np.mean(data.poses.mirror):.1f} %",
        "quality 0.890",
        "Half 1 holds 60 and half 2 66 memberships, parted by turns, nearest first.",
        "FRC of all 3 views",
        "View 2: 20 particles",
    ):
        assert words in page.text
    assert ["search", "3.00", "75.0 %"] in page.rows
    assert f"spread {data.spread_deg[1]:.1f}°" in page.text
    assert "--shift-sd" in page.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"curves": False}, "no halves, so no resolution"),
        ({"curves": {1: make_curve(shared=16)}}, "no resolution, as the halves share their references"),
        ({"curves": {1: make_curve(shared=0, resolution=999.0, half=999.0)}}, "no independent resolution of 1 view;"),
        (
            {"curves": {1: make_curve(shared=0, resolution=12.0), 2: make_curve(shared=0, resolution=999.0)}},
            "median resolution 12.0 Å from independent halves, 1 of 2 views resolved",
        ),
        ({"view_members": {1: 5, 2: 9, 3: 7}}, "3 views of 5 to 9 images"),
        ({"m": 1, "k": 1}, "1 view of 1 image ("),
    ],
)
def test_the_summary_never_flatters(fields, words):
    assert words in summary_sentence(FACTS, make_classavg(**fields))


def test_no_signal_is_said_before_all_else_and_a_signal_raises_no_alarm():
    text = build_classavg_page(FACTS, make_classavg(signal=False, curves=False))
    page = Reader(text)
    assert page.count("div", class_="alarm", role="alert") == 1
    assert text.index('role="alert"') < text.index('class="lead"') < text.index("<nav>")
    assert "No consistent signal found" in page.strong
    assert "(z = −0.4, share −0.013; wanted 5 and 0.03.)" in page.text
    assert "no consistent signal (z = −0.4" in page.text
    good = Reader(build_classavg_page(FACTS, make_classavg(curves=False)))
    assert good.count("div", role="alert") == 0
    assert good.count("p", class_="fine verdict") == 1
    assert "The share is low" in good.text
    strong = make_classavg(signal=SignalTest(165.0, 0.87, True), curves=False)
    assert "The share is low" not in Reader(build_classavg_page(FACTS, strong)).text


def test_what_the_halves_of_views_share_is_said():
    text = Reader(build_classavg_page(FACTS, make_classavg(curves={1: make_curve(shared=8)}))).text
    # Ring 8 of a box of 32 pixels of 4 A.
    assert "Down to 16.0 Å both halves hold members that were chosen and aligned by the same detail" in text
    text = Reader(build_classavg_page(FACTS, make_classavg(curves={1: make_curve(shared=16)}))).text
    assert "Both halves hold members that were chosen and aligned by the same detail (frc_common_reference)" in text
    assert "nothing here is a resolution" in text


def test_unresolved_views_say_how_far_halves_agree_at_best():
    ring = np.arange(17)
    falling = np.where(ring <= 5, 0.9, 0.0)
    noise = np.full(17, 0.1)

    def curve(shared, frc=falling):
        return ClassFrc(frc, noise, ring * 1.0, shared, 999.0, 999.0)

    # Pooled over three rings the last one before the fall is 6, of a box of 128 A.
    assert curve(12).bound_angstrom(128.0) == pytest.approx(128 / 6)
    assert curve(5).bound_angstrom(128.0) is None  # falls where halves are independent: that is a resolution
    assert curve(12, np.ones(17)).bound_angstrom(128.0) is None
    data = make_classavg(curves={number: curve(12) for number in (1, 2, 3)})
    assert "no independent resolution of 3 views, at best 21.3 Å (median)" in summary_sentence(FACTS, data)
    text = Reader(build_classavg_page(FACTS, data)).text
    assert text.count("no finer than 21.3 Å") == 3
    assert "the resolution may be worse" in text
    many = make_classavg(m=30, curves={number: curve(12) for number in range(1, 31)})
    assert Reader(build_classavg_page(FACTS, many)).text.count("20 · > 21.3 Å") == 30


def test_views_stand_as_given_and_classes_by_size():
    members = {1: 5, 2: 50, 3: 20, 4: 8}
    data = make_classavg(m=7, class_members=members, curves=False)
    page = Reader(build_classavg_page(FACTS, data))
    views = [int(found[1]) for words in page.strong if (found := re.match(r"View (\d+)", words))]
    assert views == [1, 2, 3, 4, 5, 6, 7]
    assert page.classes == [2, 3, 4, 1]
    assert "Largest class first" in page.text and "Best view first" in page.text
    # A share of all particles means nothing where memberships overlap.
    view_cards = page.text[page.text.index("View 1: 20") : page.text.index("Best view first")]
    assert "%" not in view_cards
    assert "60.2 %" in page.text  # 50 of 83


def test_a_thousand_views_make_a_page_and_a_sheet_of_bounded_size():
    image = np.random.default_rng(0).standard_normal((48, 48)).astype(np.float32)
    numbers = range(1, 1001)
    data = make_classavg(n=1000, m=1000, box=48, k=50, views=dict.fromkeys(numbers, image),
                         view_members=dict.fromkeys(numbers, 51),
                         curves=dict.fromkeys(numbers, make_curve(48, shared=0)))  # fmt: skip
    text = build_classavg_page(FACTS, data)
    assert len(text.encode()) < 4e6
    assert len(draw_view_montage(FACTS, data)) < 1e7
    page = Reader(text)
    assert page.count("div", class_="card") == 400 + 4
    assert "The 400 best of 1,000 views, best first; averages.mrcs holds every average" in page.text
    assert "The 6 best of 1,000 views; frc.star holds all." in page.text


def test_pages_and_sheets_are_alike_every_time():
    page, sheet = build_classavg_page(FACTS, make_classavg(n=900)), draw_view_montage(FACTS, make_classavg(n=900))
    assert page == build_classavg_page(FACTS, make_classavg(n=900))
    assert sheet == draw_view_montage(FACTS, make_classavg(n=900))
    assert sheet.startswith(b"\x89PNG")


def test_words_of_users_are_escaped():
    bad = '<script>alert("&")</script>'
    data = make_classavg(kind=f"x{bad}", distance_unit=bad, algorithm=bad)
    text = build_classavg_page(facts_that_say(bad), data)
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 8


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"view_members": {1: 0, 2: 0, 3: 0}}, "no views"),
        ({"seeds": np.zeros(5, int)}, "seeds"),
        ({"spread_deg": np.zeros(4)}, "spread_deg"),
        ({"distance": np.zeros(2)}, "distance"),
        ({"view": np.zeros(2, int)}, "view"),
        ({"poses": Poses(*np.zeros((3, 2)))}, "view"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(fields, name):
    with pytest.raises(ValueError, match=name):
        make_classavg(**{"spread_deg": np.zeros(3)} | fields)


def test_projection_keeps_areas():
    # A cap of half-angle t covers the share 1 - cos t of a half sphere, and has to cover it of the disc.
    angle = np.deg2rad([0, 20, 45, 60, 90])
    rim = project(np.stack([np.sin(angle), np.zeros(5), np.cos(angle)], axis=1))
    assert rim[:, 0] ** 2 == pytest.approx(1 - np.cos(angle))
    assert np.all(rim[:, 1] == 0)


def test_even_directions_give_density_1_also_at_the_rim():
    index = np.arange(20_000) + 0.5  # Fibonacci's sphere
    z, turn = 1 - 2 * index / 20_000, np.pi * (1 + 5**0.5) * index
    even = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)
    halves = half_spheres(3 * even, {})
    assert sum(len(half.points) for half in halves) == 20_000
    for half in halves:
        inside = np.isfinite(half.density)
        assert np.mean(inside) == pytest.approx(np.pi / 4, abs=0.03)
        assert np.all(np.abs(half.density[inside] - 1) < 0.15)
    fuller, empty = evenness(halves)
    assert fuller == pytest.approx(0.5, abs=0.02)
    assert empty == 0
    fuller, empty = evenness(half_spheres(np.abs(even), {}))  # an eighth of the sphere holds all
    assert fuller > 0.98
    assert empty > 0.75


@pytest.mark.parametrize("particles", [100, 300, 1000, 5000, 50_000])
def test_what_chance_makes_of_even_views(particles):
    rng = np.random.default_rng(particles)
    draws = 8 if particles < 1000 else 2
    found = [evenness(half_spheres(rng.normal(size=(particles, 3)), {}))[0] for _ in range(draws)]
    assert even_share(particles) == pytest.approx(np.mean(found), abs=0.02)


def test_the_far_half_is_seen_from_its_own_side():
    points = np.array([[0.6, 0.0, 0.8], [0.6, 0.0, -0.8], [0.0, 0.6, -0.8], [0.0, 0.0, 0.0]])
    near, far = half_spheres(points, {1: 0, 2: 1, 3: 2, 4: 3})
    scale = 1 / np.sqrt(1.8)
    assert near.views == {1: pytest.approx((0.6 * scale, 0.0))}
    assert far.views == {2: pytest.approx((-0.6 * scale, 0.0)), 3: pytest.approx((0.0, 0.6 * scale))}
    assert np.isnan(unit_directions(points)[3]).all()


def test_few_views_are_numbered_and_many_are_not():
    halves = half_spheres(make_directions(600), {number: number for number in range(1, 31)})
    numbers = sum(
        chart_words(half_sphere_chart(half, highest=2.0, views=30)).split(" | ").count(str(number))
        for half in halves
        for number in half.views
    )
    assert numbers == 30
    words = chart_words(half_sphere_chart(halves[0], highest=2.0, views=200))
    assert "density of particles (1 = if even)" in words
    assert not {str(number) for number in halves[0].views} & set(words.split(" | "))
    assert "density" not in chart_words(half_sphere_chart(halves[0], highest=0.0, views=0))


def test_junk_is_what_lies_below_the_hump():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.6, 0.05, 5000), rng.normal(0.1, 0.05, 500)])
    assert junk_limit(scores) == pytest.approx(0.45, abs=0.03)
    data = make_classavg(n=5500, classification={"quality": scores}, curves=False)
    text = Reader(build_classavg_page(FACTS, data)).text
    low = int(np.count_nonzero(scores < junk_limit(scores)))
    assert 490 <= low <= 520
    assert f"{low:,} particles ({100 * low / 5500:.1f} %) lie more than 3 standard deviations below" in text
    even = make_classavg(classification={"quality": np.ones(600)}, curves=False)
    assert "No particles lie more" in Reader(build_classavg_page(FACTS, even)).text
