"""Room of the guard against model bias: noise must be warned of, particles must not, and z must mean what it says.

All goes through the program's own search, resampling and sums; truth is relion_project and seeded noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import mask_references
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.cross_fit import cross_fit_references
from cryoalign.averaging.ctf_sums import multiply_by_ctf
from cryoalign.averaging.guard import (
    BAND_RING,
    GAP,
    GuardVerdict,
    faded,
    held_out_products,
    judge,
    judge_cross_fitted,
    judged_references,
)
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.search import Searcher, SearchSettings, plan_search
from cryoalign.core.search.weigh import ctf_coefficients

from . import files, noise, truth
from .phantom import Phantom
from .results import Room
from .settings import Settings

MASK_SHARE = 0.8
Columns = tuple[NDArray, NDArray, NDArray]


@dataclass
class Bench:
    """Particles of one view without noise, their reference, CTF and noise; images are drawn on demand."""

    name: str
    clean: NDArray
    reference: NDArray
    pixel: float
    power: NDArray
    ctf: CtfParameters | None
    seed: int

    def __post_init__(self) -> None:
        """Begin the stream of random numbers."""
        self.rng = np.random.default_rng(self.seed)

    @property
    def box(self) -> int:
        """Side in pixels."""
        return self.clean.shape[-1]

    def draw(self, n: int, snr: float = 0.0, share: float = 1.0) -> tuple[NDArray, CtfParameters | None]:
        """Draw n images, of which a share hold particles of this SNR; with their CTF."""
        images = noise.draw(self.rng, n, self.box, None if np.ptp(self.power) == 0 else self.power)
        rows = self.rng.permutation(len(self.clean))[:n] if n <= len(self.clean) else np.arange(n) % len(self.clean)
        real = round(share * n) if snr else 0
        images[:real] += np.float32(np.sqrt(snr)) * self.clean[rows[:real]]
        return images, None if self.ctf is None else self.ctf.take(rows)


def benches(settings: Settings, molecule: str = "ribosome") -> list[Bench]:
    """Return white, coloured, CTF, and CTF with coloured noise at 64 px; or white noise at 128 px."""
    n = 500 if molecule == "fine" else 2000
    found = []
    for ctf in (False, True) if molecule == "ribosome" else (False,):
        data = truth.map_set(settings.work, molecule=molecule, n=n, snr=0, ctf=ctf)
        parameters = None
        if ctf:
            t = data.truth
            parameters = CtfParameters(300.0, 2.7, 0.1, t["defocus_u"], t["defocus_v"], t["defocus_angle"])
        white = np.ones(data.box)
        kinds = [("white noise", white)]
        if molecule == "ribosome":
            spectrum = noise.micrograph_spectrum(truth.data_folder(), data.box, data.pixel_size_angstrom)
            kinds.append(("coloured noise", spectrum))
        for words, power in kinds:
            name = f"{data.box} px, {'CTF, ' if ctf else ''}{words}"
            reference = files.read_stack(data.references)
            found.append(
                Bench(name, data.images(), reference, data.pixel_size_angstrom, power, parameters, 20 + len(found))
            )
    return found


class Guarded:
    """The guard with some references."""

    def __init__(self, bench: Bench, references: NDArray) -> None:
        self.bench, box = bench, bench.box
        references = references.astype(np.float32)
        self.masked = mask_references(references, MASK_SHARE * box)
        self.judged = judged_references(references, MASK_SHARE * box)
        self.power = bench.power[None, : box // 2 + 1]
        search = SearchSettings(box / 12, MASK_SHARE * box / 2 + 2.5, full_rings=BAND_RING, coarse_rings=BAND_RING)
        self.searcher = Searcher(plan_search(self.masked, self.power, search))

    def poses(self, images: NDArray, ctf: CtfParameters | None) -> Iterator[tuple]:
        """Yield images, CTF and what the search on low rings found, tile by tile."""
        for start in range(0, len(images), 64):
            some = images[start : start + 64]
            here = None if ctf is None else ctf.take(np.arange(start, start + len(some)))
            coefficients = None if here is None else ctf_coefficients(here, self.bench.box, self.bench.pixel)
            yield some, here, self.searcher.search(some, coefficients=coefficients)

    def look(self, images: NDArray, ctf: CtfParameters | None) -> Columns:
        """Return u, energy and scale of each image."""
        found = []
        images = faded(images, MASK_SHARE * self.bench.box)
        for some, here, result in self.poses(images, ctf):
            weighted, squares = multiply_by_ctf(some, here, self.bench.pixel)
            u, energy = held_out_products(
                resample(weighted, result.poses), self.masked, result.reference, squares,
                np.repeat(self.power, len(some), axis=0), BAND_RING + GAP + 1, result.scale, self.judged,
            )  # fmt: skip
            found.append((u, energy, result.scale))
        return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def verdicts(columns: Columns, n: int) -> list[GuardVerdict]:
    """Judge every n images by themselves."""
    return [judge(*(c[i : i + n] for c in columns)) for i in range(0, len(columns[0]) - n + 1, n)]


def cross_fitted(bench: Bench, images: NDArray, ctf: CtfParameters | None, given: NDArray, rounds: int) -> dict:
    """Refine halves apart on low rings, then judge each against what the other became: columns and the two z."""
    half, box = np.arange(len(images)) % 2, bench.box
    sums = SumSettings(box, bench.pixel, box, bench.pixel, 2, 2.0**20)
    mine = [None if ctf is None else ctf.take(np.flatnonzero(half == h)) for h in (0, 1)]
    references = [given, given]
    for _ in range(rounds):
        cells = ClassSums(sums)
        for h in (0, 1):
            tiles = list(Guarded(bench, references[h]).poses(images[half == h], mine[h]))
            poses = Poses.concatenate([result.poses for *_, result in tiles])
            cells.add(images[half == h], poses, np.full(len(poses), h), mine[h])
        references = list(
            cross_fit_references(
                cells.totals()[None], cells.ctf_power()[None], cells.counts[None], MASK_SHARE * box
            )
        )  # fmt: skip
    columns = np.zeros((3, len(images)))
    for h in (0, 1):
        columns[:, half == h] = Guarded(bench, references[1 - h]).look(images[half == h], mine[h])
    each = [judge(*columns[:, half == h]).z for h in (0, 1)]
    return {"both": judge_cross_fitted(*columns, half), "each": each}


def face(box: int) -> NDArray:
    """Draw a face, variance 1, (1, box, box)."""
    y, x = (np.mgrid[:box, :box] - box // 2) / box
    image = 1.0 * (np.hypot(x / 0.8, y) < 0.32)
    for side in (-0.11, 0.11):
        image -= 0.9 * (np.hypot(x - side, (y + 0.09) / 0.7) < 0.045)
    image -= 0.8 * ((np.abs(np.hypot(x, y + 0.02) - 0.2) < 0.018) & (y > 0.09))
    image -= 0.5 * ((np.abs(x) < 0.015) & (np.abs(y - 0.01) < 0.06))
    return (image / image.std())[None]


def run_guard(settings: Settings) -> Room:
    """The guard against model bias: noise, particles, wrong references, mixtures, weak particles, own averages."""
    room = settings.room("guard")
    sets = 40 if settings.quick else 200
    at64, at128 = benches(settings), benches(settings, "fine")
    warned = [w for bench in (*at64, *at128) for w in _noise(room, bench, sets)]
    room.add("noise, all of these: share warned, N = 512", np.mean(warned), 0.99, ">=", f"{len(warned)} sets")
    for bench in at64:
        _particles(room, bench, 20 if settings.quick else 100)
    for bench in (at64[0], at64[3]):
        _wrong_references(room, bench, 10 if settings.quick else 40)
    _weak(room, at64[0], 10 if settings.quick else 40)
    for bench in (at64[0], at64[1], at64[3]):
        _own_averages(room, bench, sets)
    return room


def _noise(room: Room, bench: Bench, sets: int) -> list[bool]:
    given = np.sqrt(0.05) * bench.reference
    images, ctf = bench.draw(128 * sets)
    columns = Guarded(bench, given).look(images, ctf)
    z = np.array([v.z for v in verdicts(columns, 128)])
    note = f"{sets} sets of 128; sd {np.std(z):.2f}, mean {np.mean(z):.2f}, largest {z.max():.2f}"
    room.add(f"noise, {bench.name}: distance of sd of z from 1", abs(np.std(z) - 1), 0.15, note=note)
    u = columns[0]
    room.add(f"noise, {bench.name}: largest z", z.max(), note=f"of {sets}")
    bias, error = 100 * u.mean() / u.std(), 100 / np.sqrt(len(u))
    room.add(f"noise, {bench.name}: mean z of 10,000 images", abs(bias), note=f"{bias:.2f}, se {error:.2f}")
    return [v.warned for v in verdicts(columns, 512)]


def _particles(room: Room, bench: Bench, sets: int) -> None:
    snr, n = 0.05, 500
    guard = Guarded(bench, np.sqrt(snr) * bench.reference)
    found = [judge(*guard.look(*bench.draw(n, snr))) for _ in range(sets)]
    z, a = np.array([v.z for v in found]), np.array([v.share for v in found])
    warned = np.mean([v.verdict != "signal" for v in found])
    note = f"{sets} sets, SNR {snr:g}, N = {n}: z {z.min():.0f} to {z.max():.0f}, A {a.mean():.2f}"
    room.add(f"particles, {bench.name}: share not recognised", warned, 0.01, "<=", note)
    for share in (1.0, 0.5, 0.2, 0.1):
        found = [judge(*guard.look(*bench.draw(n, snr, share))) for _ in range(max(sets // 5, 4))]
        a, error = np.mean([v.share for v in found]), np.mean([v.share_error for v in found])
        note = f"A {a:.3f}, standard error of one set {error:.3f}, {len(found)} sets"
        bar = None if share == 1.0 else 0.07
        room.add(f"mixture, {bench.name}: error of A, {share:g} real", abs(a - share), bar, note=note)


def _wrong_references(room: Room, bench: Bench, sets: int) -> None:
    snr, box = 0.05, bench.box
    others = [
        Phantom.make(seed=seed, n_atoms=200, widths=(0.01, 0.02)).project(box, 20.0, 60.0, 0.0, 0.0, 0.0)
        for seed in range(100, 100 + sets)
    ]
    for name, references in (("other molecules", others), ("a face", [face(box)] * sets)):
        found = []
        for wrong in references:
            guard = Guarded(bench, np.sqrt(snr) / wrong.std() * wrong)
            found.append(judge(*guard.look(*bench.draw(500, snr))))
        z = np.array([v.z for v in found])
        note = f"{sets} sets, z {z.min():.1f} to {z.max():.1f}"
        signal = np.mean([v.verdict == "signal" for v in found])
        room.add(f"particles on {name}, {bench.name}: share called signal", signal, 0.01, note=note)
        warned = np.mean([v.warned for v in found])
        room.add(f"particles on {name}, {bench.name}: share warned", warned, note="the rest cannot tell")
    images, ctf = bench.draw(500, snr)
    right = judge(*Guarded(bench, np.sqrt(snr) * bench.reference).look(images, ctf))
    for factor in (0.1, 10.0):
        other = judge(*Guarded(bench, factor * np.sqrt(snr) * bench.reference).look(images, ctf))
        note = f"A {other.share:.3f}, fitted intensity {other.intensity:.3f}"
        room.add(
            f"reference {factor:g} times as strong, {bench.name}: change of z", abs(other.z - right.z), 0.1, note=note
        )


def _weak(room: Room, bench: Bench, sets: int) -> None:
    for snr, n, bar in ((0.01, 50, 5.0), (0.005, 500, 6.5)):
        guard = Guarded(bench, np.sqrt(snr) * bench.reference)
        found = [judge(*guard.look(*bench.draw(n, snr))) for _ in range(sets)]
        z = np.array([v.z for v in found])
        note = f"{sets} sets, {z.min():.1f} to {z.max():.1f}, recognised {np.mean(z >= 3.1):.2f}"
        room.add(f"particles, {bench.name}, SNR {snr:g}, N = {n}: median z", np.median(z), bar, ">=", note)
    for snr in (0.05, 0.01, 0.005):
        guard = Guarded(bench, np.sqrt(snr) * bench.reference)
        columns = guard.look(*bench.draw(2000, snr))
        called = [v.warned for n in (10, 20, 50, 100) for v in verdicts(columns, n)]
        name = f"particles, {bench.name}, SNR {snr:g}, N = 10 to 100: share called noise"
        room.add(name, np.mean(called), 0.01, "<=", f"{len(called)} sets")


def _own_averages(room: Room, bench: Bench, sets: int) -> None:
    for rounds in (1, 3):
        runs = sets if rounds == 1 else sets // 2
        found = []
        for _ in range(runs):
            images, ctf = bench.draw(256)
            found.append(cross_fitted(bench, images, ctf, np.sqrt(0.05) * bench.reference, rounds))
        z, each = np.array([f["both"].z for f in found]), np.array([f["each"] for f in found])
        note = (
            f"{runs} sets of 256; mean {z.mean():.2f}, largest {z.max():.2f}; either direction sd {each.std():.2f}, "
            f"correlation of directions {np.corrcoef(each.T)[0, 1]:.2f}"
        )
        name = f"own averages of noise, {bench.name}, {rounds} rounds: distance of sd of z from 1"
        room.add(name, abs(np.std(z) - 1), 0.15, note=note)
    for snr, n in ((0.05, 100), (0.05, 500), (0.02, 500), (0.01, 500)):
        z = []
        for _ in range(5):
            images, ctf = bench.draw(n, snr)
            z.append(cross_fitted(bench, images, ctf, np.sqrt(snr) * bench.reference, 2)["both"].z)
        bar = 3.1 if snr == 0.05 else None
        room.add(f"own averages, {bench.name}, SNR {snr:g}, N = {n}: least z of 5", np.min(z), bar, ">=")
