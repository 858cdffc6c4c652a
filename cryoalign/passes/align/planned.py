"""What is planned before the first particle is aligned: its geometries, and what holds for all of them.

Made by :mod:`cryoalign.passes.align.plan` and read by everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import TileInputs
from cryoalign.averaging.class_sums import SumSettings
from cryoalign.core.search.search import SearchPlan
from cryoalign.core.tiles import TILE
from cryoalign.passes.align.settings import AlignSettings
from cryoalign.passes.images import ImageGroup, ImagePlan

if TYPE_CHECKING:
    from cryoalign.alignment.by_measure import MeasurePlan


@dataclass(frozen=True, eq=False, kw_only=True)
class Geometry(ImageGroup):
    """Particles of one box and pixel size, with the references brought to it.

    Parameters
    ----------
    max_shift_px
        Radius of the shift search, in pixels.
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


@dataclass(frozen=True, eq=False, kw_only=True)
class AlignPlan(ImagePlan):
    """What the part function needs.

    Parameters
    ----------
    settings
        How particles are aligned.
    geometries
        Those of the images, with the references.
    coefficients
        CTF of each row as the search takes it, (n, 9); None where it is not used.
    origin
        Input origin in pixels, round which is searched, (n, 2).
    psi_prior
        Input angle in degrees, round which is searched, (n,); None = full circle.
    references, reference_pixel_size
        As given, at their own box and pixel size (A), unmasked, (m, box, box).
    order
        The row at each position of the work, (n,): rows of one half are neighbours where halves are refined apart.
    class_numbers
        Number of each reference in the tables, (m,), ascending: blank ones were left out, and the others keep theirs.
    """

    settings: AlignSettings
    geometries: tuple[Geometry, ...]
    coefficients: NDArray[np.float32] | None
    origin: NDArray[np.float64]
    psi_prior: NDArray[np.float64] | None
    references: NDArray[np.float32]
    reference_pixel_size: float
    order: NDArray[np.int64]
    class_numbers: NDArray[np.int64]

    @property
    def arm_of(self) -> NDArray[np.int8]:
        """Which search plan of its geometry a row belongs to, (n,)."""
        return self.half if len(self.geometries[0].searches) > 1 else np.zeros_like(self.half)

    @property
    def thread_bytes(self) -> int:
        """Memory of one worker in bytes, estimated: buffers of a tile, sums of a part, and what is under way."""
        total = 0
        for g in self.geometries:
            coarse, m = g.search.coarse, len(self.references)
            cells = coarse.n_cells * TILE * 8
            planes = 2 * coarse.n_angles * TILE * coarse.chunk * 4
            polar = 2 * TILE * g.search.layout.n_points * 4
            # Two cells a class, each with sums of pixels and of C^2 in 8 bytes, and again while a part is packed.
            pixels = g.box**2 * (2 * 2 * 12 * m + 6 * 4 * TILE)
            total += cells + planes + polar + pixels
        return total

    def tile_inputs(self, rows: NDArray[np.int64], valid: NDArray[np.bool_]) -> TileInputs:
        """Gather what is known of some rows."""
        s = self.settings
        return TileInputs(
            valid=valid,
            group=np.where(valid, self.images.noise_group_of[rows], 0),  # others may count groups of another geometry
            coefficients=None if self.coefficients is None else self.coefficients[rows],
            intact_first_peak=s.ctf_intact_first_peak,
            origin=self.origin[rows],
            psi_prior=None if self.psi_prior is None else self.psi_prior[rows],
            local_deg=s.local,
            local_flip=s.local_flip,
            ctf=self.images.ctf_of(rows) if s.measured else None,
        )

    def sum_settings(self, g: int) -> SumSettings:
        """Return how the particles of a geometry are summed: two cells a class, at the references' geometry."""
        s, geometry = self.settings, self.geometries[g]
        return SumSettings(
            box=geometry.box, pixel_size_angstrom=geometry.pixel_size_angstrom, out_box=self.references.shape[-1],
            out_pixel_size_angstrom=self.reference_pixel_size, n_cells=2 * len(self.references),
            scale=geometry.sum_scale, treatment="wiener", interpolation=s.interpolation, edge=s.resolved_edge,
            intact_first_peak=s.ctf_intact_first_peak,
        )  # fmt: skip
