"""Parts of an alignment put together, in the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import match_geometry
from cryoalign.averaging.ctf_sums import wiener_averages
from cryoalign.averaging.exact_sums import ExactSums
from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.poses import Poses
from cryoalign.jobs.align_part import COLUMNS, REASONS
from cryoalign.jobs.align_plan import AlignPlan
from cryoalign.jobs.parts import PartRange, PartStore

REFERENCE_LOWPASS_ANGSTROM = 20.0
"""Averages that become references carry noise; without independent halves nothing finer is trusted."""


@dataclass(frozen=True, eq=False)
class MergedAlignment:
    """The alignment of all rows; rows that were left out hold zeros.

    Parameters
    ----------
    poses, reference, score, margin, psi_error_deg, shift_error_px, scale, flag
        As :class:`cryoalign.core.search.SearchResult`, shape (n,).
    skipped
        0, or why the row was left out (key of ``REASONS``), shape (n,).
    averages, counts
        Mean of each class at the references' box and pixel size, (m, box, box), and its members.
    ctf_averages
        CTF-weighted averages, where they were asked for.
    """

    poses: Poses
    reference: NDArray[np.int32]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    psi_error_deg: NDArray[np.float64]
    shift_error_px: NDArray[np.float64]
    scale: NDArray[np.float64]
    flag: NDArray[np.int32]
    skipped: NDArray[np.int8]
    averages: NDArray[np.float32]
    counts: NDArray[np.int64]
    ctf_averages: NDArray[np.float32] | None

    @property
    def good(self) -> NDArray[np.bool_]:
        """Rows that were aligned."""
        return self.skipped == 0

    def summary(self) -> str:
        """One line on how it went."""
        good = self.good
        shift = np.median(self.shift_error_px[good])
        return (
            f"{int(good.sum())} aligned, {int((~good).sum())} skipped; median score {np.median(self.score[good]):.3f}, "
            f"median estimated error {np.median(self.psi_error_deg[good]):.2f} deg and {shift:.2f} px"
        )

    def skip_reasons(self) -> dict[str, int]:
        """Count the rows left out, by reason."""
        return {
            f"skipped: {REASONS[c]}": int((self.skipped == c).sum()) for c in REASONS if c and (self.skipped == c).any()
        }


def merge_parts(plan: AlignPlan, store: PartStore, ranges: Sequence[PartRange]) -> MergedAlignment:
    """Read all parts and put them together.

    Raises
    ------
    InputError
        If no particle is left.
    """
    m = len(plan.references)
    columns: dict[str, list[NDArray]] = {}
    plain = [ExactSums(m, g.box, g.sum_scale) for g in plan.geometries]
    weighted = [ExactSums(m, g.box, g.sum_scale) for g in plan.geometries]
    power = [np.zeros((m, g.box // 2 + 1), np.int64) for g in plan.geometries]
    has_weighted = False
    for _, arrays in store.load_all(ranges):
        for name in COLUMNS:
            columns.setdefault(name, []).append(arrays[name])
        for g in range(len(plan.geometries)):
            plain[g].add_packed(arrays[f"classes_{g}"], arrays[f"counts_{g}"], arrays[f"sums_{g}"])
            if f"ctf_sums_{g}" in arrays:
                has_weighted = True
                weighted[g].add_packed(arrays[f"ctf_classes_{g}"], arrays[f"ctf_counts_{g}"], arrays[f"ctf_sums_{g}"])
                power[g] += arrays[f"ctf_power_{g}"]
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    if not (whole["skipped"] == 0).any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    counts = np.bincount(whole["reference"][whole["skipped"] == 0], minlength=m).astype(np.int64)
    averages = _combine(plan, [s.totals() for s in plain]) / np.maximum(counts, 1)[:, None, None]
    ctf_averages = None
    if has_weighted:
        parts = [wiener_averages(s.totals(), p) * s.counts[:, None, None] for s, p in zip(weighted, power, strict=True)]
        ctf_averages = _combine(plan, parts) / np.maximum(counts, 1)[:, None, None]
    poses = Poses(whole["psi"], whole["dx"], whole["dy"], whole["mirror"])
    return MergedAlignment(
        poses, whole["reference"], whole["score"], whole["margin"], whole["psi_error"], whole["shift_error"],
        whole["scale"], whole["flag"], whole["skipped"], averages.astype(np.float32), counts,
        None if ctf_averages is None else ctf_averages.astype(np.float32),
    )  # fmt: skip


def next_references(plan: AlignPlan, aligned: MergedAlignment) -> NDArray[np.float32]:
    """Make the references of the next round: CTF-weighted averages, low-passed; empty classes keep theirs."""
    assert aligned.ctf_averages is not None
    gain = bandpass(plan.references.shape[-1], plan.reference_pixel_size, REFERENCE_LOWPASS_ANGSTROM)
    averages = apply_ring_gain(aligned.ctf_averages, gain)
    return np.where((aligned.counts > 0)[:, None, None], averages, plan.references).astype(np.float32)


def _combine(plan: AlignPlan, sums: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add the geometries' sums at the references' box and pixel size."""
    box = plan.references.shape[-1]
    total = np.zeros((len(plan.references), box, box))
    for g, part in zip(plan.geometries, sums, strict=True):
        if g.box == box and abs(g.pixel_size_angstrom / plan.reference_pixel_size - 1) < 1e-4:
            total += part
        else:
            matched = match_geometry(part.astype(np.float32), g.pixel_size_angstrom, box, plan.reference_pixel_size)
            total += matched
    return total
