"""One picture of one registration: overlay, difference, joint histogram, and the measure over the angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.axes import ticks
from cryoalign.report.compare_data import Registration
from cryoalign.report.figures import BLUE, INK, MUTED, VERMILLION, new_axes, new_figure, resize, style, svg_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 1110, 262
_TILE, _TOP, _SIDE = 218, 30, 128
_COLOUR_A, _COLOUR_B = np.array([1.0, 0.5, 0.1]), np.array([0.0, 0.5, 0.9])
"""Together they make white: where both images have the same, there is no colour."""
_BINS = 40
_MOST_SD = 3.0


def registration_figure(
    a: NDArray,
    registration: Registration,
    mask_radius_px: float,
    *,
    lower_is_better: bool,
    value_label: str,
    first_psi_deg: float | None = None,
) -> str:
    """Draw the image A (L, L) and a registration of B on it as four panels; mark the angle of pose 1 too if given."""
    inside = disc(len(a), mask_radius_px)
    scaled = [standardised(image, inside) for image in (a, registration.aligned)]
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        places = [6 + i * (_TILE + 12) for i in range(2)]
        tiles = [_tile(figure, left, words) for left, words in zip(places, _TILE_WORDS, strict=True)]
        tiles[0].imshow(overlay(*scaled), interpolation="none")
        difference = np.clip(resize(scaled[0] - scaled[1], min(len(a), _SIDE)), -_MOST_SD, _MOST_SD)
        tiles[1].imshow(difference, cmap="PuOr_r", vmin=-_MOST_SD, vmax=_MOST_SD, interpolation="none")
        for axes in tiles:
            _circle(axes, len(a), mask_radius_px)
        _joint_histogram(
            new_axes(figure, left=520, bottom=40, right=WIDTH - 520 - 192, top=_TOP),
            scaled[0][inside],
            scaled[1][inside],
        )
        axes = new_axes(figure, left=800, bottom=40, right=14, top=_TOP)
        _curve(axes, registration, lower_is_better, first_psi_deg)
        axes.set_ylabel(value_label)
        return svg_uri(figure)


_TILE_WORDS = ("overlay: A orange, B blue", "A − B: A brighter orange, B purple")


def disc(box: int, radius_px: float) -> NDArray[np.bool_]:
    """Return the pixels within a radius of pixel L // 2, (L, L)."""
    offset = np.arange(box) - box // 2
    return np.asarray(offset[:, None] ** 2 + offset**2 <= radius_px**2)


def standardised(image: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bring an image (L, L) to mean 0 and standard deviation 1 inside the mask; a flat one becomes 0."""
    values = np.asarray(image, np.float64)
    mean, deviation = values[inside].mean(), values[inside].std()
    return np.asarray((values - mean) / (deviation if deviation > 0 else 1.0), dtype=np.float32)


def overlay(a: NDArray, b: NDArray) -> NDArray[np.float32]:
    """Add two images (L, L) in two colours that make white, (l, l, 3) in [0, 1]."""
    picture = np.zeros((min(len(a), _SIDE), min(len(a), _SIDE), 3))
    for image, colour in ((a, _COLOUR_A), (b, _COLOUR_B)):
        small = resize(image, min(len(a), _SIDE))
        low, high = np.percentile(small, (0.3, 99.7))
        grey = np.clip((small - low) / (high - low), 0, 1) if high > low else np.full(small.shape, 0.5)
        picture += grey[..., None] * colour
    return np.clip(picture, 0, 1).astype(np.float32)


def _tile(figure: Figure, left: float, words: str) -> Axes:
    axes = new_axes(figure, left=left, bottom=HEIGHT - _TOP - _TILE, right=WIDTH - left - _TILE, top=_TOP)
    axes.set_axis_off()
    axes.set_title(words, fontsize=11.5, color=MUTED, loc="left", pad=5)
    return axes


def _circle(axes: Axes, box: int, radius_px: float) -> None:
    shown = min(box, _SIDE)
    turn, scale = np.linspace(0, 2 * np.pi, 121), shown / box
    centre = (box // 2 + 0.5) * scale - 0.5
    axes.plot(
        centre + radius_px * scale * np.cos(turn), centre + radius_px * scale * np.sin(turn), color="#9aa7b2",
        linewidth=1, linestyle=(0, (4, 4)),
    )  # fmt: skip
    axes.set_xlim(-0.5, shown - 0.5)
    axes.set_ylim(shown - 0.5, -0.5)


def _joint_histogram(axes: Axes, a: NDArray, b: NDArray) -> None:
    ends = np.array([-1.0, 1.0]) * max(1e-3, *(float(np.abs(np.percentile(v, (0.3, 99.7))).max()) for v in (a, b)))
    counts, _, _ = np.histogram2d(np.clip(b, *ends), np.clip(a, *ends), bins=_BINS, range=(ends, ends))
    shown = np.ma.masked_equal(np.log1p(counts), 0)
    axes.imshow(shown, cmap="Blues", vmin=-0.6, extent=(*ends, *ends), origin="lower", interpolation="none")
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_aspect("auto")
    axes.set_title("joint histogram", fontsize=11.5, color=MUTED, loc="left", pad=5)
    axes.set_xlabel("A (standard deviations)", labelpad=2)
    axes.set_ylabel("B", labelpad=0)
    axes.tick_params(length=3)
    for axis in (axes.xaxis, axes.yaxis):
        ticks(axis, nbins=5, integer=True)


def _curve(axes: Axes, r: Registration, lower_is_better: bool, first_psi_deg: float | None) -> None:
    axes.plot(r.curve_psi_deg, r.curve, color=BLUE, linewidth=1.6)
    if r.agreeing:
        axes.axvline(r.psi_deg, color=VERMILLION, linewidth=1.3, linestyle=(0, (4, 3)))
    if first_psi_deg is not None:
        axes.axvline(first_psi_deg, color=MUTED, linewidth=1.3, linestyle=(0, (1, 2)))
    axes.set_xlim(-180, 180)
    axes.set_xticks([-180, -90, 0, 90, 180], ["−180", "−90", "0", "90", "180"])
    axes.set_xlabel("psi (degrees)", labelpad=2)
    ticks(axes.yaxis, nbins=6)
    axes.grid(axis="y")
    axes.tick_params(length=3)
    better = "lower" if lower_is_better else "higher"
    marks = ["dashed: best"] * bool(r.agreeing) + ["dotted: pose 1"] * (first_psi_deg is not None)
    words = "; ".join([f"{better} is better", *marks])
    axes.set_title(words, fontsize=11.5, color=MUTED, loc="left", pad=5)
