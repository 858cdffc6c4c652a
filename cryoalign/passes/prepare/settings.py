"""What every command that compares particles can be told; the commands' own parameters add to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryoalign.classification.settings import Features, Score
from cryoalign.core.errors import InputError
from cryoalign.run.parameters import check_part, check_values, option_of, refuse_together

OnBadImage = Literal["error", "skip"]
NoiseGroup = Literal["optics", "micrograph"]

PATHS = ("output", "datadir")
DEFAULT_DOWNSAMPLE = 32
SMALLEST_BOX = 16
_OPTIONS = {"rows": "--particles", "k": "-k"}
CHOICES: dict[str, Any] = {"score": Score, "metric": Features, "on_bad_image": OnBadImage, "noise_group": NoiseGroup}


@dataclass(frozen=True, kw_only=True)
class ComparisonParameters:
    """Parameters of one comparison of particles with each other.

    Lengths are in Angstrom but where the name says px; None means: not given, decided by the data.

    Attributes
    ----------
    inputs, output, datadir, angpix
        Particles (.star, .mrcs, .mrc, .cs), run directory, the folder that image names start from, and a pixel size
        that overrides the metadata.
    k
        Neighbours of each particle.
    score, metric
        How two particles are compared, and which components of them.
    mirror
        Mirrored views count as neighbours.
    shifts, shift_sd
        Search shifts; standard deviation of either coordinate of the particles' centres in pixels.
    candidates
        Particles that are compared exactly with each one; 0 = all.
    mask_diameter
        None = 0.8 of the box; the background is outside.
    ctf, ctf_intact_first_peak, whiten, downsample
        How particles are prepared: the CTF's sign undone, noise made white, cropped in Fourier space to so many pixels.
    invert, apply_mag_matrix
        Negate pixels as read; correct them by the magnification matrices of the optics table.
    threads, memory
        Cannot change a result. Memory in bytes.
    limit, block_size
        Rows to read at most, and rows of a part (a multiple of 64).
    seed
        For everything random.
    on_bad_image, noise_group
        What to do with broken images, and which images share a noise spectrum.
    resume, overwrite, part, full_digest
        How the run treats its directory; part is (k, n) of a job array.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    inputs: tuple[Path, ...]
    output: Path
    datadir: Path | None = None
    angpix: float | None = None
    k: int | None = None
    score: Score = "llr"
    metric: Features = "steerable-pca"
    mirror: bool = True
    shifts: bool = True
    shift_sd: float | None = None
    candidates: int | None = None
    mask_diameter: float | None = None
    ctf: bool = True
    ctf_intact_first_peak: bool = False
    whiten: bool = True
    downsample: int = DEFAULT_DOWNSAMPLE
    invert: bool = False
    apply_mag_matrix: bool = False
    threads: int = 1
    memory: int | None = None
    limit: int | None = None
    block_size: int | None = None
    seed: int = 0
    on_bad_image: OnBadImage = "error"
    noise_group: NoiseGroup = "optics"
    resume: bool = False
    overwrite: bool = False
    part: tuple[int, int] | None = None
    full_digest: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_values(
            self, positive=("angpix", "mask_diameter"), at_least_one=("k", "threads", "memory", "limit"),
            choices=CHOICES,
        )  # fmt: skip
        if self.shift_sd is not None and not (math.isfinite(self.shift_sd) and self.shift_sd >= 0):
            raise InputError("--shift-sd must not be negative", value=self.shift_sd)
        if self.shift_sd and not self.shifts:
            raise InputError("--shift-sd and --no-shifts exclude each other", hint="give one of them")
        if self.candidates is not None and self.candidates < 0:
            raise InputError("--candidates must not be negative", value=self.candidates)
        if self.downsample < SMALLEST_BOX:
            raise InputError(f"--downsample must be at least {SMALLEST_BOX} pixels", value=self.downsample)
        self.refuse_together(("resume", "overwrite"))
        check_part(self.part, overwrite=self.overwrite)

    def refuse_together(self, *pairs: tuple[str, str]) -> None:
        """Refuse options that exclude each other."""
        refuse_together(self, *pairs, option=lambda name: _OPTIONS.get(name, option_of(name)))

    def shift_sd_prepared(self, box: int, prepared_box: int) -> float | None:
        """Return the standard deviation to search, in pixels of the prepared images; None = from the data."""
        if not self.shifts:
            return 0.0
        return None if self.shift_sd is None else self.shift_sd * prepared_box / box
