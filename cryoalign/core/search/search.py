"""The search over all rotations and shifts for tiles of images against references: the core that every method shares.

Transform, weigh, coarse GEMM search, candidates, Newton at the coarse band, re-scoring and Newton at the full band.
Angle a and shift t of an answer mean image = shift_t(turn_a(reference)); as a pose psi = -a, d = -t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.core.search.bank import ReferenceBank, build_bank
from cryoalign.core.search.cascade import CURVATURE, RESULT, CandidateRule, CellGrid, refine_tile, tile_room
from cryoalign.core.search.coarse import CoarsePlan, CoarseWorkspace, plan_coarse, shift_grid
from cryoalign.core.search.polar import PolarTransform, RingLayout, plan_rings, polar_samples_by_finufft
from cryoalign.core.search.pose_errors import ENTRIES, ErrorTables, error_tables, pose_variances
from cryoalign.core.search.refine import ScoreField, score_field
from cryoalign.core.search.result import SearchAnswers, SearchResult
from cryoalign.core.search.weigh import PointTables, weigh_images
from cryoalign.core.tiles import TILE

INFORMATION = 0.995
"""Share of the alignment information, sum k^2 w C^2 |G|^2 / sigma^2, that the full band must hold."""


@dataclass(frozen=True)
class SearchSettings:
    """What to search, and how hard.

    Parameters
    ----------
    max_shift_px
        Radius of the disc of shifts, in pixels.
    radius_px
        Extent of the references from their centre, in pixels.
    mirror
        Search mirrored images too.
    full_rings, coarse_rings
        Bands of the last and the first stage, in Fourier pixels; chosen from noise and size if None.
    fast
        Fewer coarse rings and a bolder cascade.
    exhaustive
        Coarse search at the full band with a fine grid, everything refined: the yardstick for the cascade.
    """

    max_shift_px: float
    radius_px: float
    mirror: bool = False
    full_rings: int | None = None
    coarse_rings: int | None = None
    fast: bool = False
    exhaustive: bool = False


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """All that a search needs and no image changes; shared by threads.

    Parameters
    ----------
    rule
        How candidates are kept.
    layout, bank, coarse
        Rings, references (mirrored ones appended where mirrors are searched) and GEMM operands.
    grid, score_field
        What the cascade needs of them.
    n_references
        References given.
    inverse_noise
        1 / sigma^2 for every noise group and ring, float32 (groups, n_rings).
    noise_ratio
        Noise power over the one assumed, float64 (groups, n_rings).
    error_tables
        For the standard errors.
    """

    settings: SearchSettings
    rule: CandidateRule
    layout: RingLayout
    bank: ReferenceBank
    coarse: CoarsePlan
    grid: CellGrid
    score_field: ScoreField
    n_references: int
    inverse_noise: NDArray[np.float32]
    noise_ratio: NDArray[np.float64]
    tables: PointTables
    error_tables: ErrorTables

    @property
    def box(self) -> int:
        """Side of the images, in pixels."""
        return self.layout.box


def mirror_images(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flip x about the centre pixel box // 2, shape (..., box, box)."""
    flipped = images[..., ::-1]
    return np.roll(flipped, 1, axis=-1) if images.shape[-1] % 2 == 0 else flipped


def choose_full_rings(
    references: NDArray[np.float32], noise_power: NDArray[np.float64], ctf_power: NDArray[np.float64] | None = None
) -> int:
    """Find the ring below which the references hold nearly all the information on angle and shift.

    Parameters
    ----------
    references
        Masked, shape (m, box, box).
    noise_power
        Shape (groups, box // 2 + 1).
    ctf_power
        Ring means of C^2 over the particles, shape (box // 2 + 1,); ones if None.
    """
    box = references.shape[-1]
    last = (box - 1) // 2
    layout = plan_rings(box, last)
    power = np.zeros(last)
    for first in range(0, len(references), 16):
        samples = polar_samples_by_finufft(references[first : first + 16], layout, 1e-6)
        power += layout.ring_mean(np.abs(samples) ** 2).sum(axis=0)
    k = np.arange(1, last + 1)
    information = k**3 * power * (1.0 / noise_power[:, 1 : last + 1]).mean(axis=0)
    if ctf_power is not None:
        information = information * ctf_power[1 : last + 1]
    share = np.cumsum(information) / information.sum()
    return int(np.clip(np.searchsorted(share, INFORMATION) + 1, min(8, last), last))


def plan_search(
    references: NDArray[np.float32],
    noise_power: NDArray[np.float64],
    settings: SearchSettings,
    ctf_power: NDArray[np.float64] | None = None,
    *,
    true_noise_power: NDArray[np.float64] | None = None,
    reference_noise: NDArray[np.float64] | None = None,
) -> SearchPlan:
    """Prepare references for a search.

    Parameters
    ----------
    references
        Masked, at the images' box and pixel size, shape (m, box, box).
    noise_power
        Noise power per ring for each noise group, shape (groups, box // 2 + 1), E|F|^2 / box^2.
    settings
        What to search.
    ctf_power
        Ring means of C^2, shape (box // 2 + 1,), to choose the band; ones if None.
    true_noise_power
        What the noise is known to be where ``noise_power`` says something else, in the same units; only the standard
        errors use it.
    reference_noise
        Noise power of the references themselves before the mask, shape (m, box // 2 + 1); only the standard errors
        use it. None = they carry none.
    """
    references = np.asarray(references, dtype=np.float32)
    count, box = len(references), references.shape[-1]
    full = settings.full_rings or choose_full_rings(references, noise_power, ctf_power)
    layout = plan_rings(box, full)
    searched = np.concatenate([references, mirror_images(references)]) if settings.mirror else references
    bank = build_bank(searched, layout)
    coarse_rings = min(full, settings.coarse_rings or _coarse_rings(settings, len(searched), full))
    step = box / ((28.0 / 12.0 if settings.fast else 2.25) * coarse_rings)
    if settings.exhaustive:
        step = box / (3.0 * coarse_rings)
    shifts = shift_grid(settings.max_shift_px, step)
    coarse = plan_coarse(bank, coarse_rings, shifts, settings.radius_px)
    inverse = (1.0 / noise_power[:, 1 : full + 1]).astype(np.float32)
    ratio = np.ones_like(noise_power[:, 1 : full + 1])
    if true_noise_power is not None:
        ratio = true_noise_power[:, 1 : full + 1] / noise_power[:, 1 : full + 1]
    if reference_noise is not None:
        reference_noise = np.concatenate([reference_noise] * (len(searched) // count))
    grid = CellGrid(coarse.n_angles, shifts, 1.5 * box / (2.25 * coarse_rings))
    return SearchPlan(
        settings, _rule(settings, len(searched)), layout, bank, coarse, grid, score_field(bank, settings.radius_px),
        count, inverse, ratio, PointTables.of(layout),
        error_tables(bank, settings.radius_px, reference_noise),
    )  # fmt: skip


def _coarse_rings(settings: SearchSettings, count: int, full: int) -> int:
    if settings.exhaustive:
        return full
    if settings.fast:
        return 12
    # Sixteen rings miss no peak that the full band finds at any usable SNR; with few references a finer start is
    # nearly free and keeps weak images (measured down to SNR .005 at 128 px).
    return 21 if count <= 4 else 16


def _rule(settings: SearchSettings, count: int) -> CandidateRule:
    if settings.exhaustive:
        return CandidateRule(fraction=0.0, fewest=0, most=2 * count, keep=2 * count)
    return CandidateRule(fraction=0.92, most=12, keep=4) if settings.fast else CandidateRule()


class Searcher:
    """One thread's search: a plan and the buffers for one tile.

    Parameters
    ----------
    plan
        From :func:`plan_search`.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan
        layout = plan.layout
        self._transform = PolarTransform(layout)
        self._polar = np.zeros((TILE, 2, layout.n_points), np.float32)
        self._coarse = CoarseWorkspace(plan.coarse)
        self._tables = plan.tables
        self._room = tile_room(plan.rule.most, len(plan.bank), plan.score_field)

    def search(
        self,
        images: NDArray[np.float32],
        *,
        valid: NDArray[np.bool_] | None = None,
        group: NDArray[np.int64] | None = None,
        coefficients: NDArray[np.float32] | None = None,
        intact_first_peak: bool = False,
        origin: NDArray[np.float64] | None = None,
        psi_window: NDArray[np.float64] | None = None,
        answers: int = 1,
    ) -> SearchResult:
        """Search one tile.

        Parameters
        ----------
        images
            Float32 (n, box, box), n <= 64; row i is slot i of the tile.
        valid
            Rows to search; the others get zeros. All if None.
        group
            Noise group of each image; 0 if None.
        coefficients
            CTF, from :func:`cryoalign.core.search.weigh.ctf_coefficients`; None for C = 1.
        intact_first_peak
            Take C = 1 up to its first peak.
        origin
            Origin (dx, dy) in pixels round which to search, shape (n, 2); zeros if None.
        psi_window
            Lowest and highest psi in degrees, shape (n, 2), for a local search.
        answers
            How many of the best answers are wanted for each image; there are no more than the rule keeps.
        """
        plan, n = self.plan, len(images)
        box, rings = plan.box, plan.layout.n_rings
        if n > TILE:
            raise ValueError(f"a tile holds at most {TILE} images, not {n}")
        valid = np.ones(n, bool) if valid is None else valid
        origin = np.zeros((n, 2)) if origin is None else origin
        polar = self._polar
        if n < TILE:
            polar[n:] = 0.0
        self._transform(images, polar[:n])
        polar[:n][~valid] = 0.0
        group = np.zeros(n, np.int64) if group is None else group
        inverse = plan.inverse_noise[group]
        norm, ctf_power = weigh_images(
            polar[:n],
            self._tables,
            coefficients=coefficients,
            inverse_noise=inverse,
            shift=(-origin).astype(np.float32),
            box=box,
            intact_first_peak=intact_first_peak,
        )
        # E of every image and reference, float64: the ring average of C^2 costs nothing measurable.
        weight = ctf_power.astype(np.float64) * inverse
        full_energy = weight @ plan.bank.ring_power.T
        k0 = plan.coarse.n_rings
        coarse_energy = full_energy if k0 == rings else weight[:, :k0] @ plan.bank.ring_power[:, :k0].T
        window = None if psi_window is None else np.deg2rad(-psi_window[:, ::-1])
        indices = None if window is None else _index_window(window, plan.coarse.n_angles)
        self._coarse.search(polar, indices)
        result = np.zeros((n, answers, RESULT))
        # The whole buffers, not the views of their cells: of one layout always, and compiled for one.
        refine_tile(
            polar[:n], self._coarse.best[:n], self._coarse.angle[:n], plan.grid, (coarse_energy, full_energy),
            (k0, rings), plan.bank.table, plan.score_field, plan.rule, float(plan.settings.max_shift_px), valid,
            np.zeros((n, 2)) if window is None else window, window is not None, self._room, result,
        )  # fmt: skip
        best = result[:, 0]
        poses, reference, score = self._answer(best, norm, full_energy, origin)
        angle_variance, shift_variance = pose_variances(
            plan.error_tables, best[:, 3].astype(np.int64), best[:, 0], best[:, 4],
            best[:, CURVATURE : CURVATURE + ENTRIES], weight, weight * plan.noise_ratio[group],
        )  # fmt: skip
        return SearchResult(
            poses=poses,
            reference=reference,
            score=score,
            margin=score * (1.0 - best[:, 5]),
            psi_error_deg=np.minimum(np.rad2deg(np.sqrt(angle_variance)), 180.0),
            shift_error_px=np.minimum(np.sqrt(shift_variance), float(box)),
            scale=best[:, 6],
            at_limit=best[:, 7] > 0,
            answers=self._answers(result, norm, full_energy, origin) if answers > 1 else None,
        )

    def _answer(
        self,
        found: NDArray[np.float64],
        norm: NDArray[np.float32],
        energy: NDArray[np.float64],
        origin: NDArray[np.float64],
    ) -> tuple[Poses, NDArray[np.int32], NDArray[np.float64]]:
        """Turn angles and shifts of one answer an image, (n, RESULT), into poses, log likelihoods into correlations."""
        reference = found[:, 3].astype(np.int64)
        mirrored = reference >= self.plan.n_references
        sign = np.where(mirrored, -1.0, 1.0)
        psi = -np.rad2deg(found[:, 0])
        dx, dy = origin[:, 0] - found[:, 1], origin[:, 1] - found[:, 2]
        # A pose onto the mirrored reference is the mirrored pose onto the reference: R(-psi) (F q + F d).
        poses = Poses(sign * psi, sign * dx, dy, mirrored)
        spread = np.sqrt(np.maximum(norm * energy[np.arange(len(found)), reference], 1e-300))
        score = np.clip(found[:, 4] / spread, -1.0, 1.0)
        return poses, (reference % self.plan.n_references).astype(np.int32), score

    def _answers(
        self,
        result: NDArray[np.float64],
        norm: NDArray[np.float32],
        energy: NDArray[np.float64],
        origin: NDArray[np.float64],
    ) -> SearchAnswers:
        """Gather all answers of each image, (n, K, RESULT)."""
        n, count = result.shape[:2]
        valid, found = result[:, :, 4] != 0, result.reshape(-1, RESULT)
        image = np.repeat(np.arange(n), count)
        poses, reference, score = self._answer(found, norm[image], energy[image], origin[image])
        gain = (0.5 * np.maximum(found[:, 4], 0.0) * found[:, 6]).reshape(n, count)
        return SearchAnswers(valid, reference.reshape(n, count), poses, score.reshape(n, count), gain)


def _index_window(window: NDArray[np.float64], n_angles: int) -> NDArray[np.int32]:
    """Angle indices that cover a window in radians, one beyond each end, (TILE, 2); empty slots have empty windows."""
    step = 2 * np.pi / n_angles
    indices = np.tile(np.array([0, -1], np.int32), (TILE, 1))
    indices[: len(window), 0] = np.floor(window[:, 0] / step)
    indices[: len(window), 1] = np.ceil(window[:, 1] / step)
    return indices
