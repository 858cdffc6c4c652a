"""Made-up facts of runs, FRC curves, guard findings and null tests, with numbers that tests can look for."""

from __future__ import annotations

import numpy as np

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.einstein import NullTest
from cryoalign.averaging.frc import ClassFrc
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.averaging.guard import GuardVerdict
from cryoalign.averaging.verdict import Verdict
from cryoalign.report.average_page import AverageReportData
from cryoalign.report.classes import Classes, HalfSets
from cryoalign.report.run_facts import RunFacts


def make_facts(**fields) -> RunFacts:
    made = {
        "title": "A title: test",
        "command_line": "cryoalign align particles.star --reference refs.mrcs --output Run",
        "version": "0.0.test",
        "parameters": {"--iterations": "1"},
        "counts": {"read": 1503, "skipped": 2},
        "warnings": ["2 particles were skipped"],
        "timings_s": {"search": 3.0, "average": 1.0},
        "files": {"particles.star": "poses"},
        "notes": ["A note."],
    }
    return RunFacts(**(made | fields))


def facts_that_say(word: str) -> RunFacts:
    """Return facts with one word wherever users have theirs."""
    return make_facts(
        title=word, command_line=word, warnings=[word], parameters={word: word}, files={word: word}, notes=[word]
    )


def make_bare_facts() -> RunFacts:
    """Return the least that can be said of a run."""
    return RunFacts(title="Bare", command_line="cryoalign", version="0")


def make_curve(box=32, *, shared=5, resolution=18.34, half=24.56, seed=0) -> ClassFrc:
    """Return a curve that falls near ring 10; the resolutions are stated, not read from it."""
    ring = np.arange(box // 2 + 1)
    frc = np.clip(
        1 / (1 + (ring / 9.0) ** 6) + 0.02 * np.random.default_rng(seed).standard_normal(len(ring)), -1, 0.999
    )
    noise = 3 / np.sqrt(np.maximum(2 * np.pi * ring, 9))
    ssnr = np.maximum(2 * frc / (1 - frc), 0)
    return ClassFrc(frc, noise, ssnr, shared, resolution, half)


def make_classes(images, members, curves=None, quality=None, **fields) -> Classes:
    """Return classes from number -> image, size (of all classes, in order), curve and quality."""
    numbers = list(members)
    box = next(iter(images.values())).shape[-1]
    averages = ClassAverages(
        averages=np.array([images.get(number, np.zeros((box, box))) for number in numbers], np.float32),
        halves=np.zeros((2, 0, box, box), np.float32),
        frc=tuple((curves or {}).get(number) for number in numbers),
        counts=np.array([members[number] if number in images else 0 for number in numbers], np.int64),
        ssnr_per_image=np.zeros((len(numbers), box // 2 + 1)),
        quality=np.array([(quality or {}).get(number, 0.0) for number in numbers], np.float64),
    )
    made = {"pixel_size_angstrom": 4.0, "mask_diameter_angstrom": 0.8 * box * 4.0}
    return Classes(averages=averages, numbers=numbers, **(made | fields))


def with_curves(curves, members=None, box=32, **fields) -> Classes:
    """Return blank classes that have these curves."""
    members = dict.fromkeys(curves, 100) if members is None else members
    return make_classes({number: np.zeros((box, box)) for number in members}, members, curves, **fields)


def make_growth(**fields) -> GrowthCurve:
    counts = np.array([1, 4, 16, 64, 256])
    return GrowthCurve(**({"counts": counts, "amplitude_snr": 0.21 * np.sqrt(counts), "class_number": 2} | fields))


def make_finding(verdict="signal", z=23.81, **fields) -> GuardVerdict:
    """Return what the guard says of one class or of all."""
    made = {"z": z, "share": 0.87, "share_error": 0.04, "n": 1234, "intensity": 0.9, "expected_z": 41.2}
    return GuardVerdict(verdict=verdict, **(made | fields))


def make_guard(verdict="signal", z=23.81, *, count=3, classes=None, share=0.87, **fields) -> Verdict:
    if classes is None:
        classes = {
            c + 1: make_finding("signal" if c else "no signal", 1.5 + 3 * c, share=0.4 + 0.1 * c, n=50 * (c + 1))
            for c in range(count)
        }
    made = {
        "cross_fitted": False, "aligned_to_angstrom": 32.0, "judged_from_angstrom": 23.27, "judged_to_angstrom": 8.0,
        "u": np.random.default_rng(1).normal(5.0, 8.0, 1234),
    }  # fmt: skip
    return Verdict(overall=make_finding(verdict, z, share=share), classes=classes, **(made | fields))


def make_null(k=2, box=32, **fields) -> NullTest:
    rng = np.random.default_rng(2)
    made = {
        "references": rng.random((k, box, box)),
        "averages": rng.random((k, box, box)),
        "members": 100 * (np.arange(k) + 1),
        "curve_class": 1,
        "counts": (128, 256, 512, 1024, 2048),
        "noise_correlation": np.array([0.66, 0.74, 0.81, 0.85, 0.87]),
        "real_correlation": np.array([0.9, 0.93, 0.95, 0.96, np.nan]),
    }
    return NullTest(**(made | fields))


def make_averages(
    m=3, box=32, *, shared=5, curves=True, variance=False, members=None, quality=None, halves=True, seed=0,
    kind="Wiener-filtered average", images=None, pixel_size_angstrom=4.0, **fields,
) -> AverageReportData:  # fmt: skip
    """Return data of m classes numbered 1, 3, 5, ..., and an empty class 2."""
    rng = np.random.default_rng(seed)
    numbers = [2 * c + 1 for c in range(m)]
    drawn = rng.integers(5, 3000, m)
    if members is None:
        members = dict(zip(numbers, drawn.tolist(), strict=True)) | {2: 0}
    if images is None:
        images = {c: rng.standard_normal((box, box)).astype(np.float32) for c in numbers}
    if curves is True:
        curves = {c: make_curve(box, shared=shared, seed=c) for c in numbers}
    half_sets = HalfSets(counts=(512, 498), rule="a hash of the image name") if halves else None
    made = {
        "classes": make_classes(images, members, curves or {}, quality or dict.fromkeys(numbers, 0.7), kind=kind,
                                halves=half_sets, pixel_size_angstrom=pixel_size_angstrom),
        "variance": 1 + rng.random((len(members), box, box)) if variance else None,
        "growth": make_growth(counts=drawn, amplitude_snr=0.21 * np.sqrt(drawn), class_number=None),
        "score_mean": np.full(len(members), 0.31),
    }  # fmt: skip
    return AverageReportData(**(made | fields))
