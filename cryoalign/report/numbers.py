"""Numbers that reports state in words: plain statistics of arrays, and how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def text_number(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits and no exponent, thousands set apart by commas."""
    value = float(value)
    if not np.isfinite(value):
        return "not available"
    if value == 0:
        return "0"
    decimals = digits - 1 - int(np.floor(np.log10(abs(value))))
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and decimals > digits else text


def signed(value: float) -> str:
    """Write a length with one decimal and a proper minus sign; what rounds to zero has none."""
    text = f"{round(float(value), 1) + 0.0:.1f}"
    return text.replace("-", "\N{MINUS SIGN}")


def text_percent(part: float, whole: float) -> str:
    """Write part / whole in percent; something is never written as nothing, nor less than all as all."""
    if part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100.0 * part / whole
    if percent < 0.05:
        return "< 0.1 %"
    if percent > 99.95:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def plural(count: int, word: str) -> str:
    """Return the word as it stands after a count."""
    return word if count == 1 else "classes" if word == "class" else f"{word}s"


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """Return the finite values, flat."""
    flat = np.asarray(values, np.float64).ravel()
    return flat[np.isfinite(flat)]


def median(values: ArrayLike) -> float:
    """Return the median of the finite values, NaN if there is none."""
    kept = finite(values)
    return float(np.median(kept)) if len(kept) else float("nan")


def masked_correlation(first: NDArray, second: NDArray, diameter_px: float) -> float:
    """Correlate two images (L, L) inside the disc of `diameter_px` round pixel L // 2; 0 where one is flat."""
    box = first.shape[-1]
    offset = np.arange(box) - box // 2
    inside = offset[:, None] ** 2 + offset**2 <= (diameter_px / 2) ** 2
    a, b = np.asarray(first, np.float64)[inside], np.asarray(second, np.float64)[inside]
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0


@dataclass(frozen=True)
class AngleUniformity:
    """How even angles are spread.

    Parameters
    ----------
    strength
        Length of the mean of exp(i m psi), 0 = even, 1 = all equal modulo 360 / m.
    fold
        The m in 1..4 with the greatest strength.
    probability
        Chance of such a strength, in any of the four, for even angles.
    """

    strength: float
    fold: int
    probability: float

    @property
    def even(self) -> bool:
        """Whether nothing worth a second look shows: within chance, or too weak to matter."""
        return self.probability > 0.01 or self.strength < 0.05


def angle_uniformity(psi_deg: ArrayLike) -> AngleUniformity:
    """Test angles for clumping with one to four lobes: Rayleigh's test on m psi, p = exp(-n R^2) times the four tried.

    References
    ----------
    K. V. Mardia and P. E. Jupp, Directional Statistics, Wiley 2000, section 6.3.1.
    """
    angle = np.deg2rad(finite(psi_deg))
    strengths = [abs(np.exp(1j * m * angle).mean()) if len(angle) else 0.0 for m in (1, 2, 3, 4)]
    best = int(np.argmax(strengths))
    probability = min(1.0, 4 * float(np.exp(-len(angle) * strengths[best] ** 2)))
    return AngleUniformity(float(strengths[best]), best + 1, probability)
