"""Room of deformed images: sliced Wasserstein distances on hand-written digits and blobs, and what they cost.

Parameters were chosen on the first 200 images of each digit; the following 200, turned afresh, were looked at once.
The data are those of CRYOALIGN_TEST_DATA; a Euclidean rotation search on the same Fourier lines is the yardstick.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.pair_search import lowest
from cryoalign.metrics.sliced.angle_curve import Harmonics, curves, harmonics
from cryoalign.metrics.sliced.polar_euclidean import euclidean_columns
from cryoalign.metrics.sliced.sinogram import LineTransform, line_gain, line_layout
from cryoalign.metrics.sliced.wiener_split import known_of_stack, masked_images, masked_noise_power, wiener_gain

from . import digits
from .digits import Group
from .results import Room
from .settings import Settings
from .speed import best_cpu
from .wavelet_cost import add_wavelet_cost

NEAR_DEG = 25.0
SNRS = (1.0, 0.3, 0.1, 0.03)
MASK_PX = 16.0
"""Radius of the mask of noisy images; clean ones are masked by the box."""
SIZES = (64, 128, 256, 512, 1024, 2048)
_POLAR = "euclidean (polar)"


def polar_harmonics(images: NDArray[np.float32], known: Preparation) -> Harmonics:
    """Mask, filter and expand images (n, L, L) where they are, for Euclidean curves over the angle."""
    layout = line_layout(images.shape[-1])
    transform, gain = LineTransform(layout), np.ones(1, np.float32)
    if known.noise_spectrum is not None and known.stack_spectrum is not None:
        wiener = wiener_gain(known.stack_spectrum, masked_noise_power(known, layout.box))
        gain = line_gain(layout, 0.0, wiener)
    return harmonics([euclidean_columns(transform(m) * gain, layout) for m in masked_images(images, known)])


def errors(name: str, group: Group, known: Preparation, limits: SearchLimits, **options: object) -> NDArray:
    """Return the errors of a measure's angles in degrees, signed; references are clean."""
    clean = Preparation(known.mask_radius_px)
    if name == _POLAR:
        curve = curves(polar_harmonics(group.reference[None], clean), polar_harmonics(group.images, known))
        found = lowest(curve, SearchLimits(), np.arange(len(group.images)))[0][0]
    else:
        kind = measure(name, **options)
        references, images = kind.prepare(group.reference[None], clean), kind.prepare(group.images, known)
        found = kind.search(references, images, limits).poses.psi
    return (found - group.psi + 180.0) % 360.0 - 180.0


def right(name: str, data: list[Group], known: Preparation, limits: SearchLimits, **options: object) -> NDArray:
    """Return which images are within 25 degrees."""
    return np.concatenate([np.abs(errors(name, g, known, limits, **options)) <= NEAR_DEG for g in data])


def aware(data: list[Group], variance: float) -> Preparation:
    """Return what is known of noisy images: the mask, the noise, the stack's own spectrum."""
    known = Preparation(MASK_PX, np.full(digits.BOX // 2 + 1, variance))
    return known_of_stack(np.concatenate([g.images for g in data]), known)


def conditions(folder: Path, seed: int, first: int, count: int) -> dict[str, dict[str, NDArray]]:
    """Return which images each measure turned back, condition by condition."""
    outcome: dict[str, dict[str, NDArray]] = {}
    whole, still, moving = Preparation(digits.BOX // 2), SearchLimits(), SearchLimits(9.0)
    centred = digits.groups(folder, seed, first=first, count=count)
    names = ("rfsw", "sw", "sw1", "euclidean", _POLAR)
    outcome["centred"] = {name: right(name, centred, whole, still) for name in names}
    outcome["centred"]["rfsw, exponent 1"] = right("rfsw", centred, whole, still, exponent=1.0)
    shifted = digits.groups(folder, seed, first=first, count=count, shift_px=6.0)
    outcome["+-6 px"] = {
        "rfsw": right("rfsw", shifted, whole, moving),
        "rfsw, no shift": right("rfsw", shifted, whole, SearchLimits(9.0, translation="none")),
        "sw": right("sw", shifted, whole, moving),
        "sw1": right("sw1", shifted, whole, moving),
        "euclidean": right("euclidean", shifted, Preparation(), moving),
        _POLAR: right(_POLAR, shifted, whole, still),
    }
    for snr in SNRS:
        data, variance = digits.noisy(centred, snr, seed + 100)
        known = aware(data, variance)
        outcome[f"SNR {snr:g}"] = {
            name: right(name, data, known, still) for name in ("rfsw", "auto", "euclidean", _POLAR)
        }
    return outcome


def run_mnist(settings: Settings) -> Room:
    """Hand-written digits and blobs, deformed, shifted and noisy; sliced Wasserstein beside Euclid, and its cost."""
    room = settings.room("mnist")
    data = os.environ.get("CRYOALIGN_TEST_DATA", "")
    count = 40 if settings.quick else digits.PER_DIGIT
    if data and (Path(data) / "mnist").is_dir():
        folder = Path(data) / "mnist"
        tuned = conditions(folder, 0, 0, count)
        _tuned_figures(room, tuned)
        _copies(room, folder)
        _held_out_figures(room, conditions(folder, 1001, digits.PER_DIGIT, count))
    else:
        room.skip("MNIST", "CRYOALIGN_TEST_DATA is not set")
    _deformed(room, settings.seeds)
    _cost(room, settings.quick)
    add_wavelet_cost(room)
    return room


def _tuned_figures(room: Room, outcome: dict[str, dict[str, NDArray]]) -> None:
    for condition, measures in outcome.items():
        percent = {name: 100 * hit.mean() for name, hit in measures.items()}
        bars: dict[str, tuple[float, str]] = {}
        if condition == "centred":
            bars["rfsw"] = (max(82.0, 4.0 + max(percent["sw"], percent["euclidean"], percent[_POLAR])), ">=")
        elif condition == "+-6 px":
            bars = {"rfsw": (81.0, ">="), "rfsw, no shift": (50.0, "<=")}
        elif condition == "SNR 1":
            bars["rfsw"] = (max(80.0, 2.0 + percent["euclidean"]), ">=")
        elif condition == "SNR 0.1":
            bars["auto"] = (max(74.0, percent["euclidean"] - 2.0), ">=")
        elif condition == "SNR 0.03":
            bars["auto"] = (70.0, ">=")
        for name, value in percent.items():
            bar, sense = bars.get(name, (None, "<="))
            room.add(f"digits, {condition}: {name}, % within 25 deg", value, bar, sense)


def _held_out_figures(room: Room, outcome: dict[str, dict[str, NDArray]]) -> None:
    """The same order on images that nothing was chosen on: paired differences in points, with standard errors."""
    for condition, measures in outcome.items():
        for name, hit in measures.items():
            room.add(f"held out, {condition}: {name}, % within 25 deg", 100 * hit.mean())
    pairs = [("centred", "rfsw", other, 0.0) for other in ("sw", "euclidean", _POLAR)]
    pairs += [("+-6 px", "rfsw", other, 0.0) for other in ("rfsw, no shift", "sw", "euclidean")]
    pairs += [("SNR 1", "rfsw", "euclidean", 0.0), ("SNR 0.3", "auto", "euclidean", -2.0)]
    pairs += [(f"SNR {snr:g}", "auto", "euclidean", -2.0) for snr in (0.1, 0.03)]
    for condition, one, other, bar in pairs:
        gain = outcome[condition][one].astype(float) - outcome[condition][other]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        note = f"paired, +- {100 * error:.2f}"
        room.add(f"held out, {condition}: {one} minus {other}, points", 100 * gain.mean(), bar, ">=", note)


def _copies(room: Room, folder: Path) -> None:
    """Ten images of each digit, turned by any angle and shifted by up to 6 px along each axis, onto themselves."""
    pixels, labels = digits.read_digits(folder)
    rng, kind = np.random.default_rng(3), measure("rfsw")
    angle, shift = [], []
    for digit in digits.DIGITS:
        originals = digits.padded(pixels[labels == digit][:10])
        psi, (dx, dy), own = rng.uniform(-180, 180, 10), rng.uniform(-6, 6, (2, 10)), np.arange(10)
        known = Preparation(digits.BOX // 2)
        a = kind.prepare(originals.astype(np.float32), known)
        found = kind.table(a, kind.prepare(digits.posed(originals, psi, dx, dy), known), SearchLimits(9.0))
        angle.append(np.abs((found.psi[own, own] - psi + 180.0) % 360.0 - 180.0))
        shift.append(np.hypot(found.dx[own, own] - dx, found.dy[own, own] - dy))
    room.add("copies: largest error of 70 angles, deg", np.max(angle), 1.0)
    room.add("copies: largest error of 70 shifts, px", np.max(shift), 0.15)


def _deformed(room: Room, seeds: tuple[int, ...]) -> None:
    known, still = Preparation(digits.BOX // 2), SearchLimits()
    bars = {"rfsw": (74.0, ">="), _POLAR: (55.0, "<=")}
    data = [group for seed in seeds for group in digits.jittered(seed)]
    for name in ("rfsw", "sw", "sw1", _POLAR):
        bar, sense = bars.get(name, (None, "<="))
        room.add(f"jittered blobs: {name}, % within 25 deg", 100 * right(name, data, known, still).mean(), bar, sense)
    pair = digits.head_and_tail()
    for name, bar, sense in (("rfsw", 15.0, "<="), ("sw", 15.0, "<="), (_POLAR, 150.0, ">=")):
        error = np.abs(errors(name, pair, Preparation(48.0), still))[0]
        room.add(f"head and tail: {name}, deg from the turn", error, bar, sense)


def _cost(room: Room, quick: bool) -> None:
    """One pair at many sizes with all plans and transforms, and a stack; CPU seconds, one thread."""
    kind, known, limits = measure("rfsw"), Preparation(), SearchLimits(5.0)

    def sliced(references: NDArray, images: NDArray) -> object:
        return kind.search(kind.prepare(references, known), kind.prepare(images, known), limits)

    def polar(references: NDArray, images: NDArray) -> object:
        curve = curves(polar_harmonics(references, known), polar_harmonics(images, known))
        return lowest(curve, SearchLimits(), np.arange(len(images)))

    sizes, times = SIZES[:4] if quick else SIZES, []
    for box in sizes:
        rng, unit = np.random.default_rng(box), box / 64.0
        x, y = 14 * unit * rng.uniform(-1, 1, (2, 8))
        a, b = (digits.blobs(box, x, y, np.full(8, 2.0 * unit), np.ones(8), psi)[None] for psi in (0.0, 50.0))
        repeats = 5 if box < 1024 else 2
        ours = best_cpu(lambda a=a, b=b: sliced(a, b), repeats)
        other = best_cpu(lambda a=a, b=b: polar(a, b), repeats)
        times.append(ours)
        room.add(f"one pair at {box} px: rfsw, CPU s", ours, 3.0 if box == 2048 else None)
        room.add(f"one pair at {box} px: rfsw over {_POLAR}", ours / other, 3.0)
    slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    room.add("slope of log time against log size", slope, 2.3)
    rng = np.random.default_rng(0)
    stack = rng.random((1010, 64, 64)).astype(np.float32)
    for count in (1000, 100) if not quick else (100,):
        ours = best_cpu(lambda n=count: sliced(stack[:10], stack[10 : 10 + n]), 2)
        other = best_cpu(lambda n=count: polar(stack[:10], stack[10 : 10 + n]), 2)
        room.add(f"{count} images x 10 references, 64 px: rfsw, ms a pair", 100 * ours / count)
        room.add(f"{count} images x 10 references, 64 px: rfsw over {_POLAR}", ours / other, 3.0)
