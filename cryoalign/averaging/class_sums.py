"""Sums of aligned images by cell (class and half), and what their CTFs let through, in integers that no order changes.

A cell is a class, or 2 * class + half where halves are kept apart. With C the CTF and F the raw image, "wiener" sums
C F and C^2 (Wiener's filter divides them; Penczek, Methods Enzymol. 482:1, 2010, section 3), "flip" sums sign(C) F and
"plain" sums F. C^2 is kept for every Fourier pixel of the aligned frame: the direction of astigmatism turns with each
image, and on coarse rings C^2 changes within a ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.ctf_sums import POWER_SCALE, aligned_ctf, resample_with_ctf
from cryoalign.averaging.exact_sums import ExactSums, places
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.filters import match_geometry, same_geometry
from cryoalign.core.kernels import kernel
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import Edge, Interpolation

Treatment = Literal["wiener", "flip", "plain"]
TREATMENTS: tuple[str, ...] = get_args(Treatment)


@dataclass(frozen=True)
class SumSettings:
    """What is summed, and how.

    Parameters
    ----------
    box, pixel_size_angstrom
        Of the raw images: side L in pixels, pixel size in A.
    out_box, out_pixel_size_angstrom
        Of the totals.
    n_cells
        Number of cells.
    scale
        From :func:`cryoalign.averaging.exact_sums.fixed_point_scale`; the same wherever sums are added.
    treatment
        What is done about the CTF: "wiener", "flip" or "plain".
    interpolation, edge
        See :func:`cryoalign.core.resample.resample`.
    intact_first_peak
        Take the CTF as 1 up to its first peak.
    """

    box: int
    pixel_size_angstrom: float
    out_box: int
    out_pixel_size_angstrom: float
    n_cells: int
    scale: float
    treatment: Treatment = "wiener"
    interpolation: Interpolation = "fourier"
    edge: Edge = "wrap"
    intact_first_peak: bool = False


class ClassSums:
    """Sums of one geometry.

    Parameters
    ----------
    settings
        What is summed.

    Attributes
    ----------
    counts
        Images in each cell, int64 (n_cells,).
    """

    def __init__(self, settings: SumSettings) -> None:
        if settings.treatment not in TREATMENTS:
            raise ValueError(f"treatment must be one of {', '.join(TREATMENTS)}, not {settings.treatment!r}")
        self.settings = settings
        self._images = ExactSums(settings.n_cells, settings.box, settings.scale)
        # Sum of the weights of images without a CTF, in units of 1 / POWER_SCALE.
        self._flat = np.zeros(settings.n_cells, np.int64)
        self._power: NDArray[np.int64] | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Images in each cell, shape (n_cells,)."""
        return self._images.counts

    def add(
        self,
        images: NDArray[np.float32],
        poses: Poses,
        cells: NDArray[np.integer],
        ctf: CtfParameters | None = None,
        weights: ArrayLike | None = None,
        image_of: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Align images and add them to their cells.

        Parameters
        ----------
        images
            Raw images, float32 (n, L, L).
        poses
            Of the n images, offsets in pixels of the raw images.
        cells
            Shape (n,); a negative cell leaves an image out, whatever its pixels.
        ctf
            Of the n images; None for C = 1. It says what was done to the data already (phase-flipped, premultiplied).
        weights
            Shape (n,), not negative; they multiply the image and its C^2.
        image_of
            Where images are added more than once: which one each of m additions takes, (m,), the same next to each
            other; then poses, cells and weights are of the m additions.

        Returns
        -------
        NDArray
            The images that were added, aligned and treated, in their order.

        Raises
        ------
        InputError
            If a pixel is too large for the sum.
        """
        settings = self.settings
        cells = np.asarray(cells, np.int64)
        count = len(images) if image_of is None else len(image_of)
        if not count == len(poses) == len(cells):
            raise ValueError(f"{count} images, {len(poses)} poses and {len(cells)} cells")
        if np.max(cells, initial=-1) >= settings.n_cells:
            raise ValueError(f"there are {settings.n_cells} cells, not {int(np.max(cells)) + 1}")
        factors = np.ones(len(cells)) if weights is None else np.asarray(weights, np.float64)
        if factors.shape != cells.shape or not (np.isfinite(factors) & (factors >= 0)).all():
            raise ValueError("weights must be finite, not negative, and as many as there are images")
        taken = np.flatnonzero(cells >= 0)
        if len(taken) == 0:
            return images[:0]
        if len(taken) < len(cells):
            poses, cells, factors = poses.take(taken), cells[taken], factors[taken]
            if image_of is None:
                images, ctf = images[taken], None if ctf is None else ctf.take(taken)
            else:
                used, image_of = np.unique(image_of[taken], return_inverse=True)
                images, ctf = images[used], None if ctf is None else ctf.take(used)
        aligned = resample_with_ctf(
            images,
            poses,
            ctf,
            settings.pixel_size_angstrom,
            treatment=settings.treatment,
            intact_first_peak=settings.intact_first_peak,
            interpolation=settings.interpolation,
            edge=settings.edge,
            image_of=image_of,
        )
        if weights is not None:
            aligned *= factors.astype(np.float32)[:, None, None]
        self._images.add(aligned, cells)
        if ctf is None or settings.treatment != "wiener":
            np.add.at(self._flat, cells, np.rint(factors * POWER_SCALE).astype(np.int64))
            return aligned
        ctf = ctf if image_of is None else ctf.take(image_of)
        values = aligned_ctf(ctf, poses, settings.out_box, settings.out_pixel_size_angstrom, settings.intact_first_peak)
        if not _add_squares(values, cells, factors * POWER_SCALE, self._power_sums()):
            raise InputError("a CTF is over a thousand", hint="look for a scale or B factor out of range")
        return aligned

    def pack(self, prefix: str = "") -> dict[str, NDArray]:
        """Return arrays for a part file, their names beginning with the prefix: only cells that have members."""
        packed = {name: value for name, value in self._images.pack().items() if name != "classes"}
        cells = np.flatnonzero(self.counts)
        taken = places(cells)
        arrays = {"cells": cells, **packed, "flat": self._flat[taken]}
        if self._power is not None:
            arrays["power"] = self._power[taken]
        return {prefix + name: value for name, value in arrays.items()}

    def add_packed(self, arrays: dict[str, NDArray], prefix: str = "", first_cell: int = 0) -> None:
        """Add what :meth:`pack` returned for the same settings, or for more cells.

        Then cells ``first_cell`` .. ``first_cell + n_cells - 1`` are added as cells 0 .. n_cells - 1, others left out.
        """
        packed = arrays[f"{prefix}cells"] - first_cell
        mine = slice(*np.searchsorted(packed, (0, self.settings.n_cells)))  # they ascend
        cells = places(packed[mine])
        self._images.add_packed(cells, arrays[f"{prefix}counts"][mine], arrays[f"{prefix}sums"][mine])
        self._flat[cells] += arrays[f"{prefix}flat"][mine]
        if f"{prefix}power" in arrays:
            self._power_sums()[cells] += arrays[f"{prefix}power"][mine]

    def totals(self) -> NDArray[np.float64]:
        """Return the sums in the images' own unit at the output geometry, float64 (n_cells, out_box, out_box)."""
        s = self.settings
        totals = self._images.totals()
        if self._same_geometry():
            return totals
        matched = np.empty((len(totals), s.out_box, s.out_box))
        for c, total in enumerate(totals):  # one by one: a batch could change last bits
            one = total[None].astype(np.float32)
            matched[c] = match_geometry(one, s.pixel_size_angstrom, s.out_box, s.out_pixel_size_angstrom)[0]
        return matched

    def ctf_power(self) -> NDArray[np.float64]:
        """Return the sums of w C^2 on the frequencies of the output geometry's ``rfft2``.

        Returns
        -------
        NDArray
            float64 (n_cells, out_box, out_box // 2 + 1). Images without a CTF count as w, as do all images in "flip"
            and "plain". Where the output is sampled finer than the images, what lies beyond their Nyquist frequency
            holds nothing.
        """
        s = self.settings
        half = s.out_box // 2 + 1
        power = np.repeat((self._flat / POWER_SCALE)[:, None], s.out_box * half, axis=1)
        power = power.reshape(-1, s.out_box, half)
        if self._power is not None:
            power += self._power / POWER_SCALE
        if not self._same_geometry():
            ky, kx = (
                np.fft.fftfreq(s.out_box, s.out_pixel_size_angstrom),
                np.fft.rfftfreq(s.out_box, s.out_pixel_size_angstrom),
            )
            power *= np.hypot(kx[None, :], ky[:, None]) < 0.5 / s.pixel_size_angstrom
        return power

    def _same_geometry(self) -> bool:
        s = self.settings
        return same_geometry(s.box, s.pixel_size_angstrom, s.out_box, s.out_pixel_size_angstrom)

    def _power_sums(self) -> NDArray[np.int64]:
        if self._power is None:
            s = self.settings
            self._power = np.zeros((s.n_cells, s.out_box, s.out_box // 2 + 1), np.int64)
        return self._power


@kernel(nogil=True)
def _add_squares(values, cells, scales, sums):  # type: ignore[no-untyped-def]
    # C^2 below 2^20 leaves room for 2^10 such images; a C^2 of 1 for 2^30.
    for i in range(values.shape[0]):
        c, scale = cells[i], scales[i]
        limit = 2.0**20 * scale
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                value = np.rint(values[i, y, x] * values[i, y, x] * scale)
                if not value <= limit:
                    return False
                sums[c, y, x] += np.int64(value)
    return True
