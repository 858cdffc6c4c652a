"""Made-up results of an alignment, of any size."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.align import AlignReportData


@pytest.fixture
def make_data():
    """Return a function that makes report data; keyword arguments replace fields."""

    def make(n=400, m=3, box=32, *, empty=(), seed=0, **fields) -> AlignReportData:
        rng = np.random.default_rng(seed)
        grid = np.arange(box) - box // 2
        blob = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * (box / 6) ** 2))
        references = (blob * (1 + 0.5 * rng.standard_normal((m, box, box)))).astype(np.float32)
        filled = [number for number in range(1, m + 1) if number not in empty]
        class_number = np.concatenate([filled, rng.choice(filled, n)])[:n]
        averages = {
            int(c): references[c - 1] + 0.05 * rng.standard_normal((box, box)).astype(np.float32)
            for c in np.unique(class_number)
        }
        k = min(3, n)
        made = {
            "title": "Align: test",
            "command_line": "cryoalign align particles.star --references refs.mrcs --output Run",
            "version": "0.0.test",
            "pixel_size_angstrom": 4.0,
            "mask_diameter_angstrom": 0.8 * box * 4.0,
            "references": references,
            "averages": averages,
            "scores": rng.normal(0.3, 0.05, n),
            "score_margin": rng.gamma(2.0, 0.02, n),
            "psi_deg": rng.uniform(-180, 180, n),
            "shift_angstrom": rng.uniform(-8, 8, (n, 2)),
            "psi_error_deg": rng.gamma(5.0, 0.2, n),
            "shift_error_angstrom": rng.gamma(5.0, 0.3, n),
            "class_number": class_number,
            "parameters": {"--iterations": "1"},
            "counts": {"read": n + 2, "skipped": 2},
            "warnings": ["2 particles were skipped"],
            "timings_s": {"search": 3.0, "average": 1.0},
            "flags": np.zeros(n, np.int64),
            "max_shift_angstrom": 12.0,
            "example_raw": rng.standard_normal((k, box, box)).astype(np.float32),
            "example_aligned": rng.standard_normal((k, box, box)).astype(np.float32),
            "example_names": [f"{i + 1:06d}@a/stack.mrcs" for i in range(k)],
            "noise_power": 1 + rng.random((2, box // 2 + 1)),
            "files": {"particles.star": "poses"},
        }
        return AlignReportData(**(made | fields))

    return make
