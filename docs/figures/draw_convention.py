#!/usr/bin/env python3
"""Draw the pose convention (docs/figures/convention.png) with the program's own pose type.

Usage: python docs/figures/draw_convention.py
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Polygon

from cryoalign.core.poses import Poses

BOX = 64
PSI, SHIFT = 40.0, np.array([13.0, -6.0])
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"
# An F without any symmetry, as offsets (x, y) from the centre pixel, y downwards.
GLYPH = np.array([(-9, -15), (10, -15), (10, -9), (-3, -9), (-3, -2), (6, -2), (6, 4), (-3, 4), (-3, 15), (-9, 15)])


def carried(pose, points):
    """Carry points (k, 2) from the image to the aligned frame."""
    return np.stack(pose.apply_to_points(*points.T.astype(float)), axis=1)


def panel(axes, points, title, *, faint=None, arrow=None, arc=None):
    """Draw one frame: the glyph, where it was before (faint), and what moved it."""
    centre = BOX // 2
    if faint is not None:
        axes.add_patch(Polygon(faint + centre, closed=True, fill=False, edgecolor=GREY, linestyle=(0, (3, 2))))
    axes.add_patch(Polygon(points + centre, closed=True, color=BLUE, alpha=0.85, linewidth=0))
    axes.plot(centre, centre, "+", color="black", markersize=13, markeredgewidth=1.4)
    if arrow is not None:
        start, stop = (np.asarray(end) + centre for end in arrow)
        axes.annotate("", stop, start, arrowprops={"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2})
    if arc is not None:
        angle = np.deg2rad(np.linspace(0, arc, 50))
        x, y = centre + 25 * np.cos(angle), centre + 25 * np.sin(angle)
        axes.plot(x[:-3], y[:-3], color=ORANGE, linewidth=2)
        head = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 2}
        axes.annotate("", (x[-1], y[-1]), (x[-4], y[-4]), arrowprops=head)
        axes.plot([centre, centre + 27], [centre, centre], color=ORANGE, linewidth=0.8, linestyle=":")
    axes.set(xlim=(-0.5, BOX - 0.5), ylim=(BOX - 0.5, -0.5), aspect="equal", xticks=[0, 32, 63], yticks=[0, 32, 63])
    axes.tick_params(labelsize=8, length=2, colors=GREY)
    axes.set_title(title, fontsize=10.5)


def row(axes, mirror):
    """Draw the steps that bring one stored image onto its reference."""
    pose = Poses([PSI], SHIFT[:1], SHIFT[1:], [mirror])
    upright = GLYPH
    stored = carried(pose.inverse(), upright)
    flipped = stored * ((-1, 1) if mirror else (1, 1))
    moved = flipped + SHIFT
    turned = carried(Poses([PSI], [0], [0]), moved)
    assert np.allclose(turned, upright)
    flag = int(mirror)
    panel(axes[0], stored, f"image in the stack, rlnIsFlip = {flag}")
    title = "mirror: x flipped about the centre" if mirror else "mirror: nothing to do"
    panel(axes[1], flipped, title, faint=stored if mirror else None)
    tip = np.mean(flipped, axis=0)
    panel(axes[2], moved, f"shift by +d = ({SHIFT[0]:g}, {SHIFT[1]:g}) px", faint=flipped, arrow=(tip, tip + SHIFT))
    panel(axes[3], turned, f"rotate by psi = {PSI:g}°: aligned", faint=moved, arc=PSI)


def main():
    """Write the figure beside this file."""
    figure, axes = plt.subplots(2, 4, figsize=(11.5, 6.1), dpi=90, layout="constrained")
    row(axes[0], False)
    row(axes[1], True)
    for corner in axes[:, 0]:
        corner.set_ylabel("y (rows), row 0 on top", fontsize=9)
    for bottom in axes[1]:
        bottom.set_xlabel("x (columns)", fontsize=9)
    figure.savefig(Path(__file__).with_name("convention.png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
