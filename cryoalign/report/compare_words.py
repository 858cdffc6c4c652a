"""What a pair means, in words: what each measure found, and if it stands apart from the others, why."""

from __future__ import annotations

import numpy as np

from cryoalign.report.compare_data import FoundPose, PairDrawing, Registration
from cryoalign.report.numbers import text_number

OPPOSITE = -0.3
"""Below this correlation the contrasts of two images are called opposite."""
_HARDLY = 0.05
"""Values that differ by less than this share of the curve's range are alike."""


def finding(drawing: PairDrawing, row: int, *, lower_is_better: bool) -> str:
    """Say what one measure found, how far the others agree, and what may have misled it."""
    r, count = drawing.registrations[row], len(drawing.registrations)
    if not r.agreeing:
        where = f"{value_words(r.value)} with B where it is, correlation {r.correlation:.3f}"
        return f"No pose was found: nothing correlates. {where}."
    others = f"; {r.agreeing - 1} of the {count - 1} others agree" if count > 1 else ""
    words = [f"{value_words(r.value)} at {pose_words(r)}; correlation {r.correlation:.3f}{others}."]
    if r.correlation < OPPOSITE:
        words.append("The contrasts are opposite at this pose.")
    if r.at_limit:
        words.append("The shift is at its limit: the truth may lie beyond, or there is none.")
    own = own_pose(drawing, row)
    if own is not None and own > 0:
        words.append(_against_first(drawing, row, own, lower_is_better))
    return " ".join(words)


def _against_first(drawing: PairDrawing, row: int, own: int, lower: bool) -> str:
    """Say whether a measure prefers its own pose to the first one, or its search missed that."""
    here, first = float(drawing.values[row, own]), float(drawing.values[row, 0])
    gain = (here - first) if lower else (first - here)
    span = float(np.ptp(drawing.registrations[row].curve)) or 1.0
    if abs(gain) < _HARDLY * span:
        return f"It can hardly tell pose 1 from it ({value_words(first)} there, {value_words(here)} here)."
    if gain > 0:
        return f"Pose 1 is better by its own value ({value_words(first)}): its search missed it."
    return f"By its own value pose 1 is worse ({value_words(first)}): the measure itself prefers this one."


def own_pose(drawing: PairDrawing, row: int) -> int | None:
    """Return which of the poses a measure found; None where it found none."""
    name = drawing.registrations[row].metric
    return next((k for k, pose in enumerate(drawing.poses) if name in pose.metrics), None)


def best_pose(drawing: PairDrawing, row: int, *, lower_is_better: bool) -> int:
    """Return which of the poses is best by the value of a measure."""
    values = drawing.values[row]
    return int(np.argmin(values if lower_is_better else -values))


def pose_words(pose: Registration | FoundPose) -> str:
    """Say a pose."""
    words = f"psi {two(pose.psi_deg)}°, shift ({two(pose.dx_px)}, {two(pose.dy_px)}) px"
    words += ", mirrored" if pose.mirror else ""
    return words if pose.scale == 1.0 else f"{words}, scale {pose.scale:.4f}"


def two(value: float) -> str:
    """Write two decimals; what rounds to zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def value_words(value: float) -> str:
    """Write a value of any size; tiny ones as powers of ten, since some measures are 0 for equal images."""
    return text_number(value) if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"
