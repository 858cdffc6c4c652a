"""What is planned before the first particle of ``align`` is aligned: its geometries, and what holds for all of them.

Made by :mod:`cryoalign.passes.align.plan` and read by everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.by_measure import MeasurePlan
from cryoalign.alignment.to_references import TileInputs
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.search.search import SearchPlan
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource
from cryoalign.jobs.align.parameters import AlignParameters


@dataclass(frozen=True, eq=False)
class Geometry:
    """Particles of one box and pixel size, with the references brought to it.

    Parameters
    ----------
    rows
        0-based rows of the particle table.
    source
        Their images, in the order of ``rows``.
    noise_power, true_noise_power, noise_names
        Noise power per ring of each noise group that the score assumes, what it is (the same where the score whitens),
        (groups, box // 2 + 1), and what the groups are called.
    searches
        One search plan, or one for each half where halves are refined apart.
    sum_scale
        Fixed-point scale of the sums.
    measures
        What takes the place of each search, where another measure was asked for; else empty.
    """

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]
    source: StackSource
    mask_diameter_px: float
    max_shift_px: float
    noise_power: NDArray[np.float64]
    true_noise_power: NDArray[np.float64]
    noise_names: list[str]
    searches: tuple[SearchPlan, ...]
    sum_scale: float
    measures: tuple[MeasurePlan, ...] = ()

    @property
    def search(self) -> SearchPlan:
        """The first search plan: what all of them have in common."""
        return self.searches[0]


@dataclass(frozen=True, eq=False)
class AlignPlan:
    """What the part function needs.

    Parameters
    ----------
    geometry_of, place_in
        Geometry of each row, and its place in that geometry's rows; shape (n,).
    noise_group
        Noise group of each row within its geometry, shape (n,).
    ctf, coefficients
        CTF of each row, and as the search takes it, (n, 9); None where the CTF is not used.
    origin
        Input origin in pixels, round which is searched, (n, 2).
    references
        As given, at their own box and pixel size, unmasked, (m, box, box).
    half
        Half set of each row, 0 or 1, (n,).
    order
        The row at each position of the work, (n,): rows of one half are neighbours where halves are refined apart.
    """

    parameters: AlignParameters
    particles: ParticleSet
    geometries: tuple[Geometry, ...]
    geometry_of: NDArray[np.int64]
    place_in: NDArray[np.int64]
    noise_group: NDArray[np.int64]
    ctf: CtfParameters | None
    coefficients: NDArray[np.float32] | None
    origin: NDArray[np.float64]
    psi_prior: NDArray[np.float64] | None
    references: NDArray[np.float32]
    reference_pixel_size: float
    half: NDArray[np.int8]
    order: NDArray[np.int64]

    @property
    def arm_of(self) -> NDArray[np.int8]:
        """Which search plan of its geometry a row belongs to, (n,)."""
        return self.half if len(self.geometries[0].searches) > 1 else np.zeros_like(self.half)

    def tile_inputs(self, rows: NDArray[np.int64], valid: NDArray[np.bool_]) -> TileInputs:
        """Gather what is known of some rows."""
        p = self.parameters
        return TileInputs(
            valid=valid,
            group=self.noise_group[rows],
            coefficients=None if self.coefficients is None else self.coefficients[rows],
            intact_first_peak=p.ctf_intact_first_peak,
            origin=self.origin[rows],
            psi_prior=None if self.psi_prior is None else self.psi_prior[rows],
            local_deg=p.local,
            local_flip=p.local_flip,
            ctf=self.ctf.take(rows) if p.measured and self.ctf is not None else None,
        )
