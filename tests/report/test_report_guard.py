"""The guard and the null test in words and pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from cryoalign.report.figures import grey_levels
from cryoalign.report.guard_section import guard_section, z_chart
from cryoalign.report.null_test_section import einstein_chart, null_test_section
from helpers.page_reader import Reader, chart_words
from helpers.quality_samples import make_classes, make_finding, make_guard, make_null


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
    assert "given references with inverted contrast" in Reader(guard_section(make_guard(inverted=True))).text
    assert "± 0.04; 0.90 = all particles real" in page.text


@pytest.mark.parametrize(
    ("verdict", "z", "words", "box"),
    [
        ("signal", 23.8, "Signal: aligned on coarse detail alone", "fine"),
        ("no signal", -0.42, "the particles show nothing of the reference (z = −0.4, wanted 3.1)", "warnings"),
        ("cannot tell", 1.2, "This is no evidence for the averages, nor against them.", "warnings"),
        ("cannot tell", 0.0, "Cannot tell", "warnings"),
    ],
)
def test_the_verdict_is_said_in_words(verdict, z, words, box):
    page = Reader(guard_section(make_guard(verdict, z)))
    assert words in page.text
    assert page.count("p", class_=f"{box} verdict") == 1
    assert "nan" not in page.text


def test_classes_stand_worst_first_and_those_without_signal_before_the_rest():
    classes = {
        1: make_finding("signal", 8.0, share=0.9, n=100),
        2: make_finding("cannot tell", -1.0, share=0.1, n=40),
        3: make_finding("no signal", 2.04, share=0.5, n=60),
        4: make_finding("cannot tell", -3.0, share=0.0, n=1),
    }
    html = guard_section(make_guard(classes=classes))
    assert Reader(html).rows[1:] == [
        ["3", "60", "2.0", "0.50", "no signal"],
        ["4", "1", "−3.0", "0.00", "cannot tell"],
        ["2", "40", "−1.0", "0.10", "cannot tell"],
        ["1", "100", "8.0", "0.90", "signal"],
    ]
    text = Reader(html).text
    assert "1 of 4 classes without signal, 2 undecided" in text
    assert "hold 50.2 % of the particles looked at" in text
    words = chart_words(z_chart(classes))
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
    page = Reader(guard_section(make_guard(classes={}, u=np.zeros(1))))
    assert page.count("img") == 0
    assert "Signal" in page.text


REAL = np.random.default_rng(3).random((10, 32, 32), np.float32)


def null_section(null, members=None):
    members = members or dict.fromkeys(range(1, len(null.members) + 1), 50)
    images = {number: REAL[number - 1] for number, count in members.items() if count}
    return null_test_section(null, make_classes(images, members, mask_diameter_angstrom=100.0))


def test_null_test_shows_reference_noise_and_particles_side_by_side():
    from matplotlib.image import imread

    null = make_null()
    page = Reader(null_section(null))
    shown = [imread(io.BytesIO(base64.b64decode(a.split(",")[1]))) * 255 for a in page.addresses if "image/png" in a]
    expected = [s[i] for i in (1, 0) for s in (null.references, null.averages, REAL)]  # largest first
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
    text = Reader(null_section(null)).text
    for name, stack in (("noise", null.averages), ("particles", REAL)):
        expected = np.corrcoef(null.references[0][inside], stack[0][inside])[0, 1]
        assert f"{name} and reference: " in text
        assert f"{expected:.3f}" in text


def test_einstein_curve_gives_the_numbers_and_leaves_out_what_is_unknown():
    null = make_null()
    text = Reader(null_section(null)).text
    assert "by 0.66 from 128 to 0.87 from 2,048 images" in text
    assert "Particles: 0.96 from 1,024." in text
    words = chart_words(einstein_chart(null))
    for label in ("128", "256", "512", "1,024", "2,048", "noise", "particles", "images in the average, N"):
        assert label in words
    assert "correlation with the reference (no unit)" in words
    alone = make_null(real_correlation=np.full(5, np.nan))
    assert "particles" not in chart_words(einstein_chart(alone)).split(" | ")
    assert "Particles:" not in Reader(null_section(alone)).text


def test_null_test_without_curve_or_particles():
    null = make_null(k=3, counts=(), noise_correlation=np.zeros(0), real_correlation=np.zeros(0))
    page = Reader(null_section(null, {1: 0, 2: 0, 3: 9}))
    assert page.count("img") == 0
    assert page.text.count("no particles") == 2


def test_null_test_shows_the_largest_of_many_classes_that_noise_went_to():
    members = np.r_[np.zeros(3, int), 10 * np.arange(1, 8)]
    text = Reader(null_section(make_null(k=10, members=members), dict.fromkeys(range(1, 11), 5))).text
    assert "The 6 largest of 7 classes." in text
    assert text.index("Class 10: 70 noise") < text.index("Class 9: 60 noise") < text.index("Class 5: 20 noise")
    assert "Class 4: 10 noise" not in text
