"""What the guard against model bias says of a whole run, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.guard import BAND_RING, GAP, GuardVerdict, judge, judge_classes, judge_cross_fitted
from cryoalign.passes.align.planned import AlignPlan


@dataclass(frozen=True, eq=False)
class Verdict:
    """One finding of the guard.

    Parameters
    ----------
    overall
        Of all particles.
    classes
        By 1-based class.
    cross_fitted
        Whether particles were compared with averages of the other half, else with the given references.
    aligned_to_angstrom, judged_from_angstrom
        Resolution down to which images were aligned, and from which on they were judged, in A.
    u
        The products of the particles that were looked at.
    inverted
        Whether the given references were taken with inverted contrast.
    """

    overall: GuardVerdict
    classes: Mapping[int, GuardVerdict]
    cross_fitted: bool
    aligned_to_angstrom: float
    judged_from_angstrom: float
    u: NDArray[np.float64]
    inverted: bool = False

    @property
    def against(self) -> str:
        """What the particles were judged by."""
        if self.cross_fitted:
            return "averages of the other half"
        return "given references" + (" with inverted contrast" if self.inverted else "")

    def in_words(self) -> str:
        """One line for the log."""
        v = self.overall
        against = self.against if self.cross_fitted else f"the {self.against}"
        return (
            f"guard against model bias: {v.verdict} (z = {v.z:.1f}, share A = {v.share:.2f}, {v.n} particles against "
            f"{against}, aligned on detail coarser than {self.aligned_to_angstrom:.0f} A, judged on detail finer than "
            f"{self.judged_from_angstrom:.0f} A)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what run.json keeps."""
        v = self.overall
        return {
            "against": self.against,
            "verdict": v.verdict, "z": round(v.z, 3), "share": round(v.share, 4), "particles": v.n,
            "aligned_to_angstrom": round(self.aligned_to_angstrom, 3),
            "judged_from_angstrom": round(self.judged_from_angstrom, 3),
        }  # fmt: skip


def judge_run(
    plan: AlignPlan, columns: Mapping[str, NDArray], *, cross_fitted: bool, inverted: bool = False
) -> Verdict:
    """Judge the particles that the guard looked at.

    Parameters
    ----------
    plan
        The plan of the run.
    columns
        The guard's columns (:data:`cryoalign.passes.align.guard.COLUMNS`), each (n,).
    cross_fitted
        Whether they come from averages of the other half.
    inverted
        Whether they come from the given references with inverted contrast.
    """
    at = np.flatnonzero(columns["guard_reference"] >= 0)
    u, energy, scale = (columns[f"guard_{name}"][at] for name in ("u", "energy", "scale"))
    reference = columns["guard_reference"][at]
    half = plan.half[at] if cross_fitted else None
    overall = judge(u, energy, scale) if half is None else judge_cross_fitted(u, energy, scale, half)
    every = judge_classes(u, energy, scale, reference, len(plan.references), half)
    field_of_view = plan.geometries[0].box * plan.geometries[0].pixel_size_angstrom
    return Verdict(
        overall,
        {c + 1: verdict for c, verdict in enumerate(every) if verdict.n},
        cross_fitted,
        field_of_view / BAND_RING,
        field_of_view / (BAND_RING + GAP + 1),
        u,
        inverted,
    )
