"""The averages of classes as pages show them: under the numbers of the files, with their sizes, curves and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.frc import COMMON, THRESHOLD, ClassFrc
from cryoalign.report.numbers import plural, text_number


@dataclass(frozen=True)
class Naming:
    """What groups of particles are called, and in what order they stand: classes by size, views by quality.

    Parameters
    ----------
    word
        What one group is called.
    first
        What the first ones are: "largest" sorts groups by members, any other word leaves them as given.
    stack
        The file that holds every average.
    overlap
        Whether a particle may be in several groups; then a share of all particles means nothing.
    shared
        What rings that are not independent come from: the end of a sentence that begins with both halves.
    """

    word: str = "class"
    first: str = "largest"
    stack: str = "averages.mrcs"
    overlap: bool = False
    shared: str = "were aligned to the same reference"

    @property
    def by_size(self) -> bool:
        """Whether groups stand by their size."""
        return self.first == "largest"

    def name(self, number: int) -> str:
        """Return the name of a group at the start of a line."""
        return f"{self.word.capitalize()} {number}"

    def many(self, count: int) -> str:
        """Return the word as it stands after a count."""
        return plural(count, self.word)


CLASSES = Naming()
RELION_CLASSES = Naming(stack="run_classes.mrcs")
VIEWS = Naming(
    word="view", first="best", overlap=True, shared="hold members that were chosen and aligned by the same detail"
)


@dataclass(frozen=True, kw_only=True)
class HalfSets:
    """How particles were parted.

    Parameters
    ----------
    counts
        Particles in half 1 and half 2.
    rule
        By what, in words, such as "rlnRandomSubset" or "a hash of the image name".
    shared_resolution_angstrom
        Finest resolution in A down to which both halves were aligned to the same reference; None where nothing was
        shared, or the halves shared all (each curve's `shared_ring` tells which).
    """

    counts: Sequence[int] | NDArray[np.integer]
    rule: str
    shared_resolution_angstrom: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Classes:
    """Averages of m classes, some of them perhaps without members.

    Parameters
    ----------
    averages
        As they were made.
    numbers
        Number of each class in files, (m,), in the order in which they are to be shown.
    pixel_size_angstrom, mask_diameter_angstrom
        Pixel size of the averages, and diameter of the particle mask.
    kind
        What an average is, in words, for captions: "plain mean", "Wiener-filtered average" ...
    halves
        How members were parted into halves, or None.
    naming
        What classes are called.

    Raises
    ------
    ValueError
        If there are not as many numbers as classes, or no class has members.
    """

    averages: ClassAverages
    numbers: Sequence[int] | NDArray[np.integer]
    pixel_size_angstrom: float
    mask_diameter_angstrom: float
    kind: str = "average"
    halves: HalfSets | None = None
    naming: Naming = CLASSES

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if np.shape(self.numbers) != (len(self.averages.counts),):
            raise ValueError(f"{np.size(self.numbers)} numbers of {len(self.averages.counts)} classes")
        if not np.any(self.averages.counts):
            raise ValueError(f"no {self.naming.many(2)} to report on")

    def by_number(self, values: Sequence[Any] | NDArray) -> dict[int, Any]:
        """Return number -> value for the classes with members, from one value for each class, (m, ...)."""
        numbers = np.asarray(self.numbers).tolist()
        return {numbers[c]: values[c] for c in np.flatnonzero(self.averages.counts).tolist()}

    @cached_property
    def members(self) -> dict[int, int]:
        """Number -> images in each class; 0 where there are none."""
        return dict(zip(np.asarray(self.numbers).tolist(), np.asarray(self.averages.counts).tolist(), strict=True))

    @cached_property
    def images(self) -> dict[int, NDArray[np.float32]]:
        """Number -> average (L, L) of each class with members."""
        return self.by_number(self.averages.averages)

    @cached_property
    def curves(self) -> dict[int, ClassFrc]:
        """Number -> FRC of each class with two halves."""
        return {number: curve for number, curve in self.by_number(self.averages.frc).items() if curve is not None}

    @property
    def box(self) -> int:
        """Side L of the averages in pixels."""
        return int(self.averages.averages.shape[-1])

    @property
    def width_angstrom(self) -> float:
        """Side of the averages in A."""
        return self.box * self.pixel_size_angstrom

    @property
    def resolved(self) -> list[float]:
        """Resolutions of the classes that have one."""
        return [curve.resolution_angstrom for curve in self.curves.values() if curve.resolved]

    @property
    def any_independent(self) -> bool:
        """Whether any class has halves that are independent on some rings."""
        return any(curve.independent for curve in self.curves.values())

    def resolution_words(self, number: int, *, short: bool = False) -> str:
        """Say the resolution of a class, or why there is none; empty where there are no halves."""
        curve = self.curves.get(number)
        if curve is None:
            return ""
        if not curve.independent:
            return "shared ref." if short else "shared reference: no resolution"
        if curve.resolved:
            return f"{text_number(curve.resolution_angstrom)} Å" + ("" if short else " (independent halves)")
        bound = curve.bound_angstrom(self.width_angstrom)
        if bound is None:
            return "not resolved"
        return f"{'>' if short else 'no finer than'} {text_number(bound)} Å"

    @property
    def legend(self) -> str:
        """Say for a caption what lengths below the pictures are."""
        words = f" Å: resolution at FRC {THRESHOLD:g} from independent halves." if self.resolved else ""
        open_ = [curve for curve in self.curves.values() if curve.independent and not curve.resolved]
        if any(curve.bound_angstrom(self.width_angstrom) is not None for curve in open_):
            words += (
                f" > Å: the halves agree no further than this, and as they {self.naming.shared}, the resolution may be "
                "worse."
            )
        return words

    @property
    def shared_words(self) -> str:
        """Say for a caption why some classes have no resolution."""
        if all(curve.kind != COMMON for curve in self.curves.values()):
            return ""
        return f" Shared reference ({COMMON}): the halves met, so they give no resolution."
