"""Parts of an alignment put together, in the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import ClassSums
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.passes.align import guard as align_guard
from cryoalign.passes.align.part import COLUMNS
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.runs.parts import PartRange, PartStore


@dataclass(frozen=True, eq=False)
class MergedAlignment:
    """The alignment of all rows; rows that were left out hold zeros.

    Parameters
    ----------
    poses, reference, score, margin, psi_error_deg, shift_error_px, scale, flag
        As :class:`cryoalign.core.search.result.SearchResult`, shape (n,).
    value
        Of the measure, at the pose, (n,); the score where the search core found it.
    look
        What reading found of each image, ``LOOK`` (n,).
    totals, power, counts
        Sums of C F and of C^2 and members of each class and half, at the references' box and pixel size:
        (m, 2, box, box), (m, 2, box, box // 2 + 1), (m, 2).
    guard
        Columns of the guard, each (n,); None where there was none.
    """

    poses: Poses
    reference: NDArray[np.int32]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    psi_error_deg: NDArray[np.float64]
    shift_error_px: NDArray[np.float64]
    scale: NDArray[np.float64]
    flag: NDArray[np.int32]
    value: NDArray[np.float64]
    look: NDArray
    totals: NDArray[np.float64]
    power: NDArray[np.float64]
    counts: NDArray[np.int64]
    guard: dict[str, NDArray] | None

    @property
    def good(self) -> NDArray[np.bool_]:
        """Rows that were aligned."""
        return np.asarray(self.look["reason"] == 0)

    def summary(self) -> str:
        """One line on how it went."""
        good = self.good
        shift = np.median(self.shift_error_px[good])
        said = (
            f"{int(good.sum())} aligned, {int((~good).sum())} skipped; median score {np.median(self.score[good]):.3f}"
        )
        if not np.array_equal(self.value, self.score):
            return f"{said}, median of the measure {np.median(self.value[good]):.4g}"
        return f"{said}, " + (
            f"median estimated error {np.median(self.psi_error_deg[good]):.2f} deg and {shift:.2f} px"
        )


def merge_parts(plan: AlignPlan, store: PartStore, ranges: Sequence[PartRange]) -> MergedAlignment:
    """Read all parts and put them together.

    Raises
    ------
    InputError
        If no particle is left.
    """
    m, box = len(plan.references), plan.references.shape[-1]
    columns: dict[str, list[NDArray]] = {}
    sums = [ClassSums(plan.sum_settings(g)) for g in range(len(plan.geometries))]
    for _, arrays in store.load_all(ranges):
        for name in (*COLUMNS, *(c for c in align_guard.COLUMNS if c in arrays)):
            columns.setdefault(name, []).append(arrays[name])
        for g, geometry_sums in enumerate(sums):
            geometry_sums.add_packed(arrays, f"sums_{g}_")
    whole = {}
    for name, values in columns.items():
        joined = np.concatenate(values)
        whole[name] = np.empty_like(joined)
        whole[name][plan.order] = joined
    if not (whole["look"]["reason"] == 0).any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    guard = None
    if "guard_u" in whole:
        guard = {name: whole[name] for name in align_guard.COLUMNS}
    return MergedAlignment(
        Poses(whole["psi"], whole["dx"], whole["dy"], whole["mirror"]), whole["reference"], whole["score"],
        whole["margin"], whole["psi_error"], whole["shift_error"], whole["scale"], whole["flag"], whole["value"],
        whole["look"],
        np.asarray(sum(s.totals() for s in sums)).reshape(m, 2, box, box),
        np.asarray(sum(s.ctf_power() for s in sums)).reshape(m, 2, box, box // 2 + 1),
        np.asarray(sum(s.counts for s in sums)).reshape(m, 2), guard,
    )  # fmt: skip
