"""What reports are told about how far averages can be trusted: plain arrays and words, checked once.

FRC: Fourier ring correlation of two half averages. The kinds of an FRC, and what counts as a resolution, are those of
the command that measured it; a report only says what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOT_RESOLVED_ANGSTROM = 999.0
"""Stands for a resolution that is not known: never above the threshold, or nothing independent."""

Verdict = Literal["signal", "no signal", "cannot tell"]


@dataclass(frozen=True, eq=False, kw_only=True)
class FrcCurve:
    """The FRC of one class, box L, ring k at k / (L * pixel size) 1/A.

    Parameters
    ----------
    frc
        (L // 2 + 1,) in [-1, 1].
    noise_curve
        (L // 2 + 1,) what halves of nothing but noise stay under (3 sigma).
    ssnr
        (L // 2 + 1,) spectral signal-to-noise ratio (power) of the full average.
    shared_ring
        Last ring on which both halves were aligned to the same thing; 0 = none but the mean, L // 2 = all. Finer rings
        are independent.
    resolution_angstrom, resolution_half_angstrom
        At 0.143 and at 0.5, from independent rings only; 999 = none.
    smoothing_rings
        Rings that were pooled to read the resolutions; 1 = none. `frc` and `noise_curve` are of single rings.

    Raises
    ------
    ValueError
        If lengths differ.
    """

    frc: NDArray
    noise_curve: NDArray
    ssnr: NDArray
    shared_ring: int = 0
    resolution_angstrom: float = NOT_RESOLVED_ANGSTROM
    resolution_half_angstrom: float = NOT_RESOLVED_ANGSTROM
    smoothing_rings: int = 3

    def __post_init__(self) -> None:
        """Refuse curves of unlike length."""
        for name in ("noise_curve", "ssnr"):
            expect_shape(name, getattr(self, name), np.shape(self.frc))
        if np.ndim(self.frc) != 1 or len(self.frc) < 2:
            raise ValueError(f"frc must be (L // 2 + 1,), not {np.shape(self.frc)}")

    @property
    def independent(self) -> bool:
        """Whether any ring is independent; if not, nothing here is a resolution."""
        return self.shared_ring < len(self.frc) - 1

    @property
    def kind(self) -> str:
        """The word that files use."""
        return "independent" if self.independent else "frc_common_reference"

    def bound_angstrom(self, width_angstrom: float) -> float | None:
        """Return what the resolution is no finer than, where halves fall apart on rings that they share.

        Sharing can only make halves more alike, so they resolve nothing beyond the last ring before the first fall
        below 0.143 or the noise curve. None if the curve does not fall on a shared ring, or falls at once.

        Parameters
        ----------
        width_angstrom
            Box times pixel size.
        """
        fall = self._fall
        return None if fall is None else width_angstrom / float(fall - 1)

    @cached_property
    def _fall(self) -> int | None:
        """The first ring, from 3 on, where halves fall apart; None where they do not, or on rings of their own."""
        rings = self.smoothing_rings
        frc = np.asarray(self.frc, np.float64)
        half = rings // 2
        padded = np.concatenate([np.full(half, frc[0]), frc, np.full(half, frc[-1])])
        pooled = np.convolve(padded, np.ones(rings) / rings, "valid")[: len(frc)]
        below = np.flatnonzero(pooled < np.maximum(0.143, np.asarray(self.noise_curve) / np.sqrt(rings)))
        # Ring 1 and those beside it hold too few pixels to tell anything.
        below = below[below >= 3]
        return None if not len(below) or below[0] > self.shared_ring else int(below[0])


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

    counts: tuple[int, int]
    rule: str
    shared_resolution_angstrom: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassGuard:
    """The guard's finding for one class."""

    number: int
    z: float
    share: float
    n: int
    verdict: Verdict


@dataclass(frozen=True, eq=False, kw_only=True)
class GuardSummary:
    """The guard against model bias: particles aligned on coarse rings, judged on finer ones.

    Parameters
    ----------
    z
        mean(u) sqrt(n) / sd(u); NaN where there is none.
    share
        A: the share of particles that carry the reference's detail (1 = all, 0 = none), if its intensity is right.
    n
        Particles that were looked at.
    verdict
        Of the whole set.
    aligned_to_angstrom
        Finest resolution that took part in the alignment.
    judged_from_angstrom, judged_to_angstrom
        The band that was judged, coarse and fine end.
    expected_z
        What real particles of this number and noise would give, or None.
    threshold
        z below which one is warned.
    cross_fitted
        Whether references were averages of the other half (else they came from outside).
    inverted
        Whether the given references were taken with inverted contrast.
    classes
        For each class; may be empty.
    u
        (n,) products of particle and reference in the judged band, all of them and in any unit: they are drawn in one
        that makes their mean `share`; or None.
    share_error
        Standard error of `share`, or None.
    intensity
        What `share` would be if all particles were real, from the aligned rings, or None.
    """

    z: float
    share: float
    n: int
    verdict: Verdict
    aligned_to_angstrom: float
    judged_from_angstrom: float
    judged_to_angstrom: float
    expected_z: float | None = None
    threshold: float = 3.1
    cross_fitted: bool = False
    inverted: bool = False
    classes: Sequence[ClassGuard] = ()
    u: NDArray | None = None
    share_error: float | None = None
    intensity: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class NullTestSummary:
    """Noise through the same path as the particles ("Einstein from noise").

    Parameters
    ----------
    class_numbers
        (k,) the classes that are shown, 1-based.
    references, noise_averages
        (k, L, L): what was aligned to, and the average of as many noise images.
    real_averages
        (k, L, L): of the particles; NaN or zero where a class has none.
    members
        (k,) images in each noise average.
    counts
        (p,) numbers of images of the curve, such as 128 ... 2048; may be empty.
    noise_correlation
        (p,) correlation of the average of so many aligned noise images with the reference.
    real_correlation
        (p,) the same of the particles, or None; NaN where there were too few.
    curve_class
        The class of the curve, or None.
    """

    class_numbers: Sequence[int]
    references: NDArray
    noise_averages: NDArray
    real_averages: NDArray
    members: Sequence[int]
    counts: Sequence[int] = ()
    noise_correlation: Sequence[float] = ()
    real_correlation: Sequence[float] | None = None
    curve_class: int | None = None

    def __post_init__(self) -> None:
        """Refuse stacks and lists that do not belong together."""
        k = len(self.class_numbers)
        if np.ndim(self.references) != 3 or len(self.references) != k:
            raise ValueError(
                f"references must be (k, L, L) with one class number each, not {np.shape(self.references)}"
            )
        for name in ("noise_averages", "real_averages"):
            expect_shape(name, getattr(self, name), np.shape(self.references))
        expect_shape("members", self.members, (k,))
        expect_shape("noise_correlation", self.noise_correlation, (len(self.counts),))
        if self.real_correlation is not None:
            expect_shape("real_correlation", self.real_correlation, (len(self.counts),))


def expect_shape(name: str, value: ArrayLike, shape: tuple[int, ...]) -> None:
    """Raise ValueError where a value has not the shape it should have."""
    if np.shape(value) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, not {np.shape(value)}")


def expect_frc(curves: Mapping[int, FrcCurve], box: int) -> None:
    """Raise ValueError where a curve does not belong to averages of this box."""
    for number, curve in curves.items():
        expect_shape(f"frc[{number}]", curve.frc, (box // 2 + 1,))
