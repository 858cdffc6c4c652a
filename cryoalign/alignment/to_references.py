"""Alignment to given references: the strategy behind ``align --reference``.

Every image is compared with every reference over all rotations and shifts by the search core; the best one gives its
class and its pose (projection matching; Penczek, Radermacher and Frank, Ultramicroscopy 40:33, 1992, for the idea).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.masks import background_region, background_statistics, soft_disc
from cryoalign.core.poses import Poses
from cryoalign.core.search.result import SearchResult
from cryoalign.core.search.search import Searcher, SearchPlan


def mask_references(
    references: NDArray[np.float32],
    mask_diameter_px: float,
    *,
    pixel_size_angstrom: float = 1.0,
    lowpass_angstrom: float | None = None,
    highpass_angstrom: float | None = None,
) -> NDArray[np.float32]:
    """Take the background's mean off, filter, and mask references softly; particles are never masked.

    Parameters
    ----------
    references
        Shape (m, box, box).
    mask_diameter_px
        Diameter of the disc in pixels; its edge falls off over 5 px.
    pixel_size_angstrom, lowpass_angstrom, highpass_angstrom
        Band-pass of the references, in A; since the score is linear in the reference it limits the score's band.
    """
    box = references.shape[-1]
    outside = background_region(box, mask_diameter_px)
    level = references[:, outside].mean(axis=1, dtype=np.float64).astype(np.float32)
    centred = references - level[:, None, None]
    if lowpass_angstrom is not None or highpass_angstrom is not None:
        centred = apply_ring_gain(centred, bandpass(box, pixel_size_angstrom, lowpass_angstrom, highpass_angstrom))
    return np.asarray(centred * soft_disc(box, mask_diameter_px), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class TileInputs:
    """What is known of the images of a tile besides their pixels; see :meth:`Searcher.search` for shapes and units.

    ``psi_prior`` centres a local search of ``local_deg`` either way; ``local_flip`` adds the opposite direction.
    ``ctf`` says the same as ``coefficients``, for measures that know nothing of the CTF.
    """

    valid: NDArray[np.bool_]
    group: NDArray[np.int64]
    coefficients: NDArray[np.float32] | None
    intact_first_peak: bool
    origin: NDArray[np.float64]
    psi_prior: NDArray[np.float64] | None = None
    local_deg: float | None = None
    local_flip: bool = False
    ctf: CtfParameters | None = None


class Aligner(Protocol):
    """Finds reference and pose of the images of a tile; one per worker."""

    def align(self, images: NDArray[np.float32], inputs: TileInputs) -> SearchResult:
        """Align the valid images, float32 (n, box, box), n <= 64, row i in slot i."""
        ...


class ReferenceAligner:
    """Aligns tiles of images to the references of a plan; one per thread.

    Parameters
    ----------
    plan
        From :func:`cryoalign.core.search.search.plan_search`.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan
        self._searcher = Searcher(plan)
        self._outside = background_region(plan.box, 2 * plan.settings.radius_px)

    def align(self, images: NDArray[np.float32], inputs: TileInputs) -> SearchResult:
        """Find reference and pose of every valid image of a tile.

        Parameters
        ----------
        images
            Float32 (n, box, box), n <= 64, row i in slot i.
        inputs
            What is known of them.
        """
        # A level far from 0 would leak from the Fourier origin into the first rings, thousands of times their signal.
        # It is the background's: the mean of the whole image would leave a box where there was nothing.
        level, _ = background_statistics(images, self._outside)
        images = images - level[:, None, None].astype(np.float32)
        if inputs.local_deg is None or inputs.psi_prior is None:
            return self._search(images, inputs, None)
        window = inputs.psi_prior[:, None] + np.array([-inputs.local_deg, inputs.local_deg])
        result = self._search(images, inputs, window)
        if inputs.local_flip:
            result = _better(result, self._search(images, inputs, window + 180.0))
        return result

    def _search(self, images: NDArray[np.float32], inputs: TileInputs, window: NDArray | None) -> SearchResult:
        return self._searcher.search(
            images,
            valid=inputs.valid,
            group=inputs.group,
            coefficients=inputs.coefficients,
            intact_first_peak=inputs.intact_first_peak,
            origin=inputs.origin,
            psi_window=window,
        )


def _better(first: SearchResult, second: SearchResult) -> SearchResult:
    """Keep the better answer of each image; its margin also counts against the other one."""
    take = second.score > first.score
    margin = np.minimum(np.where(take, second.margin, first.margin), np.abs(second.score - first.score))
    names = ("reference", "score", "psi_error_deg", "shift_error_px", "scale", "at_limit")
    chosen = {name: np.where(take, getattr(second, name), getattr(first, name)) for name in names}
    return replace(first, poses=Poses.where(take, second.poses, first.poses), margin=margin, **chosen)


def origin_change(poses: Poses, origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the content moved from where the search began, in pixels of the unflipped image, shape (n, 2)."""
    return np.stack([np.where(poses.mirror, -poses.dx, poses.dx) - origin[:, 0], poses.dy - origin[:, 1]], axis=1)
