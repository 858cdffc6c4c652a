"""What the guard against model bias says of a whole run, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.guard import GuardVerdict


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
    aligned_to_angstrom, judged_from_angstrom, judged_to_angstrom
        Resolution down to which images were aligned, and from which on and down to which they were judged, in A.
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
    judged_to_angstrom: float
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
