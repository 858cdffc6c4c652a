"""The page of `compare`, read as a browser would."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.report.compare_charts import disc, overlay, registration_figure, standardised
from cryoalign.report.compare_data import CompareReportData, FoundPose, MetricSummary, PairDrawing, Registration
from cryoalign.report.compare_page import build_compare_page, summary_sentence
from cryoalign.report.compare_pair import finding
from helpers.page_reader import chart_words, sound_page
from helpers.quality_samples import make_facts

FACTS = make_facts()
BOX = 40


def image(seed: int = 0) -> np.ndarray:
    """Return an image with a blob off its centre."""
    y, x = np.mgrid[:BOX, :BOX]
    blob = np.exp(-((x - 24) ** 2 + (y - 18) ** 2) / 30.0)
    return (blob + 0.05 * np.random.default_rng(seed).standard_normal((BOX, BOX))).astype(np.float32)


def pose(psi: float = 31.25, mirror: bool = False) -> Poses:
    """Return one pose."""
    return Poses(psi, 1.5, -2.25, mirror)


def registration(metric: str, **changes) -> Registration:
    """Return what a measure says of a pair."""
    psi = np.arange(-180.0, 181.0, 4.0)
    fields = {
        "metric": metric, "value": 0.75, "margin": 0.1, "pose": pose(), "correlation": 0.875, "agreeing": 2,
        "aligned": image(1), "curve_psi_deg": psi, "curve": np.cos(np.deg2rad(psi - 31.25)),
    }  # fmt: skip
    return Registration(**fields | changes)


def found_pose(*metrics: str, psi: float = 31.25) -> FoundPose:
    """Return a registration that some measures found."""
    return FoundPose(metrics=metrics, pose=pose(psi))


def summary(metric: str, **changes) -> MetricSummary:
    """Return a measure over all pairs."""
    facts = {"name": metric, "words": f"words on {metric}", "lower_is_better": metric == "sw", "warning": "loses here"}
    fields = {"measure": SimpleNamespace(**facts), "median_value": 0.75, "median_correlation": 0.5, "with_most": 1}
    return MetricSummary(**fields | changes)


def make_compare(metrics=("ncc", "sw"), drawn: int = 1, **changes) -> CompareReportData:
    """Return a report's data."""
    pair = PairDrawing(
        name_a="000001@a.mrcs", name_b="000002@b.mrcs", a=image(), b=image(2),
        registrations=[registration(name) for name in metrics], poses=[found_pose(*metrics)],
        values=np.full((len(metrics), 1), 0.75),
    )  # fmt: skip
    fields = {
        "paired": "one image with another", "pairs": 1, "all_agree": 1, "summaries": [summary(m) for m in metrics],
        "drawings": [pair] * drawn, "mask_radius_px": 16.0, "pixel_size_angstrom": 2.0,
    }  # fmt: skip
    return CompareReportData(**fields | changes)


def drawing(**changes) -> PairDrawing:
    """Return a pair under one measure."""
    poses = [found_pose("ncc")] if changes.get("agreeing", 1) else []
    return PairDrawing(
        name_a="a", name_b="b", a=image(), b=image(2), registrations=[registration("ncc", **changes)], poses=poses,
        values=np.full((1, len(poses)), 0.75),
    )  # fmt: skip


CASES = {
    "all": {"drawn": 3, "pairs": 9},
    "one measure": {"metrics": ("ncc",)},
    "nothing drawn": {"drawn": 0},
    "nothing agrees": {"all_agree": 0, "summaries": [summary(m, with_most=0) for m in ("ncc", "sw")]},
    "nothing found": {
        "metrics": ("ncc",),
        "drawings": [drawing(agreeing=0, pose=pose(0.0), margin=0.0, curve=np.full(91, -0.25))],
    },
    "flat": {"metrics": ("ncc",), "drawings": [drawing(aligned=np.zeros((BOX, BOX)), value=0.0, correlation=0.0)]},
    "mirrored, magnified, tiny": {
        "metrics": ("ncc",),
        "drawings": [drawing(pose=pose(mirror=True), scale=1.1, value=1.2e-9)],
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_says_what_to_look_for(case):
    data = make_compare(**case)
    page, pictures = sound_page(build_compare_page(FACTS, data))
    registrations = sum(len(d.registrations) for d in data.drawings)
    assert pictures == registrations + 2 * len(data.drawings)
    assert len(page.aids) == len(data.drawings)
    assert all(summary.metric in page.text for summary in data.summaries)


def test_table_says_the_pose():
    page, _ = sound_page(build_compare_page(FACTS, make_compare()))
    rows = [row for row in page.rows if row[:1] == ["sw"] and "31.25" in row]
    assert rows == [["sw", "0.750", "0.100", "31.25", "1.50", "-2.25", "no", "1.0000", "0.875", "2 of 2"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "all find the same registration."),
        ({"all_agree": 0}, "these find the same registration: ncc, sw."),
        ({"all_agree": 0, "summaries": [summary("ncc", with_most=0), summary("sw", with_most=0)]}, "no two find"),
        ({"pairs": 4}, "all agree on 25.0 % of the pairs; most often with the most: ncc, sw."),
        ({"pairs": 4, "all_agree": 4}, "all find the same registration of every pair."),
        ({"metrics": ("ncc",)}, "median 0.750 (ncc)."),
    ],
)
def test_summary(changes, words):
    assert words in summary_sentence(make_compare(**changes))


def test_opposite_contrast_is_said():
    data = make_compare(summaries=[summary("ncc"), summary("sw", median_correlation=-0.8)])
    assert "contrasts are opposite" in build_compare_page(FACTS, data)
    assert "At the poses of sw the images are alike with opposite contrast." in summary_sentence(data)


@pytest.mark.parametrize(
    ("at_first", "words"),
    [
        (0.5, "the measure itself prefers this one"),
        (0.76, "It can hardly tell pose 1 from it"),
        (0.9, "its search missed it"),
    ],
)
def test_why_a_measure_stands_apart(at_first, words):
    names = ("ncc", "euclidean", "correntropy")
    pair = PairDrawing(
        name_a="a", name_b="b", a=image(), b=image(2),
        registrations=[*map(registration, names[:2]), registration("correntropy", agreeing=1, pose=pose(-80.0))],
        poses=[found_pose(*names[:2]), found_pose("correntropy", psi=-80.0)],
        values=np.array([[0.9, 0.2], [0.9, 0.2], [at_first, 0.75]]),
    )  # fmt: skip
    assert words in finding(pair, 2, lower_is_better=False) and "pose 1" not in finding(pair, 0, lower_is_better=False)
    page, _ = sound_page(build_compare_page(FACTS, make_compare(metrics=names, drawings=[pair])))
    best = ["0.500", "0.750 ● ◂"] if at_first == 0.5 else [f"{at_first:.3f} ●", "0.750 ◂"]
    assert ["correntropy", *best] in page.rows and ["ncc", "0.900 ● ◂", "0.200"] in page.rows


def test_a_measure_that_found_none_is_asked_at_the_pose_of_the_other():
    pair = PairDrawing(
        name_a="a", name_b="b", a=image(), b=image(2), poses=[found_pose("sw")], values=np.array([[-0.9], [0.1]]),
        registrations=[registration("ncc", agreeing=0), registration("sw", agreeing=1)],
    )  # fmt: skip
    page, _ = sound_page(build_compare_page(FACTS, make_compare(drawings=[pair])))
    assert ["ncc", "-0.900 ●"] in page.rows and ["sw", "0.100 ● ◂"] in page.rows


def test_a_shift_at_its_limit_and_opposite_contrast_are_said_of_a_pair():
    words = finding(drawing(at_limit=True, correlation=-0.6), 0, lower_is_better=False)
    assert "at its limit" in words and "contrasts are opposite" in words


def test_overlay_of_an_image_with_itself_has_no_colour_and_of_others_has():
    one = standardised(image(), disc(BOX, 16))
    same, other = overlay(one, one), overlay(one, np.roll(one, -14, axis=1))
    assert np.abs(same - same.mean(axis=2, keepdims=True)).max() < 0.1
    assert np.abs(other - other.mean(axis=2, keepdims=True)).max() > 0.3


def test_images_are_standardised_inside_the_mask():
    inside = disc(BOX, 10)
    values = standardised(5 + 3 * image(), inside)[inside]
    assert values.mean() == pytest.approx(0, abs=1e-6) and values.std() == pytest.approx(1, abs=1e-6)
    assert inside[BOX // 2, BOX // 2] and inside.sum() == pytest.approx(np.pi * 100, rel=0.03)


def test_figure_names_what_it_shows():
    def draw(lower: bool) -> str:
        uri = registration_figure(image(), registration("ncc"), 16, lower_is_better=lower, value_label="ncc")
        return chart_words(uri)

    assert "higher is better" in draw(False) and "lower is better" in draw(True)
    assert "psi (degrees)" in draw(False) and "joint histogram" in draw(False)


def test_same_data_same_bytes():
    assert build_compare_page(FACTS, make_compare()) == build_compare_page(FACTS, make_compare())


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="registration for each measure"):
        make_compare(drawings=[drawing()])
    with pytest.raises(ValueError, match="curve"):
        registration("ncc", curve=np.zeros(3))
    with pytest.raises(ValueError, match="aligned"):
        drawing(aligned=np.zeros((8, 8)))
