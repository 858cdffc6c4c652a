"""Pictures as bytes."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

from cryoalign.report.figures import display_lowpass, grey_levels, png_bytes, resize, scale_bar_angstrom, style


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 130)])
def test_png_gives_back_every_grey_level_row_0_on_top(shape):
    from matplotlib.image import imread

    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.rint(imread(io.BytesIO(png_bytes(grey))) * 255).astype(np.uint8), grey)


def test_grey_levels_keep_order_and_stand_outliers():
    image = np.linspace(-1, 1, 100 * 100).reshape(100, 100)
    image[50, 50] = 1e9
    grey = grey_levels(image)
    assert grey[0, 0] == 0
    assert grey[-1, -1] == 255
    assert 120 < grey[49, 99] < 135
    assert np.all(grey_levels(np.full((4, 4), 7.0)) == 128)
    assert np.all(grey_levels(np.full((4, 4), np.nan)) == 128)


@pytest.mark.parametrize(("box", "size"), [(32, 32), (32, 75), (65, 40), (300, 64)])
def test_resize_keeps_brightness_and_place(box, size):
    assert np.allclose(resize(np.full((box, box), 3.0), size), 3.0, atol=1e-5)
    y, x = np.mgrid[:box, :box]
    ramp = (x + 0.5) / box + 2 * (y + 0.5) / box
    u = (np.arange(size) + 0.5) / size
    inner = slice(size // 8, -size // 8)
    expected = (u + 2 * u[:, None])[inner, inner]
    assert np.allclose(resize(ramp, size)[inner, inner], expected, atol=5e-3)


def test_shrinking_does_not_alias():
    checkers = np.indices((256, 256)).sum(0) % 2
    assert np.ptp(resize(checkers, 64)[4:-4, 4:-4]) < 0.02


def test_display_lowpass_halves_at_the_cutoff():
    wave = np.cos(2 * np.pi * 8 * np.arange(64) / 64) * np.ones((64, 1))
    smooth = display_lowpass(wave[None], 2.0, 64 * 2.0 / 8)[0]
    assert np.allclose(smooth, 0.5 * wave, atol=1e-6)
    assert np.allclose(display_lowpass(np.ones((2, 9, 9)), 1.0, 30.0), 1.0, atol=1e-6)


@pytest.mark.parametrize("width", [3.0, 47.0, 325.0, 1000.0, 99999.0])
def test_scale_bar_is_round_and_fits(width):
    length = scale_bar_angstrom(width)
    assert 0.15 * width < length <= 0.4 * width
    assert f"{length:e}"[0] in "125"


def test_style_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_comes_late_and_pyplot_never():
    script = (
        "import sys, cryoalign.report.align_page, cryoalign.report.classavg_page, cryoalign.report.montage\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from cryoalign.report.charts import histogram\n"
        "histogram([1.0, 2.0], x_label='a (b)')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
