"""Made-up results of an alignment, of any size."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.report.align_data import AlignReportData
from helpers.quality_samples import make_classes


@pytest.fixture
def make_data():
    """Return a function that makes report data; keyword arguments replace fields."""

    def make(
        n=400, m=3, box=32, *, empty=(), references=None, curves=None, quality=None, halves=None, kind="average",
        psi_deg=None, seed=0, **fields,
    ) -> AlignReportData:  # fmt: skip
        rng = np.random.default_rng(seed)
        grid = np.arange(box) - box // 2
        blob = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * (box / 6) ** 2))
        blobs = (blob * (1 + 0.5 * rng.standard_normal((m, box, box)))).astype(np.float32)
        references = blobs if references is None else references
        filled = [number for number in range(1, m + 1) if number not in empty]
        number = np.concatenate([filled, rng.choice(filled, n)])[:n].astype(int)
        averages = {
            int(c): references[c - 1] + 0.05 * rng.standard_normal((box, box)).astype(np.float32)
            for c in np.unique(number)
        }
        members = dict(enumerate(np.bincount(number, minlength=m + 1)[1:].tolist(), start=1))
        k = min(3, n)
        psi = rng.uniform(-180, 180, n) if psi_deg is None else psi_deg
        made = {
            "classes": make_classes(averages, members, curves, quality, kind=kind, halves=halves),
            "references": references,
            "poses": Poses(psi, np.zeros(n), np.zeros(n)),
            "reference": number - 1,
            "score": rng.normal(0.3, 0.05, n),
            "margin": rng.gamma(2.0, 0.02, n),
            "shift_angstrom": rng.uniform(-8, 8, (n, 2)),
            "psi_error_deg": rng.gamma(5.0, 0.2, n),
            "shift_error_angstrom": rng.gamma(5.0, 0.3, n),
            "flag": np.zeros(n, np.int64),
            "max_shift_angstrom": 12.0,
            "example_raw": rng.standard_normal((k, box, box)).astype(np.float32),
            "example_aligned": rng.standard_normal((k, box, box)).astype(np.float32),
            "example_names": [f"{i + 1:06d}@a/stack.mrcs" for i in range(k)],
            "noise": [(f"group {g + 1}", 1 + rng.random(box // 2 + 1), 4.0 * box) for g in range(2)],
        }
        return AlignReportData(**(made | fields))

    return make
