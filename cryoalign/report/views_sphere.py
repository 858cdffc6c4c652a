"""Where views lie on the sphere of viewing directions: two halves of it, each drawn so that equal areas stay equal.

Lambert's azimuthal equal-area projection: a direction at angle t from the middle of the disc goes to radius
sqrt(2) sin(t / 2), here scaled so that the rim (t = 90 degrees) lies at 1 (J. P. Snyder, Map Projections, USGS
Professional Paper 1395, 1987, section 24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.report.charts import WIDTH
from cryoalign.report.figures import BLUE, INK, MUTED, VERMILLION, new_axes, new_figure, style, svg_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

_CELLS = 160
_EDGES = np.linspace(-1, 1, _CELLS + 1)
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_REACH = _CENTRES[:, None] ** 2 + _CENTRES**2 <= (1 + 2 / _CELLS) ** 2
_FEW = 400
"""Up to so many particles are drawn one by one."""
MAX_NUMBERED, MAX_MARKED = 40, 400
"""Views with a number in the picture, and with any mark."""


@dataclass(frozen=True, eq=False)
class HalfSphere:
    """Particles and views on one half of the sphere.

    Parameters
    ----------
    points
        (m, 2) particles on the unit disc, x rightwards and y upwards.
    density
        (cells, cells) particles per area over what even directions give, row 0 at y = -1; NaN outside the disc.
    views
        View -> (x, y) of its seed.
    """

    points: NDArray[np.float64]
    density: NDArray[np.float64]
    views: Mapping[int, tuple[float, float]]


def unit_directions(embedding: ArrayLike) -> NDArray[np.float64]:
    """Return coordinates (n, 3) scaled to length 1; NaN where they are zero or not finite."""
    points = np.asarray(embedding, np.float64)
    length = np.sqrt((points**2).sum(axis=1, keepdims=True))
    good = np.isfinite(length) & (length > 0)
    return np.where(good, points / np.where(good, length, 1.0), np.nan)


def project(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project unit vectors (n, 3) with z >= 0 onto the unit disc (n, 2), equal areas to equal areas."""
    return directions[:, :2] / np.sqrt(1 + directions[:, 2:])


def half_spheres(embedding: ArrayLike, view_rows: Mapping[int, int]) -> list[HalfSphere]:
    """Lay particles and views out on two discs.

    Parameters
    ----------
    embedding
        (n, 3) directions of any length.
    view_rows
        View -> row of its seed.

    Returns
    -------
    list
        The near half (z >= 0), and the far half as seen from its own side (turned about the y axis).
    """
    directions = unit_directions(embedding)
    good = np.isfinite(directions[:, 0])
    far = directions[:, 2] < 0
    directions[far] *= (-1, 1, -1)
    place = np.full((len(directions), 2), np.nan)
    place[good] = project(directions[good])
    even = np.count_nonzero(good) / 2 / np.pi
    halves = []
    for side in (False, True):
        views = {
            view: (float(place[row, 0]), float(place[row, 1]))
            for view, row in view_rows.items()
            if good[row] and far[row] == side
        }
        points = place[good & (far == side)]
        halves.append(HalfSphere(points, _density(points, even, smoothing_radius(int(np.count_nonzero(good)))), views))
    return halves


def smoothing_radius(particles: int) -> float:
    """Return the standard deviation of the smoothing on the disc: some 25 particles within it, were they even."""
    return float(np.clip(5 / np.sqrt(max(1, particles)), 0.045, 0.3) / np.sqrt(2))


def _density(points: NDArray[np.float64], even: float, radius: float) -> NDArray[np.float64]:
    """Smooth points on the disc, over the part of the kernel that lies on the disc, so that the rim is not paler."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=(_EDGES, _EDGES))
    kernel, area = _smoothing(radius)
    # A cell that the rim cuts still needs a colour: what lies outside is clipped when drawn.
    return np.where(_REACH, kernel @ counts @ kernel.T / (area * max(even, 1e-12)), np.nan)


def _smoothing(radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a Gaussian along a line of cells, and what the one round each cell covers of the disc."""
    # Finer than the cells, so that those on the rim count by the part of them that lies inside.
    fine = (np.arange(4 * _CELLS) + 0.5) / (2 * _CELLS) - 1
    inside = (fine[:, None] ** 2 + fine**2 <= 1).reshape(_CELLS, 4, _CELLS, 4).mean(axis=(1, 3))
    kernel = np.exp(-((_CENTRES[:, None] - _CENTRES) ** 2) / (2 * radius**2))
    return kernel, kernel @ inside @ kernel.T * (2 / _CELLS) ** 2


def evenness(halves: list[HalfSphere]) -> tuple[float, float]:
    """Say how particles spread: the share on the fuller half of the area, and the share of area that is nearly empty.

    Nearly empty: the smoothed density is below a fifth of that of even directions.
    """
    levels = np.concatenate([half.density[np.isfinite(half.density)] for half in halves])
    levels = np.sort(levels)[::-1]
    total = levels.sum()
    fuller = float(levels[: len(levels) // 2].sum() / total) if total > 0 else 0.0
    return fuller, float(np.mean(levels < 0.2))


def even_share(particles: int) -> float:
    """Return the share of the fuller half of the area that :func:`evenness` gives where all views are alike likely.

    Not 0.5: chance crowds particles here and there. Counts under the smoothing scatter by their square root, so that
    the density is about normal round 1, and its upper half has the mean 1 + sqrt(2 / pi) sd.
    """
    radius, even = smoothing_radius(particles), max(particles, 1) / 2 / np.pi
    (_, area), (_, area_of_square) = _smoothing(radius), _smoothing(radius / np.sqrt(2))  # the square of a Gaussian
    sd = np.sqrt(area_of_square / even) / area
    return float(min(0.5 + 0.5 * np.sqrt(2 / np.pi) * sd[_REACH].mean(), 1.0))


def half_sphere_chart(half: HalfSphere, *, highest: float, views: int) -> str:
    """Draw one half: density or single particles, and the views; `views` counts them on both halves."""
    with style():
        figure = new_figure(WIDTH, 440)
        axes = new_axes(figure, left=14, bottom=14, right=86, top=6)
        rim = _graticule(axes)
        few = not highest > 0
        if few:
            axes.scatter(half.points[:, 0], half.points[:, 1], s=14, color=BLUE, alpha=0.55, linewidths=0)
        else:
            shown = axes.imshow(
                half.density, cmap="Blues", vmin=0, vmax=highest, origin="lower", extent=(-1, 1, -1, 1), zorder=0,
                interpolation="none",
            )  # fmt: skip
            shown.set_clip_path(rim)
            bar = figure.colorbar(shown, cax=new_axes(figure, left=444, bottom=60, right=62, top=60))
            bar.set_label("density of particles (1 = if even)")
            bar.outline.set_visible(False)
        _views(axes, half.views, views)
        axes.set_xlim(-1.03, 1.03)
        axes.set_ylim(-1.03, 1.03)
        axes.set_aspect("equal")
        axes.set_axis_off()
        return svg_uri(figure)


def highest_density(halves: list[HalfSphere]) -> float:
    """Return the end of the colour scale for both halves; 0 where particles are drawn one by one."""
    if sum(len(half.points) for half in halves) <= _FEW:
        return 0.0
    levels = np.concatenate([half.density[np.isfinite(half.density)] for half in halves])
    return max(2.0, float(np.percentile(levels, 99.5)))


def _graticule(axes: Axes) -> Patch:
    """Draw the rim, and circles at 30 and 60 degrees from the middle; return the rim."""
    from matplotlib.patches import Circle

    turn = np.linspace(0, 2 * np.pi, 181)
    for angle in (30, 60):
        radius = np.sqrt(2) * np.sin(np.deg2rad(angle / 2))
        axes.plot(radius * np.cos(turn), radius * np.sin(turn), color=MUTED, linewidth=0.6, alpha=0.6)
        axes.annotate(f"{angle}°", (0, -radius), (3, 3), textcoords="offset points", color=INK, fontsize=11)
    for x, y in (((-1, 1), (0, 0)), ((0, 0), (-1, 1))):
        axes.plot(x, y, color=MUTED, linewidth=0.6, alpha=0.6)
    rim = Circle((0, 0), 1, facecolor="none", edgecolor=MUTED, linewidth=1.2, zorder=3)
    axes.add_patch(rim)
    return rim


def _views(axes: Axes, views: Mapping[int, tuple[float, float]], total: int) -> None:
    if not views or total > MAX_MARKED:
        return
    x, y = np.array(list(views.values())).T
    if total > MAX_NUMBERED:
        axes.scatter(x, y, s=22, color=VERMILLION, edgecolors="w", linewidths=0.8, zorder=4)
        return
    axes.scatter(x, y, s=215, color="w", edgecolors=VERMILLION, linewidths=1.4, zorder=4)
    for number, place in views.items():
        axes.annotate(f"{number}", place, ha="center", va="center_baseline", fontsize=10, color=INK, zorder=5)
