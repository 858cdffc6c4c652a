"""Room of the stated errors: pull = (found - true) / stated standard error, whose standard deviation should be 1.

The shift's stated error is one number for both axes, so x and y errors are both divided by it. Images on a wrong peak
(beyond 15 degrees) are counted and left out: no curvature at one peak can know of another. References that carry noise,
and own averages, are also off in angle and place as a whole; that offset, common to all images, is not what the images'
errors speak of and is fitted and taken away.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import adapters, files, judge, truth
from .results import Room
from .settings import Settings

BAND = (0.9, 1.1)
"""What the standard deviation of pulls must lie within."""
OUTLIER = 5.0


@dataclass(frozen=True)
class Case:
    """A set, how its references or images are changed, and what the command is told."""

    title: str
    make: Callable[[Path, int, int], truth.TruthSet]
    extra: tuple[str, ...] = ()
    gain: float = 1.0
    members: int = 0
    mirrored: bool = False
    own_averages: bool = False
    judged: bool = True


@dataclass(frozen=True)
class Pulls:
    """Pulls in psi (n,) and in x and y (2 n,) of the images on the right reference and peak; how many were not."""

    psi: NDArray[np.float64]
    shift: NDArray[np.float64]
    n: int
    far: int


def cases() -> list[Case]:
    """List what is measured."""

    def view(snr: float, **options: object) -> Callable[[Path, int, int], truth.TruthSet]:
        return lambda work, n, seed: truth.map_set(work, n=n, snr=snr, seed=seed, **options)

    def ten(snr: float) -> Callable[[Path, int, int], truth.TruthSet]:
        return lambda work, n, seed: truth.phantom_set(work, n=n, snr=snr, seed=seed)

    found = []
    for snr in (0.5, 0.1, 0.05):
        found.append(Case(f"70S, white noise, SNR {snr:g}", view(snr)))
        found.append(Case(f"70S, CTF, coloured noise, SNR {snr:g}", view(snr, ctf=True, coloured=True)))
        found.append(Case(f"128 px, 10 references, white noise, SNR {snr:g}", ten(snr)))
    for snr in (0.1, 0.05):
        fine = view(snr, molecule="fine", ctf=True, coloured=True)
        found.append(Case(f"128 px, 2 A/px, CTF, coloured noise, SNR {snr:g}", fine))
    both = {"ctf": True, "coloured": True}
    found += [
        Case("70S, SNR 0.1, --lowpass 30", view(0.1), ("--lowpass", "30")),
        Case("70S, CTF, coloured noise, SNR 0.1, --lowpass 30", view(0.1, **both), ("--lowpass", "30")),
        Case("70S, SNR 0.1, references of 200 members", view(0.1), members=200),
        Case("70S, SNR 0.1, references of 50 members", view(0.1), members=50),
        Case("70S, SNR 0.1, references of 10 members", view(0.1), members=10, judged=False),
        Case("70S, CTF, coloured noise, SNR 0.05, references of 200 members", view(0.05, **both), members=200),
        Case("70S, CTF, coloured noise, SNR 0.05, references of 1000 members", view(0.05, **both), members=1000),
        Case(
            "70S, CTF, coloured noise, SNR 0.1, --halves",
            view(0.1, **both),
            ("--halves",),
            own_averages=True,
            judged=False,
        ),
        Case("70S, SNR 0.1, references 3 times too strong", view(0.1), gain=3.0),
        Case("70S, SNR 0.1, half of the images mirrored, --mirror", view(0.1), ("--mirror",), mirrored=True),
        Case("70S, CTF, coloured noise, SNR 0.1, --no-ctf", view(0.1, **both), ("--no-ctf",)),
        Case("70S, CTF, coloured noise, SNR 0.1, --no-whiten", view(0.1, **both), ("--no-whiten",)),
    ]
    return found


def measured(settings: Settings, case: Case, n: int, seed: int) -> Pulls:
    """Align one set and compare its stated errors with the truth."""
    data = case.make(settings.work, n, seed)
    folder = settings.runs / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    references, star = data.references, data.particles
    if case.gain != 1.0 or case.members:
        references = folder / "references.mrcs"
        changed = _changed(files.read_stack(data.references), case, float(data.truth["noise_power"].mean()), seed)
        files.write_stack(references, changed, data.pixel_size_angstrom)
    flip = np.zeros(len(data.truth["psi"]), bool)
    if case.mirrored:
        flip[::2] = True
        star = _mirrored(folder, data, flip)
    adapters.align(star, references, folder / "out", extra=case.extra)
    poses, stated = adapters.aligned_poses(folder / "out"), adapters.stated_errors(folder / "out")
    psi, shift = judge.pose_errors(poses, data.truth)
    # In the reference's frame, where an offset of the reference is the same for all images.
    turn = np.deg2rad(data.truth["psi"])
    c, s = np.cos(turn), np.sin(turn)
    shift = np.stack([c * shift[:, 0] - s * shift[:, 1], s * shift[:, 0] + c * shift[:, 1]], axis=1)
    right = poses.get("reference", data.truth["reference"]) == data.truth["reference"]
    if case.mirrored:
        right &= stated["mirror"] == flip
    good = right & (np.abs(psi) <= 15.0)
    psi, shift = psi[good], shift[good]
    if case.members or case.own_averages:
        psi, shift = psi - np.mean(psi), shift - np.mean(shift, axis=0)
    psi, shift = psi / stated["psi"][good], shift / stated["shift"][good, None]
    return Pulls(psi, shift.ravel(), len(good), int(np.sum(~good)))


def _changed(references: NDArray, case: Case, noise_variance: float, seed: int) -> NDArray:
    """Return references of another intensity, or with the noise that an average of so many members keeps."""
    changed = case.gain * references
    if case.members:
        rng = np.random.default_rng(1000 + seed)
        changed = changed + np.sqrt(noise_variance / case.members) * rng.standard_normal(references.shape)
    return changed.astype(np.float32)


def _mirrored(folder: Path, data: truth.TruthSet, flip: NDArray[np.bool_]) -> Path:
    """Write the set with some images flipped in x about the centre pixel."""
    images = data.images()
    images[flip] = np.roll(images[flip][:, :, ::-1], 1, axis=2)
    files.write_stack(folder / "particles.mrcs", images, data.pixel_size_angstrom)
    shutil.copy(data.particles, folder / "particles.star")
    return folder / "particles.star"


def run_calibration(settings: Settings) -> Room:
    """Stated standard errors of psi and shift against the errors that were made."""
    room = settings.room("calibration")
    n = 300 if settings.quick else 1000
    for case in cases():
        parts = [measured(settings, case, n, seed) for seed in settings.seeds]
        far, count = sum(p.far for p in parts), sum(p.n for p in parts)
        for name in ("psi", "shift"):
            pulls = np.concatenate([getattr(p, name) for p in parts])
            spread = float(np.std(pulls))
            robust = 1.4826 * float(np.median(np.abs(pulls - np.median(pulls))))
            note = (
                f"robust {robust:.3f}, mean {np.mean(pulls):+.3f}, beyond 5: {np.mean(np.abs(pulls) > OUTLIER):.4f}; "
                f"{far} of {count} images on a wrong peak or reference"
            )
            bars = BAND if case.judged else (None, None)
            label = f"{case.title}: sd of {name} pulls"
            room.add(f"{label}, at least", spread, bars[0], ">=", note)
            room.add(f"{label}, at most", spread, bars[1])
    return room
