"""What a comparison of particles with each other is told; the commands' own parameters add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from cryoalign.classification.settings import Features, Score
from cryoalign.core.errors import InputError
from cryoalign.passes.settings import NoisyImageSettings, TableOptions
from cryoalign.runs.parameters import PartOptions

DEFAULT_K = 50
COMPONENTS: tuple[Features, ...] = get_args(Features)
"""Metrics that compare components of images."""
DEFAULT_DOWNSAMPLE = 32
SMALLEST_BOX = 16


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings(NoisyImageSettings):
    """How particles are made comparable, and compared.

    Attributes
    ----------
    k
        Neighbours of each particle; None = 50, or what there is.
    score, metric
        How two particles are compared, and which components of them.
    mirror
        Mirrored views count as neighbours.
    shifts, shift_sd
        Search shifts; standard deviation of either coordinate of the particles' centres in pixels.
    candidates
        Particles that are compared exactly with each one; 0 = all.
    downsample
        Prepared images are cropped in Fourier space to so many pixels.
    """

    k: int | None = None
    score: Score = "llr"
    metric: str = COMPONENTS[0]
    mirror: bool = True
    shifts: bool = True
    shift_sd: float | None = None
    candidates: int | None = None
    downsample: int = DEFAULT_DOWNSAMPLE

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("k", at_least=1)
        self.check_choices({"score": Score})
        self.check_metric()
        self.check_numbers("shift_sd", "candidates", at_least=0)
        if self.shift_sd and not self.shifts:
            raise InputError("--shift-sd and --no-shifts exclude each other", hint="give one of them")
        self.check_numbers("downsample", at_least=1)
        if self.downsample < SMALLEST_BOX:
            raise InputError(f"--downsample must be at least {SMALLEST_BOX} pixels", value=self.downsample)

    def check_metric(self) -> None:
        """Refuse what is no metric of components."""
        self.check_choices({"metric": Features})

    def shift_sd_prepared(self, box: int, prepared_box: int) -> float | None:
        """Return the standard deviation to search, in pixels of the prepared images; None = from the data."""
        if not self.shifts:
            return 0.0
        return None if self.shift_sd is None else self.shift_sd * prepared_box / box


@dataclass(frozen=True, kw_only=True)
class ComparisonParameters(ComparisonSettings, TableOptions, PartOptions):
    """Parameters of the commands that begin with a comparison of particles."""

    spelling: ClassVar[Mapping[str, str]] = {"rows": "--particles", "k": "-k"}
