"""Everything that `cryoalign average` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryoalign.core.errors import InputError
from cryoalign.run.parameters import (
    check_part,
    check_values,
    parameters_from_json,
    parameters_to_json,
    refuse_together,
)

Interpolation = Literal["fourier", "nearest", "linear", "cubic", "quintic"]
Edge = Literal["wrap", "mirror", "zero", "mean"]
OnBadImage = Literal["error", "skip"]
Robust = Literal["median", "winsorised", "sigma-clip"]
Treatment = Literal["wiener", "flip", "plain"]

_PATHS = ("output", "datadir", "members")
_OPTIONS = {"one_class": "--all"}


@dataclass(frozen=True, kw_only=True)
class AverageParameters:
    """Parameters of one run of averages.

    Lengths are in Angstrom; None means: not given, decided by the data.

    Attributes
    ----------
    inputs, output, datadir, angpix
        Particles (.star, .mrcs, .mrc, .cs), run directory, the folder that image names start from, and a pixel size
        that overrides the metadata.
    members
        A table of memberships: class and pose for images of the input, each of which may be in many classes.
    by, one_class, classes
        What makes a class: a column (None = rlnClassNumber), or everything in one; and the class numbers wanted, as
        ranges (first, last), None = all.
    plain, phase_flip, ctf_intact_first_peak, ssnr
        Treatment of the CTF: none, phases only, or (neither) weighting and Wiener's filter, with a flat SSNR of one
        image instead of the estimated one.
    weights
        A column of weights.
    robust, sigma_clip
        Robust means, and the limit of sigma-clip in standard deviations.
    variance, scale, recenter
        Variance maps; an intensity of every particle; averages brought to the centre.
    independent_halves
        Take the user's word that the halves of rlnRandomSubset were aligned apart.
    mask_diameter
        None = 0.8 of the box.
    invert, apply_mag_matrix, interpolation, edge, normalize
        How pixels are read, corrected, aligned and normalised; edge None = wrap, or zero with linear.
    threads, memory
        Cannot change a result. Memory in bytes.
    limit, block_size
        Rows to read at most, and rows of a part (a multiple of 64).
    seed
        For everything random.
    on_bad_image
        What to do with broken images.
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
    members: Path | None = None
    by: str | None = None
    one_class: bool = False
    classes: tuple[tuple[int, int], ...] | None = None
    plain: bool = False
    phase_flip: bool = False
    ctf_intact_first_peak: bool = False
    ssnr: float | None = None
    weights: str | None = None
    robust: Robust | None = None
    sigma_clip: float | None = None
    variance: bool = False
    scale: bool = False
    recenter: bool = False
    independent_halves: bool = False
    mask_diameter: float | None = None
    invert: bool = False
    apply_mag_matrix: bool = False
    interpolation: Interpolation = "fourier"
    edge: Edge | None = None
    normalize: bool = False
    threads: int = 1
    memory: int | None = None
    limit: int | None = None
    block_size: int | None = None
    seed: int = 0
    on_bad_image: OnBadImage = "error"
    resume: bool = False
    overwrite: bool = False
    part: tuple[int, int] | None = None
    full_digest: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_values(
            self, positive=("angpix", "mask_diameter", "ssnr", "sigma_clip"),
            at_least_one=("threads", "memory", "limit"), choices=_CHOICES, option=option_of,
        )  # fmt: skip
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        refuse_together(
            self, ("plain", "phase_flip"), ("plain", "ssnr"), ("phase_flip", "ssnr"), ("by", "one_class"),
            ("resume", "overwrite"), option=option_of,
        )  # fmt: skip
        alike = "a robust mean takes all members alike"
        refuse_together(self, ("robust", "weights"), ("robust", "scale"), option=option_of, hint=alike)
        if self.sigma_clip is not None and self.robust != "sigma-clip":
            raise InputError("--sigma-clip goes with --robust sigma-clip", value=self.sigma_clip)
        if self.one_class and self.classes is not None:
            raise InputError("--all makes one class: there is nothing for --classes to choose")
        check_part(self.part, overwrite=self.overwrite)
        if self.part is not None:
            for name in ("recenter", "scale", "variance"):
                if getattr(self, name):
                    raise InputError(
                        f"--part cannot be used with {option_of(name)}",
                        hint="it goes through the particles again, once all parts are there",
                    )

    @property
    def treatment(self) -> Treatment:
        """How images are treated before they are added."""
        return "plain" if self.plain else "flip" if self.phase_flip else "wiener"

    @property
    def resolved_edge(self) -> Edge:
        """What is beyond the edge of an image: wrap, or zero with linear interpolation, as RELION has it."""
        return self.edge if self.edge is not None else "zero" if self.interpolation == "linear" else "wrap"

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold; `from_json` undoes it."""
        return parameters_to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AverageParameters:
        """Return the parameters that `to_json` described; an unknown name is an InputError."""
        return parameters_from_json(cls, values, command="average", paths=_PATHS)


_CHOICES: dict[str, Any] = {
    "interpolation": Interpolation,
    "edge": Edge,
    "on_bad_image": OnBadImage,
    "robust": Robust,
}


def option_of(name: str) -> str:
    """Return the option that sets a parameter."""
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")
