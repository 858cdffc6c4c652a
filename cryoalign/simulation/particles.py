"""Particles whose truth is known: view, pose, CTF and noise drawn by seed and row, so that a row is always the same.

Every row has its own counter-based random streams (Philox; Salmon et al. 2011, SC'11), keyed by (seed, row, purpose):
no block size, order, subset or number of threads can change a particle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.poses import Poses
from cryoalign.simulation.noise import NoiseSpectrum, noise_image

_POSE, _CTF, _NOISE = range(3)
_STREAMS = 4
SCALE_ROWS = 1000
"""The signal's variance is the mean over at most so many rows, evenly spaced."""


class Projector(Protocol):
    """What can be projected: a `Phantom` or a `MapProjector`."""

    def project(
        self, rot_deg: ArrayLike, tilt_deg: ArrayLike, poses: Poses, box: int, pixel_size_angstrom: float
    ) -> NDArray[np.float32]:
        """Project n times: the view (rot, tilt), rotated by -psi, then displaced by -d.

        Parameters
        ----------
        rot_deg, tilt_deg
            Views in degrees, shape (n,).
        poses
            n poses in pixels, without mirrors; they bring the images back onto their views.
        box
            Side L of the images in pixels.
        pixel_size_angstrom
            Pixel size in A.

        Returns
        -------
        NDArray
            float32, shape (n, L, L).
        """
        ...


@dataclass(frozen=True)
class CtfRecipe:
    """How defocus is drawn, and what all particles share.

    Defocus (mean of U and V) is uniform between the limits, U - V uniform from 0 to `astigmatism_angstrom`, the angle
    uniform in [0, 180).
    """

    defocus_min_angstrom: float
    defocus_max_angstrom: float
    astigmatism_angstrom: float
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float


@dataclass(frozen=True, eq=False)
class Recipe:
    """What to simulate.

    Parameters
    ----------
    count
        Number of particles.
    box
        Side in pixels.
    pixel_size_angstrom
        Pixel size in A.
    views
        (rot, tilt) in degrees of the views to choose from, shape (K, 2); None draws every particle's view from the
        whole sphere.
    shift_sd_px
        Standard deviation of either coordinate of the shift, in pixels.
    ctf
        None leaves images without a CTF.
    noise
        None leaves images without noise.
    snr
        Variance of the clean image (after CTF and shift, over the whole box, mean over images) per noise variance.
    seed
        From 0 to 2^64 - 1.
    """

    count: int
    box: int
    pixel_size_angstrom: float
    views: NDArray[np.float64] | None
    shift_sd_px: float
    ctf: CtfRecipe | None
    noise: NoiseSpectrum | None
    snr: float
    seed: int


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of some particles: arrays of shape (n,); angles in degrees, origins in pixels, views from 0."""

    rot_deg: NDArray[np.float64]
    tilt_deg: NDArray[np.float64]
    poses: Poses
    view: NDArray[np.int64] | None
    ctf: CtfParameters | None


class Simulation:
    """Particles by row.

    Parameters
    ----------
    projector
        What the particles show.
    recipe
        How.

    Attributes
    ----------
    scale
        Factor on the projections: with noise it makes the noise variance 1 at the wanted ratio, without it is 1.
    noise_power
        Noise power per ring, shape (box // 2 + 1,); None without noise.
    """

    def __init__(self, projector: Projector, recipe: Recipe) -> None:
        self.recipe = recipe
        self._projector = projector
        self.scale = 1.0
        self.noise_power: NDArray[np.float64] | None = None
        if recipe.noise is not None:
            self.noise_power = recipe.noise.ring_power(recipe.box, recipe.pixel_size_angstrom)
            self.scale = float(np.sqrt(recipe.snr / self._signal_variance()))

    def truth(self, rows: NDArray[np.integer]) -> Truth:
        """Return what is true of the given 0-based rows."""
        recipe = self.recipe
        uniform, normal = np.empty((len(rows), 3)), np.empty((len(rows), 2))
        for i, row in enumerate(rows):
            generator = self._generator(int(row), _POSE)
            uniform[i], normal[i] = generator.random(3), generator.standard_normal(2)
        poses = Poses(360.0 * uniform[:, 2] - 180.0, *(recipe.shift_sd_px * normal.T))
        if recipe.views is None:
            rot, tilt = 360.0 * uniform[:, 0], np.degrees(np.arccos(1.0 - 2.0 * uniform[:, 1]))
            return Truth(rot, tilt, poses, None, self._ctf(rows))
        view = np.floor(uniform[:, 0] * len(recipe.views)).astype(np.int64)
        return Truth(recipe.views[view, 0], recipe.views[view, 1], poses, view, self._ctf(rows))

    def clean(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the images of the given rows without noise, scaled, float32 of shape (n, box, box)."""
        return self._clean(self.truth(rows)) * np.float32(self.scale)

    def images(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the particles of the given rows, float32 of shape (n, box, box)."""
        images = self.clean(rows)
        if self.noise_power is not None:
            for i, row in enumerate(rows):
                images[i] += noise_image(self._generator(int(row), _NOISE), self.noise_power, self.recipe.box)
        return images

    def references(self) -> NDArray[np.float32]:
        """Return each view's projection at psi 0, without shift, CTF or noise, on the particles' scale: (K, box, box).

        Raises
        ------
        ValueError
            If every particle has a view of its own.
        """
        views = self.recipe.views
        if views is None:
            raise ValueError("views of the whole sphere have no references")
        poses = Poses.identity(len(views))
        box, pixel_size = self.recipe.box, self.recipe.pixel_size_angstrom
        return self._projector.project(views[:, 0], views[:, 1], poses, box, pixel_size) * np.float32(self.scale)

    def _clean(self, truth: Truth) -> NDArray[np.float32]:
        box, pixel_size = self.recipe.box, self.recipe.pixel_size_angstrom
        images = self._projector.project(truth.rot_deg, truth.tilt_deg, truth.poses, box, pixel_size)
        if truth.ctf is not None:
            # One transform per image: a batch could change last bits.
            for i, gain in enumerate(ctf_images(truth.ctf, box, pixel_size)):
                images[i] = scipy.fft.irfft2(scipy.fft.rfft2(images[i]) * gain, s=(box, box), overwrite_x=True)
        return images

    def _signal_variance(self) -> float:
        count = min(self.recipe.count, SCALE_ROWS)
        rows = np.arange(count) * self.recipe.count // count
        total = 0.0
        for start in range(0, count, 64):
            for image in self._clean(self.truth(rows[start : start + 64])):
                total += float(np.var(image, dtype=np.float64))
        return total / count

    def _ctf(self, rows: NDArray[np.integer]) -> CtfParameters | None:
        recipe = self.recipe.ctf
        if recipe is None:
            return None
        uniform = np.array([self._generator(int(row), _CTF).random(3) for row in rows]).reshape(-1, 3)
        low, high = recipe.defocus_min_angstrom, recipe.defocus_max_angstrom
        # Rounded as they are written, so that the file says exactly what was applied.
        mean = np.round(low + (high - low) * uniform[:, 0], 2)
        half = np.round(0.5 * recipe.astigmatism_angstrom * uniform[:, 1], 2)
        angle = np.round(180.0 * uniform[:, 2], 3)
        return CtfParameters(
            recipe.voltage_kv,
            recipe.spherical_aberration_mm,
            recipe.amplitude_contrast,
            mean + half,
            mean - half,
            angle,
        )

    def _generator(self, row: int, purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.recipe.seed, _STREAMS * row + purpose]))
