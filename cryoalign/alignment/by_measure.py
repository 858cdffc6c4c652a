"""Alignment to given references by any measure of :mod:`cryoalign.metrics`: the strategy behind ``align --metric``.

Measures know nothing of the CTF or of coloured noise. So images lose their background's level and the signs of their
CTF, and are filtered to the band of the search; references get the mean strength of the CTF and the images' intensity,
so that measures of differences compare like with like. The noise is told to the measure, which filters by it or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import TileInputs
from cryoalign.averaging.ctf_sums import apply_ctf
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.filters import apply_ring_gain
from cryoalign.core.masks import background_region, background_statistics
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.result import SearchResult
from cryoalign.metrics.measure import Matches, Measure, Preparation, SearchLimits
from cryoalign.metrics.ncc import NormalisedCrossCorrelation
from cryoalign.metrics.pixels.pixel_measure import PixelFeatures
from cryoalign.metrics.sliced.wiener_split import known_of_stack

_NCC = NormalisedCrossCorrelation()
_AT_LIMIT = 1e-3
"""Pixels or degrees from the border of the search that still count as on it."""


@dataclass(frozen=True, eq=False)
class MeasuredResult(SearchResult):
    """What :class:`SearchResult` says, with the measure's own value.

    ``score`` is the correlation of the pixels inside the mask at the pose that the measure found, ``margin`` is in the
    measure's units, and errors are unknown: 180 degrees and the box.

    Parameters
    ----------
    value
        Of the measure, at the pose, float64 (n,).
    """

    value: NDArray[np.float64] = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class MeasurePlan:
    """A measure with its references; shared by threads.

    Parameters
    ----------
    measure, limits
        What compares, and where it looks; without windows.
    known
        What is known of the images of each noise group.
    gain
        Filter of the images, (box // 2 + 1,); None = none.
    pixel_size_angstrom
        Of the images.
    references, pixels
        Prepared for the measure, and for correlations.
    """

    measure: Measure
    limits: SearchLimits
    known: tuple[Preparation, ...]
    gain: NDArray[np.float64] | None
    pixel_size_angstrom: float
    references: Any
    pixels: PixelFeatures

    @property
    def box(self) -> int:
        """Side of the images in pixels."""
        return self.pixels.box


def known_of_groups(
    samples: Sequence[NDArray[np.float32]], noise_power: NDArray[np.float64], radius_px: float
) -> tuple[Preparation, ...]:
    """Measure what is known of the images of each noise group.

    Parameters
    ----------
    samples
        Some images of each group, as :func:`comparable` gives them, (n, L, L).
    noise_power
        Of each group, with the filter of the images, (groups, L // 2 + 1).
    radius_px
        Of the mask.
    """
    known = []
    for images, noise in zip(samples, noise_power, strict=True):
        known.append(known_of_stack(images, Preparation(radius_px, np.asarray(noise, np.float64))))
    return tuple(known)


def plan_by_measure(
    measure: Measure,
    references: NDArray[np.float32],
    known: tuple[Preparation, ...],
    limits: SearchLimits,
    gain: NDArray[np.float64] | None,
    pixel_size_angstrom: float,
) -> MeasurePlan:
    """Prepare references, float32 (m, L, L), masked and on the images' scale, for a measure."""
    clean = Preparation(known[0].mask_radius_px)
    return MeasurePlan(
        measure, limits, known, gain, pixel_size_angstrom, measure.prepare(references, clean),
        _NCC.prepare(references, clean),
    )  # fmt: skip


def comparable(
    images: NDArray[np.float32],
    ctf: CtfParameters | None,
    gain: NDArray[np.float64] | None,
    *,
    outside: NDArray[np.bool_],
    pixel_size_angstrom: float,
    intact_first_peak: bool = False,
) -> NDArray[np.float32]:
    """Take off the level of images (n, L, L) and the signs of their CTF, and filter them; each on its own."""
    level, _ = background_statistics(images, outside)
    images = images - level[:, None, None].astype(np.float32)
    images = apply_ctf(images, ctf, pixel_size_angstrom, "flip", intact_first_peak)
    return images if gain is None else np.stack([apply_ring_gain(image, gain) for image in images])


class MeasureAligner:
    """Aligns tiles of images to the references of a plan, as :class:`ReferenceAligner` does; one per thread."""

    def __init__(self, plan: MeasurePlan) -> None:
        self.plan = plan
        self._outside = background_region(plan.box, 2 * plan.known[0].radius(plan.box))

    def align(self, images: NDArray[np.float32], inputs: TileInputs) -> MeasuredResult:
        """Find reference and pose of every valid image of a tile.

        Parameters
        ----------
        images
            Float32 (n, box, box), row i in slot i.
        inputs
            What is known of them; ``ctf``, not ``coefficients``, is looked at.
        """
        n = len(images)
        columns = {name: np.zeros(n) for name in ("psi", "dx", "dy", "value", "margin", "score", "scale")}
        mirror, at_limit, reference = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.int32)
        for group, known in enumerate(self.plan.known):
            rows = np.flatnonzero(inputs.valid & (inputs.group == group))
            if len(rows) == 0:
                continue
            moved = self._moved(images, inputs, rows)
            found, limit = self._search(moved, known, inputs, rows)
            origin = inputs.origin[rows]
            whole = Poses(np.zeros(len(rows)), origin[:, 0], origin[:, 1]).then(found.poses)
            for name in ("psi", "dx", "dy"):
                columns[name][rows] = getattr(whole, name)
            mirror[rows], at_limit[rows], reference[rows] = whole.mirror, limit, found.reference
            columns["value"][rows], columns["margin"][rows] = found.score, found.margin
            columns["score"][rows], columns["scale"][rows] = self._correlation(moved, found)
        return MeasuredResult(
            Poses(columns["psi"], columns["dx"], columns["dy"], mirror), reference, columns["score"],
            columns["margin"], np.full(n, 180.0), np.full(n, float(self.plan.box)), columns["scale"], at_limit,
            value=columns["value"],
        )  # fmt: skip

    def _moved(self, images: NDArray[np.float32], inputs: TileInputs, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return images ready to be compared, shifted by their input origin, round which is searched."""
        ready = comparable(
            images[rows], None if inputs.ctf is None else inputs.ctf.take(rows), self.plan.gain,
            outside=self._outside, pixel_size_angstrom=self.plan.pixel_size_angstrom,
            intact_first_peak=inputs.intact_first_peak,
        )  # fmt: skip
        origin = inputs.origin[rows]
        away = np.flatnonzero(origin.any(axis=1))
        if len(away):
            ready[away] = resample(ready[away], Poses(np.zeros(len(away)), origin[away, 0], origin[away, 1]))
        return ready

    def _search(
        self, images: NDArray[np.float32], known: Preparation, inputs: TileInputs, rows: NDArray[np.intp]
    ) -> tuple[Matches, NDArray[np.bool_]]:
        """Search images that were moved by their origins; also whether the answer is on the border."""
        plan = self.plan
        features = plan.measure.prepare(images, known)
        if inputs.local_deg is None or inputs.psi_prior is None:
            found = plan.measure.search(plan.references, features, plan.limits)
            return found, self._at_border(found)
        answers = []
        for turn in (0.0, 180.0) if inputs.local_flip else (0.0,):
            centre = wrap_degrees(inputs.psi_prior[rows] + turn)
            limits = replace(plan.limits, psi_centre_deg=centre, psi_half_width_deg=inputs.local_deg)
            found = plan.measure.search(plan.references, features, limits)
            away = np.abs(wrap_degrees(found.poses.psi - centre))
            answers.append((found, self._at_border(found) | (away > inputs.local_deg - _AT_LIMIT)))
        return answers[0] if len(answers) == 1 else self._better(*answers[0], *answers[1])

    def _at_border(self, found: Matches) -> NDArray[np.bool_]:
        reach = self.plan.limits.max_shift_px
        return np.asarray((reach > 0) & (np.hypot(found.poses.dx, found.poses.dy) > reach - _AT_LIMIT))

    def _better(
        self, first: Matches, first_limit: NDArray[np.bool_], second: Matches, second_limit: NDArray[np.bool_]
    ) -> tuple[Matches, NDArray[np.bool_]]:
        """Keep the better answer of each image; its margin also counts against the other one."""
        sign = -1.0 if self.plan.measure.lower_is_better else 1.0
        take = sign * second.score > sign * first.score
        reference, score, own = (
            np.where(take, getattr(second, c), getattr(first, c)) for c in ("reference", "score", "margin")
        )
        margin = np.minimum(own, np.abs(second.score - first.score))
        best = Matches(reference, Poses.where(take, second.poses, first.poses), score, margin)
        return best, np.where(take, second_limit, first_limit)

    def _correlation(
        self, images: NDArray[np.float32], found: Matches
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return correlation with the reference at the pose, and the intensity of images relative to it."""
        plan, box = self.plan, self.plan.box
        features = _NCC.prepare(images, Preparation(plan.known[0].mask_radius_px))
        score = np.zeros(len(images))
        for reference in np.unique(found.reference):
            rows = np.flatnonzero(found.reference == reference)
            score[rows] = _NCC.values_at(plan.pixels, int(reference), features, rows, found.poses.take(rows))
        own = features.level(box).statistics[:, 1]
        theirs = plan.pixels.level(box).statistics[found.reference, 1]
        return score, score * np.divide(own, theirs, out=np.zeros(len(own)), where=theirs > 0)
