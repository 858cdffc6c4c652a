"""The section on halves: what counts as a resolution, what does not, and that numbers are those given."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from cryoalign.averaging.frc import ClassFrc
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.classes import HalfSets
from cryoalign.report.figures import BLUE, MUTED
from cryoalign.report.frc_charts import frc_chart, frc_summary, resolution_by_size, ring_frequencies, ssnr_chart
from cryoalign.report.frc_section import (
    frc_section,
    growth_chart,
    growth_picture,
    ratio_of_one_image,
    resolution_words,
)
from helpers.page_reader import Reader, chart_svg, chart_words
from helpers.quality_samples import make_classes, make_curve, make_growth, with_curves

WIDTH_ANGSTROM = 32 * 4.0
SHARED = "shared reference: no evidence"


def section_words(html: str) -> str:
    return Reader(html).text


def test_a_chart_names_axes_units_thresholds_and_resolutions():
    words = chart_words(frc_chart(make_curve(), WIDTH_ANGSTROM))
    for text in ("spatial frequency (1/Å)", "resolution (Å)", "FRC (no unit)", "0.143", "0.5", "noise alone, 3 sigma"):
        assert text in words
    assert "0.143: 18.3 Å" in words
    assert "0.5: 24.6 Å" in words
    assert "independent halves" in words
    assert SHARED in words
    assert "not a resolution" not in words


def test_nothing_independent_is_no_resolution_whatever_was_written():
    curve = make_curve(shared=16, resolution=10.0, half=12.0)
    assert not curve.independent
    assert curve.kind == "frc_common_reference"
    words = chart_words(frc_chart(curve, WIDTH_ANGSTROM))
    assert "not a resolution" in words
    assert "independent halves" not in words
    assert "10.0 Å" not in words
    text = section_words(frc_section(with_curves({1: curve, 2: curve}, {1: 5, 2: 9})))
    assert "nothing here is a resolution" in text
    assert "frc_common_reference" in text
    assert "10.0 Å" not in text
    assert "Blue" not in text
    assert "not a resolution" in chart_words(frc_summary([curve, curve], WIDTH_ANGSTROM))


def test_without_shared_rings_no_legend_speaks_of_them():
    words = chart_words(frc_chart(make_curve(shared=0), WIDTH_ANGSTROM))
    assert SHARED not in words
    assert "independent halves" in words
    text = section_words(frc_section(with_curves({1: make_curve(shared=0)})))
    assert "independent on every ring" in text
    assert "grey" not in text


def test_rings_are_parted_at_the_shared_ring():
    drawn = drawn_lines(make_curve(box=32, shared=5))
    assert drawn == {SHARED: list(range(1, 7)), "independent halves": list(range(6, 17))}
    assert "independent halves" not in drawn_lines(make_curve(box=32, shared=16))
    assert SHARED not in drawn_lines(make_curve(box=33, shared=0))


def drawn_lines(curve: ClassFrc) -> dict[str, list[int]]:
    """Return the rings of each curve, from where its points lie between the ends of the axis."""
    svg = chart_svg(frc_chart(curve, WIDTH_ANGSTROM))
    lines = {}
    for line in svg.iter("{http://www.w3.org/2000/svg}polyline"):
        points = np.array([[float(v) for v in point.split(",")] for point in line.get("points").split()])
        if line.get("stroke") in (BLUE, MUTED):
            # Axes reach from 50 to 303 pixels, and from 232 up to 50 for an FRC of -0.3 to 1.3.
            rings = (points[:, 0] - 50) / 253 * 16
            assert np.allclose(rings, np.rint(rings), atol=1e-3)
            found = (232 - points[:, 1]) / 182 * 1.6 - 0.3
            assert np.allclose(found, curve.frc[np.rint(rings).astype(int)], atol=1e-3)
            lines[SHARED if line.get("stroke-dasharray") else "independent halves"] = np.rint(rings).tolist()
    return lines


def test_charts_that_share_their_frame_have_their_own_curves():
    first, second = make_curve(shared=5), make_curve(shared=5, resolution=20.0)
    assert frc_chart(first, WIDTH_ANGSTROM) != frc_chart(second, WIDTH_ANGSTROM)
    assert "0.143: 20.0 Å" in chart_words(frc_chart(second, WIDTH_ANGSTROM))
    assert frc_chart(first, WIDTH_ANGSTROM) == frc_chart(first, WIDTH_ANGSTROM)


@pytest.mark.parametrize("box", [32, 33])
def test_frequencies_of_rings_are_cycles_per_angstrom(box):
    frequency = ring_frequencies(box // 2 + 1, box * 1.5)
    assert frequency[0] == 0
    assert np.isclose(1 / frequency[7], box * 1.5 / 7)


def test_the_words_are_the_numbers_given():
    curves = {4: make_curve(), 7: make_curve(resolution=999.0, half=999.0), 9: make_curve(resolution=16.0, half=999.0)}
    members = {4: 1200, 7: 30, 9: 800}
    halves = HalfSets(counts=(1020, 1010), rule="rlnRandomSubset", shared_resolution_angstrom=25.6)
    text = section_words(frc_section(with_curves(curves, members, halves=halves)))
    assert "Half 1 holds 1,020 and half 2 1,010 particles, parted by rlnRandomSubset" in text
    assert "Down to 25.6 Å" in text
    assert "Class 4: 1,200 particles" in text
    assert "18.3 Å at 0.143, 24.6 Å at 0.5" in text
    assert "16.0 Å at 0.143, not resolved at 0.5" in text
    assert "2 of 3 classes resolved at 0.143: median 17.2 Å, best 16.0 Å, worst 18.3 Å" in text
    assert "1 of 3 classes not resolved (33.3 %)" in text
    assert "pooled over 3 rings" in text
    assert "999" not in text
    assert resolution_words(curves[7]) == "not resolved"
    assert text.index("Class 4") < text.index("Class 9") < text.index("Class 7")


def test_only_the_largest_get_charts_of_their_own():
    curves = {c: make_curve(seed=c) for c in range(1, 41)}
    members = {c: 10 * c for c in curves}
    html = frc_section(with_curves(curves, members))
    text = section_words(html)
    assert "The 6 largest of 40 classes" in text
    assert [int(v) for v in re.findall(r"Class (\d+): ", text)] == [40, 39, 38, 37, 36, 35]
    assert "FRC of all 40 classes" in text
    assert Reader(html).count("img") == 6 + 3


def test_summary_and_size_charts_say_what_they_show():
    curves = [make_curve(seed=s) for s in range(9)]
    words = chart_words(frc_summary(curves, WIDTH_ANGSTROM))
    assert "line: median; band: 80 % of classes" in words
    assert "resolution (Å)" in words
    words = chart_words(resolution_by_size([10, 200, 3000], [30.0, 20.0, 999.0]))
    assert "images in the class" in words
    assert "resolution (Å), smaller is finer" in words
    assert "not resolved" in words
    assert "not resolved" not in chart_words(resolution_by_size([10], [30.0]))


def test_ssnr_is_logarithmic_and_stands_what_is_not_positive():
    bad = make_curve()
    ssnr = np.array(bad.ssnr)
    ssnr[[3, 8]] = np.inf, np.nan
    ssnr[9:] = 0
    curve = replace(bad, ssnr=ssnr)
    words = chart_words(ssnr_chart({12: curve, 3: make_curve()}, WIDTH_ANGSTROM))
    assert "SSNR (power ratio, no unit)" in words
    assert "spatial frequency (1/Å)" in words
    assert "class 12" in words
    assert "| 0.1 |" in words
    assert "| 1 |" in words
    assert "| 10 |" in words


@pytest.mark.parametrize("box", [4, 31, 300])
def test_any_box_can_be_drawn(box):
    for shared in (0, 1, box // 2):
        curve = make_curve(box, shared=shared, resolution=2 * 4.0)
        assert "spatial frequency (1/Å)" in chart_words(frc_chart(curve, 4.0 * box))
        assert chart_words(frc_summary([curve] * 2, 4.0 * box))
        assert chart_words(ssnr_chart({1: curve}, 4.0 * box))


def test_the_sqrt_line_and_its_points():
    growth = make_growth()
    assert np.isclose(ratio_of_one_image(growth), 0.21)
    assert ratio_of_one_image(make_growth(amplitude_snr_one=0.5)) == 0.5
    words = chart_words(growth_chart(growth))
    assert "images in the average, n" in words
    assert "amplitude signal-to-noise (no unit)" in words
    assert "sqrt(n) line" in words
    text = section_words(growth_picture(make_growth(band_angstrom=(60.0, 14.0))))
    assert "gives one image 0.21; 256 images reached 3.36; the points grow as n to the power 0.50" in text
    assert "Class 2" in text
    assert "Band: 60.0 to 14.0 Å" in text


def test_points_that_logarithms_cannot_show_are_counted():
    growth = GrowthCurve(counts=[1, 10, 100, 1000], amplitude_snr=[np.nan, 0.0, 2.0, 6.3])
    text = section_words(growth_picture(growth))
    assert "2 points without a positive value left out" in text
    assert "Each point is a class" in text
    assert growth_picture(GrowthCurve(counts=[1, 2], amplitude_snr=[0.0, np.nan])) == ""
    assert growth_picture(None) == ""


def test_no_curves_no_section_but_growth_stays():
    bare = make_classes({1: np.zeros((32, 32))}, {1: 5})
    assert frc_section(bare) == ""
    assert "sqrt(n)" in chart_words(Reader(frc_section(bare, make_growth())).addresses[0])


def test_points_of_growth_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="amplitude_snr"):
        GrowthCurve(counts=[1, 2], amplitude_snr=[1.0])
