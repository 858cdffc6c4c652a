"""Where references come from: what a strategy is, and what it sees.

A strategy says what the first round aligns to, and what the next one does, seeing arrays alone. A new one is a file
with a subclass of `Strategy` and one line in :mod:`cryoalign.alignment.names`, or a call of its ``register``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cryoalign.averaging.class_averages import ClassAverages
    from cryoalign.core.poses import Poses


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Particles made comparable with each other: whitened, CTF signs undone, cropped in Fourier space.

    Parameters
    ----------
    images
        The usable ones, float32 (k, L, L), not masked.
    radius_px
        Of the disc that is compared, in their pixels; None = the largest.
    raw_box, raw_pixel_size_angstrom
        Box and pixel size that most particles have.
    gain
        Mean gain per ring that whitened the raw images, (raw_box // 2 + 1,).
    """

    images: NDArray[np.float32]
    radius_px: float | None
    raw_box: int
    raw_pixel_size_angstrom: float
    gain: NDArray[np.float64]


@dataclass(frozen=True)
class StartSettings:
    """What a start is told.

    Parameters
    ----------
    classes
        How many references are wanted; None = as the data have it.
    max_shift_px
        Radius of the shift search, in pixels of most particles.
    mirror, seed, threads
        Search mirrored images too; for everything random; threads change nothing.
    """

    classes: int | None
    max_shift_px: float
    mirror: bool
    seed: int
    threads: int


class StartSource(Protocol):
    """The particles as a strategy sees them before the first round."""

    @property
    def settings(self) -> StartSettings:
        """What was asked for."""
        ...

    def given(self) -> tuple[NDArray[np.float32], float]:
        """Return the references that the user gave, (m, L, L), and their pixel size in A."""
        ...

    def prepared(self) -> PreparedImages:
        """Return the particles made comparable."""
        ...

    def keep(self, make: Callable[[], Mapping[str, NDArray]]) -> Mapping[str, NDArray]:
        """Return what a function makes, or what it made before a run was interrupted."""
        ...

    def say(self, text: str) -> None:
        """Tell the log."""
        ...


@dataclass(frozen=True, eq=False)
class Start:
    """What the rounds start from.

    Parameters
    ----------
    references
        (m, L, L).
    pixel_size_angstrom
        Theirs.
    signal, z
        Whether the particles agree with each other, and z of that test; None where it was not asked.
    """

    references: NDArray[np.float32]
    pixel_size_angstrom: float
    signal: bool | None = None
    z: float = 0.0


@dataclass(frozen=True, eq=False)
class References:
    """What one round aligns to.

    Parameters
    ----------
    arms
        References of all particles, or of either half, unmasked, (1 or 2, m, L, L).
    rings
        Last ring of each class that is used, (m,); None = all.
    cross_fit
        Where halves are apart, what the guard compares the particles of the other half with, (2, m, L, L).
    """

    arms: NDArray[np.float32]
    rings: NDArray[np.int64] | None = None
    cross_fit: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Round:
    """What one round found, of n particles and m classes.

    Parameters
    ----------
    given, used
        References of the start, (m, L, L), and those that the round aligned to.
    totals, power, counts
        Sums of C F and of C^2, and members, of each class and half: (m, 2, L, L), (m, 2, L, L // 2 + 1), (m, 2).
    averages
        Their averages.
    poses, reference, good
        Of each particle: pose, 0-based class, and whether it was aligned, (n,).
    mask_diameter_px, pixel_size_angstrom
        At the references' geometry.
    """

    given: NDArray[np.float32]
    used: References
    totals: NDArray[np.float64]
    power: NDArray[np.float64]
    counts: NDArray[np.int64]
    averages: ClassAverages
    poses: Poses
    reference: NDArray[np.int32]
    good: NDArray[np.bool_]
    mask_diameter_px: float
    pixel_size_angstrom: float


class Strategy:
    """A way to references: subclasses say how to start, and may say how to go on.

    Parameters
    ----------
    halves
        Whether halves are refined apart, each on its own averages.

    Attributes
    ----------
    words
        What it does, for the help of ``--strategy``.
    title, note
        Heading of the report, and what it says of the references; empty = nothing.
    needs_reference
        Whether references are given, whose frame is then the particles'; else ``--classes`` says how many are made.
    iterations
        Rounds without halves where none were asked for.
    settles
        Whether the start is brought to rest on low rings before the first round.
    why_whole
        Why its work cannot be one task of a job array; empty = it can.
    """

    words: ClassVar[str]
    title: ClassVar[str] = "Alignment without references"
    note: ClassVar[str] = ""
    needs_reference: ClassVar[bool] = False
    iterations: ClassVar[int] = 5
    settles: ClassVar[bool] = False
    why_whole: ClassVar[str] = "its references are made from all particles"

    def __init__(self, *, halves: bool) -> None:
        self.halves = halves

    def start(self, source: StartSource) -> Start:
        """Return what the rounds start from."""
        return Start(*source.given())

    def first(self, references: NDArray[np.float32], ring: int) -> References:
        """Return what the first round aligns to.

        Parameters
        ----------
        references
            Of the start, (m, L, L).
        ring
            Last ring that may be shared by both halves.
        """
        if not self.halves:
            return References(references[None])
        both = np.stack([references] * 2)
        return References(both, np.full(len(references), ring, np.int64), both)

    def next(self, done: Round) -> References:
        """Return what the next round aligns to: averages, of either half where these are apart."""
        if self.halves:
            from cryoalign.alignment.halves import next_halves

            return next_halves(done)
        from cryoalign.alignment.given import low_passed_averages

        return References(low_passed_averages(done)[None])
