"""Numbers that reports state in words: plain statistics of arrays, their shapes, and how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MINUS = "\N{MINUS SIGN}"


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


def number_text(value: float, digits: int = 3) -> str:
    """Write a number as `text_number` does, with a proper minus sign."""
    return text_number(value, digits).replace("-", MINUS)


def fixed(value: float, decimals: int) -> str:
    """Write a number with so many decimals and a proper minus sign; what rounds to zero has none."""
    if not np.isfinite(value):
        return "none"
    return f"{round(float(value), decimals) + 0.0:,.{decimals}f}".replace("-", MINUS)


def two(value: float) -> str:
    """Write two decimals; what rounds to zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def value_words(value: float) -> str:
    """Write a value of any size; tiny ones as powers of ten, since some measures are 0 for equal images."""
    return text_number(value) if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"


def signed(length: float) -> str:
    """Write a length with one decimal."""
    return fixed(length, 1)


def z_text(z: float) -> str:
    """Write z with one decimal."""
    return fixed(z, 1)


def share_text(share: float) -> str:
    """Write a share with two decimals."""
    return fixed(share, 2)


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


def shift_fact(sd_angstrom: float | None, pixel_size_angstrom: float) -> tuple[str, str, str]:
    """Return a box on how far particles lie off their centres; None where shifts were not searched."""
    if sd_angstrom is None:
        return "Shift", "not searched", "particles are taken as centred"
    pixels = text_number(sd_angstrom / pixel_size_angstrom, 2)
    return "Shift", f"{text_number(sd_angstrom, 2)} Å", f"standard deviation, {pixels} px"


def plural(count: int, word: str) -> str:
    """Return the word as it stands after a count."""
    return word if count == 1 else "classes" if word == "class" else f"{word}s"


def expect_shapes(owner: object, shape: tuple[int, ...], *names: str) -> None:
    """Raise ValueError where an attribute of these names has not the shape that it should have; None may be."""
    for name in names:
        value = getattr(owner, name)
        if value is not None and np.shape(value) != shape:
            raise ValueError(f"{name} must have shape {shape}, not {np.shape(value)}")


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
    def in_words(self) -> str:
        """Say how strong the clumping is."""
        lobes = "" if self.fold == 1 else f", {self.fold} lobes"
        return f"strongest mean vector {self.strength:.3f} (0 = even, 1 = all alike{lobes})"

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
