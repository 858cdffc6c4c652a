"""What every measure offers: its facts, images prepared once, a search over poses, values at poses.

A measure is a class that extends :class:`Measure` in a file of its own, and a line of :mod:`cryoalign.metrics.names`.
All that is said of it anywhere is asked of the class. Poses are those of :mod:`cryoalign.core.poses`: they bring an
image onto its reference. Angles are in degrees, shifts in pixels, x before y.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import conjugate_weight, ring_index
from cryoalign.core.poses import Poses

Translation = Literal["grid", "closed-form", "none"]

APART_DEG = 10.0
"""With one reference, the margin is over the best pose that is turned by more than this."""
NOISY = 0.5
"""Below this SNR, over the frame, the measures lose that say so."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is known of images before they are compared.

    Parameters
    ----------
    mask_radius_px
        Radius of the disc that is compared, in pixels; None = 0.4 of the box.
    noise_spectrum
        Noise power per ring, float64 (L // 2 + 1,), E|F|^2 / L^2 as :func:`cryoalign.core.noise.noise_power` gives
        it; None = clean.
    snr
        Variance of the clean image over that of the noise, over the frame; None = not known.
    stack_spectrum
        Power per ring of the whole stack, signal and noise, inside the mask, float64 (L // 2 + 1,), as
        :func:`cryoalign.metrics.sliced.wiener_split.stack_power` gives it; sliced measures
        of noisy images need it (:func:`~cryoalign.metrics.sliced.wiener_split.known_of_stack`), as nothing of an image
        may depend on those that it is prepared with.
    """

    mask_radius_px: float | None = None
    noise_spectrum: NDArray[np.float64] | None = None
    snr: float | None = None
    stack_spectrum: NDArray[np.float64] | None = None

    def radius(self, box: int) -> float:
        """Return the radius of the mask in pixels for images of a side in pixels."""
        return 0.4 * box if self.mask_radius_px is None else float(self.mask_radius_px)

    def noise_variance(self, box: int) -> float:
        """Return the noise variance of a pixel: the mean power over all frequencies; 0 for clean images."""
        if self.noise_spectrum is None:
            return 0.0
        power = np.asarray(self.noise_spectrum, dtype=np.float64)[np.minimum(ring_index(box), box // 2)]
        return float((power * conjugate_weight(box)).sum() / box**2)


@dataclass(frozen=True, eq=False)
class SearchLimits:
    """Which poses are searched.

    Parameters
    ----------
    max_shift_px
        Radius of the disc of shifts, in pixels; 0 = rotations only.
    mirror
        Search mirrored images too.
    psi_centre_deg, psi_half_width_deg
        Only angles within the half width of each image's centre, shape (n,); None = the full circle.
    translation
        How shifts are found; None = as the measure does it by default (the first of its ``translations``).
    """

    max_shift_px: float = 0.0
    mirror: bool = False
    psi_centre_deg: NDArray[np.float64] | None = None
    psi_half_width_deg: float | None = None
    translation: Translation | None = None

    def windows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], float] | None:
        """Return the centres, (rows,), and the half width in degrees for some images; None for the full circle."""
        if self.psi_centre_deg is None or self.psi_half_width_deg is None or self.psi_half_width_deg >= 180.0:
            return None
        return np.asarray(self.psi_centre_deg, dtype=np.float64)[rows], float(self.psi_half_width_deg)


@dataclass(frozen=True, eq=False)
class Matches:
    """The best reference and pose of each of n images.

    Parameters
    ----------
    reference
        0-based, int64 (n,).
    poses
        They bring each image onto its reference.
    score
        As the measure defines it, float64 (n,).
    margin
        By how much the best is better, >= 0, float64 (n,): than the best of another reference, or, with one
        reference, than another peak turned by more than 10 degrees.
    found
        False where the search has no answer, since nothing correlates, and the image was left where it is, bool (n,);
        None = there is one for every image.
    """

    reference: NDArray[np.int64]
    poses: Poses
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    found: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class PairTable:
    """All pairs of a images with b images: float64 (a, b) each, mirror bool (a, b).

    The pose, psi in degrees, brings the image of the second set onto that of the first. ``found``, bool (a, b), is
    False where there is none, since nothing correlates; None = there is one for all.
    """

    value: NDArray[np.float64]
    psi: NDArray[np.float64]
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    found: NDArray[np.bool_] | None = None

    @classmethod
    def empty(cls, a: int, b: int) -> PairTable:
        """Return a table of zeros to be filled."""
        value, psi, dx, dy = (np.zeros((a, b)) for _ in range(4))
        return cls(value, psi, dx, dy, np.zeros((a, b), bool))

    def poses(self, at: Any = ...) -> Poses:
        """Return the poses of some pairs, by an index of the table, or of all, row by row."""
        return Poses(*(column[at].ravel() for column in (self.psi, self.dx, self.dy, self.mirror)))


class Ranking(ABC):
    """What says how far images are apart. Each answer depends on the two images and the limits, on nothing else.

    Attributes
    ----------
    name, words
        What the user types, and what that is, in a few words.
    lower_is_better
        Whether it is a distance.
    unit
        Of the distance that ``rid-distance`` writes: where higher is better, what images have with themselves less what
        they have with each other.
    in_pixels
        Whether values are in pixels of the images that are compared.
    cost, pair_ms
        What a pair costs, one sentence; CPU time of a pair of noisy 64 px images with shifts, in ms, measured.
    warning
        Where it loses, one sentence, or None.
    loses_in_noise
        Why it loses below an SNR of ``NOISY``, and what is better there; None where it does not.
    filters
        Whether noisy images pass a Wiener filter before they are compared.
    any_contrast
        Whether images may look like their references with inverted contrast.
    needs_extra
        Which extra of cryoalign it takes; None = it comes with all that it needs.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    lower_is_better: ClassVar[bool] = True
    unit: ClassVar[str]
    in_pixels: ClassVar[bool] = False
    cost: ClassVar[str]
    pair_ms: ClassVar[float]
    warning: ClassVar[str | None] = None
    loses_in_noise: ClassVar[str | None] = None
    filters: ClassVar[bool] = False
    any_contrast: ClassVar[bool] = False
    needs_extra: ClassVar[str | None] = None

    @abstractmethod
    def prepare(self, images: NDArray[np.float32], background: Preparation) -> Any:
        """Do once for each image, float32 (n, L, L), what does not depend on the others."""

    @abstractmethod
    def table(self, a: Any, b: Any, limits: SearchLimits) -> PairTable:
        """Compare all pairs; window centres of the limits are those of the images of b."""

    def for_ranking(self, snr: float | None, shifts: bool) -> Ranking:
        """Return what ranks images of an SNR, None for clean ones, in its place: what aligns best may not rank best."""
        return self

    @property
    def cost_in_words(self) -> str:
        """What a pair costs, and how long that takes."""
        return f"{self.cost}; about {self.pair_ms:g} ms a pair of 64 px"

    def own_value(self, image: Any) -> float:
        """Return the value of a prepared image with itself; only asked for where higher is better."""
        return float(self.table(image, image, SearchLimits()).value[0, 0])

    def warning_in_noise(self, snr: float | None) -> str | None:
        """Return one sentence where the measure loses at an SNR, else None."""
        if self.loses_in_noise is None or snr is None or snr >= NOISY:
            return None
        return f"--metric {self.name} on noisy particles (SNR {snr:.2g}): {self.loses_in_noise}"


class Measure(Ranking):
    """A measure: a ranking that also aligns.

    Attributes
    ----------
    translations
        How it can find shifts, the default first.
    """

    translations: ClassVar[tuple[Translation, ...]]

    @abstractmethod
    def search(self, references: Any, images: Any, limits: SearchLimits) -> Matches:
        """Find the best reference and pose of each image; both prepared."""

    @abstractmethod
    def refine(self, references: Any, images: Any, poses: Poses, limits: SearchLimits) -> Matches:
        """Go from a pose of each image to the nearest optimum against the first reference; margins are 0.

        Windows of the limits do not count.
        """

    @abstractmethod
    def at_poses(self, reference: Any, image: Any, poses: Poses) -> NDArray[np.float64]:
        """Return the values of one image against one reference (features of one each) at each of m poses, (m,)."""

    def curve(
        self, reference: Any, image: Any, psi_deg: NDArray[np.float64], at: Poses | None = None
    ) -> NDArray[np.float64]:
        """Return the values of one image against one reference turned by each angle, (A,).

        The shift and the mirror are those of the pose ``at``; none if it is not given.
        """
        still = Poses.identity(1) if at is None else at
        dx, dy, mirror = (np.full(len(psi_deg), column[0]) for column in (still.dx, still.dy, still.mirror))
        return self.at_poses(reference, image, Poses(psi_deg, dx, dy, mirror))

    def value(
        self,
        reference: NDArray[np.float32],
        image: NDArray[np.float32],
        poses: Poses,
        background: Preparation | None = None,
    ) -> NDArray[np.float64]:
        """Return the values of one image (L, L), moved by each of m poses, against one reference (L, L): (m,).

        The noise is that of the image; the reference is taken as it is.
        """
        known = background or Preparation()
        fixed = self.prepare(np.asarray(reference, np.float32)[None], replace(known, noise_spectrum=None))
        return self.at_poses(fixed, self.prepare(np.asarray(image, np.float32)[None], known), poses)

    def own_value(self, image: Any) -> float:
        """Return the value of a prepared image with itself, as it is."""
        return float(self.at_poses(image, image, Poses.identity(1))[0])

    def across_scales(
        self, reference: Any, images: Any, poses: Poses, values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what matches of n images at different scales are compared by, (n,): their values, if not overridden.

        Parameters
        ----------
        reference, images
            Prepared, one and n.
        poses, values
            Of the n images.
        """
        return values

    def shifts_by(self, limits: SearchLimits) -> Translation:
        """Return how shifts are to be found.

        Raises
        ------
        InputError
            If the measure does not do what is asked for.
        """
        wanted = limits.translation or self.translations[0]
        if wanted not in self.translations:
            ways = ", ".join(self.translations)
            raise InputError(f"{self.name} does not find shifts this way", value=wanted, hint=f"it knows {ways}")
        return wanted if limits.max_shift_px > 0 else "none"
