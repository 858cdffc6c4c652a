"""The page of `classavg`, read as a browser would, and the sphere of views."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cryoalign.report.classavg import SignalSummary, write_classavg_report
from cryoalign.report.classavg_page import build_classavg_page, summary_sentence
from cryoalign.report.quality_data import FrcCurve
from cryoalign.report.views_evidence import junk_limit
from cryoalign.report.views_gallery import view_spread_deg
from cryoalign.report.views_sphere import evenness, half_sphere_chart, half_spheres, project, unit_directions
from helpers.classavg_samples import make_classavg, make_directions, make_members
from helpers.page_reader import Reader, chart_words, sound_page
from helpers.quality_samples import make_curve

NOTHING = {
    "signal": None, "members": None, "view_rows": {}, "view_quality": {}, "frc": {}, "halves": None, "classes": {},
    "class_members": {}, "embedding": None, "centre_angstrom": None, "shift_sd_angstrom": None, "quality": None,
    "parameters": {}, "counts": {}, "warnings": [], "timings_s": {}, "files": {}, "notes": [],
}  # fmt: skip
CASES = {
    "some": {},
    "one view": {"m": 1, "partition": 1},
    "many views": {"m": 45, "n": 2000, "curves": False},
    "odd box": {"box": 33, "curves": False},
    "large box": {"m": 2, "box": 300, "partition": 2, "curves": False},
    "few particles": {"n": 30, "m": 2, "k": 3, "curves": False},
    "no signal": {"signal": SignalSummary(z=0.52, share=0.0052, signal=False), "curves": False},
    "z unknown": {"signal": SignalSummary(z=float("nan"), share=float("nan"), signal=False), "curves": False},
    "no mirrors, no viewing angles": {"members": make_members(range(1, 4), mirror=None, viewing_angle_deg=None)},
    "folded": {"embedding_antipodal": True, "curves": False},
    "not finite": {
        "curves": False,
        "embedding": np.full((600, 3), np.nan),
        "quality": np.full(600, np.nan),
        "centre_angstrom": np.full((600, 2), np.nan),
        "view_quality": {1: float("nan")},
    },
    "least": NOTHING,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, pictures = sound_page(build_classavg_page(make_classavg(**case)))
    assert pictures >= 1
    assert page.aids


def test_numbers_in_the_text_are_those_of_the_data():
    data = make_classavg(n=600, m=3, k=20)
    page = Reader(build_classavg_page(data))
    for words in (
        "600 particles, 3 views of 20 images each (mfvdm, 2 rounds): signal (z = 51.7, share 0.22), median resolution "
        "19.0 Å from independent halves; 1 warning.",
        "of 603 read",
        "Best resolution18.0 Å",
        "Shift5.2 Å",
        "Mirrored" + f"{100 * np.mean(data.members.mirror):.1f} %",
        "quality 0.890",
        "Half 1 holds 60 and half 2 66 memberships, parted by turns, nearest first.",
        "FRC of all 3 views",
        "View 2: 20 particles",
    ):
        assert words in page.text
    assert ["search", "7.50", "75.0 %"] in page.rows
    spread = view_spread_deg(data)
    assert spread[2] ** 2 == pytest.approx(np.mean(data.members.viewing_angle_deg[20:40].astype(float) ** 2))
    assert f"spread {spread[2]:.1f}°" in page.text
    assert "--shift-sd" in page.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"curves": False}, "no halves, so no resolution"),
        ({"frc": {1: make_curve(shared=16)}}, "no resolution, as the halves share their references"),
        ({"frc": {1: make_curve(shared=0, resolution=999.0, half=999.0)}}, "no independent resolution of 1 view;"),
        (
            {"frc": {1: make_curve(shared=0, resolution=12.0), 2: make_curve(shared=0, resolution=999.0)}},
            "median resolution 12.0 Å from independent halves, 1 of 2 views resolved",
        ),
        ({"signal": None}, "signal not tested"),
        ({"view_members": {1: 5, 2: 9, 3: 7}}, "3 views of 5 to 9 images"),
        ({"m": 1, "k": 1}, "1 view of 1 image ("),
    ],
)
def test_the_summary_never_flatters(fields, words):
    assert words in summary_sentence(make_classavg(**fields))


def test_no_signal_is_said_before_all_else_and_a_signal_raises_no_alarm():
    text = build_classavg_page(make_classavg(signal=False, curves=False))
    page = Reader(text)
    assert page.count("div", class_="alarm", role="alert") == 1
    assert text.index('role="alert"') < text.index('class="lead"') < text.index("<nav>")
    assert "No consistent signal found" in page.strong
    assert "(z = −0.4, share −0.013; wanted 5 and 0.03.)" in page.text
    assert "no consistent signal (z = −0.4" in page.text
    good = Reader(build_classavg_page(make_classavg(curves=False)))
    assert good.count("div", role="alert") == 0
    assert good.count("p", class_="fine verdict") == 1
    assert "The share is low" in good.text
    strong = make_classavg(signal=SignalSummary(z=165.0, share=0.87, signal=True), curves=False)
    assert "The share is low" not in Reader(build_classavg_page(strong)).text


def test_what_the_halves_of_views_share_is_said():
    text = Reader(build_classavg_page(make_classavg(frc={1: make_curve(shared=8)}))).text
    # Ring 8 of a box of 32 pixels of 4 A.
    assert "Down to 16.0 Å both halves hold members that were chosen and aligned by the same detail" in text
    text = Reader(build_classavg_page(make_classavg(frc={1: make_curve(shared=16)}))).text
    assert "Both halves hold members that were chosen and aligned by the same detail (frc_common_reference)" in text
    assert "nothing here is a resolution" in text


def test_unresolved_views_say_how_far_halves_agree_at_best():
    ring = np.arange(17)
    falling = np.where(ring <= 6, 0.9, 0.0)
    noise = np.full(17, 0.1)

    def curve(shared):
        return FrcCurve(frc=falling, noise_curve=noise, ssnr=ring * 1.0, shared_ring=shared, smoothing_rings=1)

    # The last ring before the fall is 6 of a box of 128 A.
    assert curve(12).bound_angstrom(128.0) == pytest.approx(128 / 6)
    assert curve(5).bound_angstrom(128.0) is None  # falls where halves are independent: that is a resolution
    assert FrcCurve(frc=np.ones(17), noise_curve=noise, ssnr=noise, shared_ring=12).bound_angstrom(128.0) is None
    data = make_classavg(frc={number: curve(12) for number in (1, 2, 3)})
    assert "no independent resolution of 3 views, at best 21.3 Å (median)" in summary_sentence(data)
    text = Reader(build_classavg_page(data)).text
    assert text.count("no finer than 21.3 Å") == 3
    assert "the resolution may be worse" in text
    many = make_classavg(m=30, frc={number: curve(12) for number in range(1, 31)})
    assert Reader(build_classavg_page(many)).text.count("20 · > 21.3 Å") == 30


def test_views_stand_as_given_and_classes_by_size():
    members = {1: 5, 2: 50, 3: 20, 4: 8}
    data = make_classavg(m=7, class_members=members, curves=False)
    page = Reader(build_classavg_page(data))
    views = [int(found[1]) for words in page.strong if (found := re.match(r"View (\d+)", words))]
    assert views == [1, 2, 3, 4, 5, 6, 7]
    assert page.classes == [2, 3, 4, 1]
    assert "Largest class first" in page.text and "Best view first" in page.text
    # A share of all particles means nothing where memberships overlap.
    view_cards = page.text[page.text.index("View 1: 20") : page.text.index("Best view first")]
    assert "%" not in view_cards
    assert "60.2 %" in page.text  # 50 of 83


def test_a_thousand_views_make_a_page_and_a_sheet_of_bounded_size(tmp_path):
    image = np.random.default_rng(0).standard_normal((48, 48)).astype(np.float32)
    numbers = range(1, 1001)
    data = make_classavg(n=1000, views=dict.fromkeys(numbers, image), view_members=dict.fromkeys(numbers, 51),
                         view_rows={number: number - 1 for number in numbers}, members=make_members(numbers, 50),
                         frc=dict.fromkeys(numbers, make_curve(48, shared=0)), classes={}, class_members={},
                         view_quality={})  # fmt: skip
    write_classavg_report(tmp_path / "a.html", tmp_path / "a.png", data)
    assert (tmp_path / "a.html").stat().st_size < 4e6
    assert (tmp_path / "a.png").stat().st_size < 1e7
    page = Reader((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.count("div", class_="card") == 400
    assert "The 400 best of 1,000 views, best first; averages.mrcs holds every average" in page.text
    assert "The 6 best of 1,000 views; frc.star holds all." in page.text


def test_files_are_written_alike_every_time(tmp_path):
    for name in "ab":
        write_classavg_report(tmp_path / f"{name}.html", tmp_path / f"{name}.png", make_classavg(n=900))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_words_of_users_are_escaped():
    bad = '<script>alert("&")</script>'
    text = build_classavg_page(
        make_classavg(title=bad, command_line=bad, warnings=[bad], parameters={bad: bad}, files={bad: bad}, notes=[bad],
                      kind_of_average=f"x{bad}", distance_unit=bad, algorithm=bad)
    )  # fmt: skip
    assert "<script" not in text
    assert Reader(text).text.count(bad) >= 8


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"views": {}}, "no views"),
        ({"views": {1: np.zeros((8, 8)), 2: np.zeros((9, 9))}}, r"views\[2\]"),
        ({"view_members": {1: 5}}, "view_members .* 2"),
        ({"classes": {1: np.zeros((8, 8))}}, r"classes\[1\]"),
        ({"class_members": {}}, "class_members"),
        ({"frc": {1: make_curve(box=64)}}, r"frc\[1\]"),
        ({"embedding": np.zeros((5, 3))}, "embedding"),
        ({"centre_angstrom": np.zeros((600, 3))}, "centre_angstrom"),
        ({"quality": np.zeros(4)}, "quality"),
        ({"view_rows": {1: 600}}, r"view_rows\[1\]"),
        ({"pixel_size_angstrom": 0.0}, "pixel_size"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(fields, name):
    with pytest.raises(ValueError, match=name):
        make_classavg(**fields)
    with pytest.raises(ValueError, match="angle_deg"):
        make_members(range(3), angle_deg=np.zeros(2))


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
    for halves in (half_spheres(3 * even, {}), half_spheres(even, {}, antipodal=True)):
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


def test_the_far_half_is_seen_from_its_own_side_and_folding_takes_opposites():
    points = np.array([[0.6, 0.0, 0.8], [0.6, 0.0, -0.8], [0.0, 0.6, -0.8], [0.0, 0.0, 0.0]])
    near, far = half_spheres(points, {1: 0, 2: 1, 3: 2, 4: 3})
    scale = 1 / np.sqrt(1.8)
    assert near.views == {1: pytest.approx((0.6 * scale, 0.0))}
    assert far.views == {2: pytest.approx((-0.6 * scale, 0.0)), 3: pytest.approx((0.0, 0.6 * scale))}
    (folded,) = half_spheres(points, {1: 0, 2: 1, 3: 2, 4: 3}, antipodal=True)
    assert folded.views[2] == pytest.approx((-0.6 * scale, 0.0))
    assert folded.views[3] == pytest.approx((0.0, -0.6 * scale))
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
    text = Reader(build_classavg_page(make_classavg(n=5500, quality=scores, curves=False))).text
    low = int(np.count_nonzero(scores < junk_limit(scores)))
    assert 490 <= low <= 520
    assert f"{low:,} particles ({100 * low / 5500:.1f} %) lie more than 3 standard deviations below" in text
    assert (
        "No particles lie more" in Reader(build_classavg_page(make_classavg(quality=np.ones(600), curves=False))).text
    )
