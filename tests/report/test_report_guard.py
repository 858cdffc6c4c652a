"""The guard and the null test in words and pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from cryoalign.report.figures import grey_levels
from cryoalign.report.guard_section import guard_section, z_chart
from cryoalign.report.null_test_section import einstein_chart, null_test_section
from cryoalign.report.quality_data import ClassGuard, NullTestSummary
from helpers.page_reader import Reader, chart_words
from helpers.quality_samples import make_guard, make_null


def test_numbers_and_bands_of_the_guard():
    page = Reader(guard_section(make_guard()))
    for text in (
        "23.8",
        "0.87",
        "1,234",
        "≥ 32 Å",
        "23–8.0 Å",
        "41.2 expected of real particles",
        "between 23.3 and 8.00 Å",
    ):
        assert text in page.text
    assert "z is at least 3.1" in page.text
    assert "against given references" in page.text
    assert "averages of the other half" in Reader(guard_section(make_guard(cross_fitted=True))).text
    assert "given references, contrast inverted" in Reader(guard_section(make_guard(inverted=True))).text
    more = Reader(guard_section(make_guard(share_error=0.04, intensity=0.9))).text
    assert "± 0.04; 0.90 = all particles real" in more


@pytest.mark.parametrize(
    ("verdict", "z", "words", "box"),
    [
        ("signal", 23.8, "Signal: aligned on coarse detail alone", "fine"),
        ("no signal", -0.42, "the particles show nothing of the reference (z = −0.4, wanted 3.1)", "warnings"),
        ("cannot tell", 1.2, "This is no evidence for the averages, nor against them.", "warnings"),
        ("cannot tell", float("nan"), "Cannot tell", "warnings"),
    ],
)
def test_the_verdict_is_said_in_words(verdict, z, words, box):
    page = Reader(guard_section(make_guard(verdict, z)))
    assert words in page.text
    assert page.count("p", class_=f"{box} verdict") == 1
    assert "nan" not in page.text


def test_classes_stand_worst_first_and_those_without_signal_before_the_rest():
    classes = [
        ClassGuard(number=1, z=8.0, share=0.9, n=100, verdict="signal"),
        ClassGuard(number=2, z=-1.0, share=0.1, n=40, verdict="cannot tell"),
        ClassGuard(number=3, z=2.04, share=0.5, n=60, verdict="no signal"),
        ClassGuard(number=4, z=float("nan"), share=float("nan"), n=0, verdict="cannot tell"),
    ]
    html = guard_section(make_guard(classes=classes))
    assert Reader(html).rows[1:] == [
        ["3", "60", "2.0", "0.50", "no signal"],
        ["4", "0", "none", "none", "cannot tell"],
        ["2", "40", "−1.0", "0.10", "cannot tell"],
        ["1", "100", "8.0", "0.90", "signal"],
    ]
    text = Reader(html).text
    assert "1 of 4 classes without signal, 2 undecided" in text
    assert "hold 50.0 % of the particles looked at" in text
    words = chart_words(z_chart(classes[:3], 3.1))
    assert "z = 3.1" in words
    assert "z (standard errors)" in words
    assert "class number" in words


def test_many_classes_are_cut_to_the_worst():
    page = Reader(guard_section(make_guard(count=200)))
    assert len(page.rows) == 21
    assert "Worst first, 20 of 200 classes" in page.text


def test_the_histogram_is_drawn_where_1_is_all_of_the_reference():
    page = Reader(guard_section(make_guard()))
    assert "Mean 0.87 with a standard error of" in page.text
    histogram = chart_words(page.addresses[0])
    assert "mean 0.87" in histogram
    assert "0: noise" in histogram
    assert "(1 = all of it, 0 = none)" in histogram
    # A share of the other sign has no such unit: products are drawn as they are.
    guard = make_guard("no signal", share=-0.1)
    page = Reader(guard_section(guard))
    assert f"Mean {np.mean(guard.u):.2g} with" in page.text
    assert "product with the reference (no unit" in chart_words(page.addresses[0])


def test_the_least_of_a_guard_has_words_but_no_pictures():
    page = Reader(guard_section(make_guard(classes=[], u=None, expected_z=None)))
    assert page.count("img") == 0
    assert "Signal" in page.text
    assert guard_section(None) == ""


def test_null_test_shows_reference_noise_and_particles_side_by_side():
    from matplotlib.image import imread

    null = make_null()
    page = Reader(null_test_section(null, 4.0, 100.0))
    shown = [imread(io.BytesIO(base64.b64decode(a.split(",")[1]))) * 255 for a in page.addresses if "image/png" in a]
    expected = [
        s[i] for i in (1, 0) for s in (null.references, null.noise_averages, null.real_averages)
    ]  # largest first
    assert len(shown) == len(expected)
    for drawn, image in zip(shown, expected, strict=True):
        assert np.array_equal(np.rint(drawn), grey_levels(image))
    assert "Class 2: 200 noise images" in page.text
    assert page.text.count("average of noise") >= 2
    assert page.text.count("50 Å") == 6


def test_null_test_states_correlations_inside_the_mask():
    null = make_null(k=1, box=32)
    offset = np.arange(32) - 16
    inside = offset[:, None] ** 2 + offset**2 <= (100.0 / 4.0 / 2) ** 2
    text = Reader(null_test_section(null, 4.0, 100.0)).text
    for name, stack in (("noise", null.noise_averages), ("particles", null.real_averages)):
        expected = np.corrcoef(null.references[0][inside], stack[0][inside])[0, 1]
        assert f"{name} and reference: " in text
        assert f"{expected:.3f}" in text


def test_einstein_curve_gives_the_numbers_and_leaves_out_what_is_unknown():
    null = make_null()
    text = Reader(null_test_section(null, 4.0, 100.0)).text
    assert "by 0.66 from 128 to 0.87 from 2,048 images" in text
    assert "Particles: 0.96 from 1,024." in text
    words = chart_words(einstein_chart(null))
    for label in ("128", "256", "512", "1,024", "2,048", "noise", "particles", "images in the average, N"):
        assert label in words
    assert "correlation with the reference (no unit)" in words
    alone = make_null(real_correlation=None)
    assert "particles" not in chart_words(einstein_chart(alone)).split(" | ")
    assert "Particles:" not in Reader(null_test_section(alone, 4.0, 100.0)).text


def test_null_test_without_curve_or_particles():
    null = make_null(counts=[], noise_correlation=[], real_correlation=None, real_averages=np.zeros((2, 32, 32)))
    page = Reader(null_test_section(null, 4.0, 100.0))
    assert page.count("img") == 0
    assert page.text.count("no particles") == 2
    assert null_test_section(None, 4.0, 100.0) == ""


def test_null_tests_that_do_not_belong_together_are_refused():
    images = np.zeros((2, 8, 8))
    good = {"class_numbers": [1, 2], "references": images, "noise_averages": images, "real_averages": images,
            "members": [3, 4]}  # fmt: skip
    NullTestSummary(**good)
    for field, value in (
        ("class_numbers", [1]), ("noise_averages", images[:1]), ("real_averages", np.zeros((2, 9, 9))),
        ("members", [1]),        ("noise_correlation", [0.5]), ("real_correlation", [0.5]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="references" if field == "class_numbers" else field):
            NullTestSummary(**(good | {field: value}))
