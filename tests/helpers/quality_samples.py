"""Made-up FRC curves, guard findings and null tests, with numbers that tests can look for."""

from __future__ import annotations

import numpy as np

from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.average_data import AverageReportData
from cryoalign.report.quality_data import (
    ClassGuard,
    FrcCurve,
    GuardSummary,
    HalfSets,
    NullTestSummary,
)


def make_curve(box=32, *, shared=5, resolution=18.34, half=24.56, seed=0) -> FrcCurve:
    """Return a curve that falls near ring 10; the resolutions are stated, not read from it."""
    ring = np.arange(box // 2 + 1)
    frc = np.clip(
        1 / (1 + (ring / 9.0) ** 6) + 0.02 * np.random.default_rng(seed).standard_normal(len(ring)), -1, 0.999
    )
    noise = 3 / np.sqrt(np.maximum(2 * np.pi * ring, 9))
    ssnr = np.maximum(2 * frc / (1 - frc), 0)
    return FrcCurve(
        frc=frc, noise_curve=noise, ssnr=ssnr, shared_ring=shared,
        resolution_angstrom=resolution, resolution_half_angstrom=half,
    )  # fmt: skip


def make_growth(**fields) -> GrowthCurve:
    counts = np.array([1, 4, 16, 64, 256])
    return GrowthCurve(**({"counts": counts, "amplitude_snr": 0.21 * np.sqrt(counts), "class_number": 2} | fields))


def make_guard(verdict="signal", z=23.81, *, count=3, **fields) -> GuardSummary:
    rng = np.random.default_rng(1)
    made = {
        "z": z,
        "share": 0.87,
        "n": 1234,
        "verdict": verdict,
        "aligned_to_angstrom": 32.0,
        "judged_from_angstrom": 23.27,
        "judged_to_angstrom": 8.0,
        "expected_z": 41.2,
        "classes": [
            ClassGuard(number=c + 1, z=1.5 + 3 * c, share=0.4 + 0.1 * c, n=50 * (c + 1),
                       verdict="signal" if c else "no signal")
            for c in range(count)
        ],
        "u": rng.normal(5.0, 8.0, 1234),
    }  # fmt: skip
    return GuardSummary(**(made | fields))


def make_null(k=2, box=32, **fields) -> NullTestSummary:
    rng = np.random.default_rng(2)
    stacks = {name: rng.random((k, box, box)) for name in ("references", "noise_averages", "real_averages")}
    made = {
        "class_numbers": list(range(1, k + 1)),
        "members": [100 * (i + 1) for i in range(k)],
        "counts": [128, 256, 512, 1024, 2048],
        "noise_correlation": [0.66, 0.74, 0.81, 0.85, 0.87],
        "real_correlation": [0.9, 0.93, 0.95, 0.96, float("nan")],
        "curve_class": 1,
    }
    return NullTestSummary(**(stacks | made | fields))


def make_averages(m=3, box=32, *, shared=5, curves=True, variance=False, seed=0, **fields) -> AverageReportData:
    """Return data of m classes numbered 1, 3, 5, ..., class 2 being empty."""
    rng = np.random.default_rng(seed)
    numbers = [2 * c + 1 for c in range(m)]
    sizes = rng.integers(5, 3000, m)
    made = {
        "title": "Averages: test",
        "command_line": "cryoalign average run_data.star --output Average",
        "version": "0.0.test",
        "pixel_size_angstrom": 4.0,
        "mask_diameter_angstrom": 0.8 * box * 4.0,
        "averages": {c: rng.standard_normal((box, box)).astype(np.float32) for c in numbers},
        "members": {c: int(n) for c, n in zip(numbers, sizes, strict=True)} | {2: 0},
        "parameters": {"--mask-diameter": "100 A"},
        "counts": {"read": int(sizes.sum()) + 3, "skipped": 3},
        "warnings": ["3 particles were skipped"],
        "timings_s": {"average": 2.5},
        "kind_of_average": "Wiener-filtered average",
        "variance": {c: 1 + rng.random((box, box)) for c in numbers} if variance is True else variance or {},
        "frc": {c: make_curve(box, shared=shared, seed=c) for c in numbers} if curves else {},
        "halves": HalfSets(counts=(512, 498), rule="a hash of the image name"),
        "growth": make_growth(counts=sizes, amplitude_snr=0.21 * np.sqrt(sizes), class_number=None),
        "quality": dict.fromkeys(numbers, 0.7),
        "score_mean": dict.fromkeys(numbers, 0.31),
        "files": {"averages.mrcs": "averages"},
        "notes": ["A note."],
    }
    return AverageReportData(**(made | fields))
