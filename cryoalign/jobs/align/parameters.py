"""Everything that `cryoalign align` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryoalign.core.errors import InputError
from cryoalign.metrics.registry import measure
from cryoalign.run.parameters import (
    check_part,
    check_values,
    option_of,
    parameters_from_json,
    parameters_to_json,
    refuse_together,
)

Interpolation = Literal["fourier", "nearest", "linear", "cubic", "quintic"]
Edge = Literal["wrap", "mirror", "zero", "mean"]
OnBadImage = Literal["error", "skip"]
NoiseGroup = Literal["optics", "micrograph"]
CORE_METRIC = "ncc"
"""The measure of the search core, with CTF and noise weights."""
Strategy = Literal["references", "synchronized"]

_PATHS = ("output", "reference", "datadir")


@dataclass(frozen=True, kw_only=True)
class AlignParameters:
    """Parameters of one alignment, to references that are given or that the particles make themselves.

    Lengths are in Angstrom but where the name says px; angles in degrees. None means: not given, decided by the data.

    Attributes
    ----------
    inputs, output, reference, datadir
        Particles (.star, .mrcs, .mrc, .cs), run directory, references (one file of one or many images), and the folder
        that image names start from.
    strategy
        Where references come from: given, or averages of the particles in the frame that their neighbours make.
    classes
        With "synchronized", how many references; None = one for each connected component.
    angpix
        Pixel size that overrides the metadata.
    mask_diameter
        None = 0.8 of the box.
    ctf, ctf_intact_first_peak, whiten
        What the score takes into account, where the metadata allow.
    lowpass, highpass
        Band of the search.
    max_shift, max_shift_px
        Radius of the shift search round the input origin; both None = box / 12 pixels.
    metric
        Measure by which references and poses are found, a name of ``cryoalign.metrics.registry``; "ncc" is the core's.
    local, local_flip
        Half-width of the psi search round the input angle, None = full circle; with flip also round psi + 180.
    mirror
        Search mirrored images too.
    iterations
        Rounds; from the second on, the references are the averages of the round before. None = 1, or 5 with halves or
        without given references.
    halves
        Refine two halves that never meet, each on its own averages; None = where there is more than one round.
    initial_lowpass
        With halves, the given references are used to this resolution only; None = ring 8 of the box.
    guard, null_test
        Test the alignment on rings that were held out; align as many noise images in the same way.
    invert, apply_mag_matrix
        Negate pixels as read; correct them by the magnification matrices of the optics table.
    interpolation, edge, normalize
        How aligned images are made; edge None = wrap, or zero with linear.
    write_stack, resize_reference
        Write aligned.mrcs; bring references of another box or pixel size to the particles'.
    fast
        Search fewer candidates.
    threads, memory
        Cannot change a result. Memory in bytes.
    limit, block_size
        Rows to read at most, and rows of a part (a multiple of 64).
    seed
        For everything random.
    on_bad_image, noise_group
        What to do with broken images, and which images share a noise spectrum.
    resume, overwrite, part, full_digest, allow_no_signal
        How the run treats its directory; part is (k, n) of a job array.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    inputs: tuple[Path, ...]
    output: Path
    reference: Path | None = None
    strategy: Strategy = "references"
    classes: int | None = None
    datadir: Path | None = None
    angpix: float | None = None
    mask_diameter: float | None = None
    ctf: bool = True
    ctf_intact_first_peak: bool = False
    whiten: bool = True
    lowpass: float | None = None
    highpass: float | None = None
    max_shift: float | None = None
    max_shift_px: float | None = None
    metric: str = CORE_METRIC
    local: float | None = None
    local_flip: bool = False
    mirror: bool = False
    iterations: int | None = None
    halves: bool | None = None
    initial_lowpass: float | None = None
    guard: bool = True
    null_test: bool = False
    invert: bool = False
    apply_mag_matrix: bool = False
    interpolation: Interpolation = "fourier"
    edge: Edge | None = None
    normalize: bool = False
    write_stack: bool = True
    resize_reference: bool = False
    fast: bool = False
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
    allow_no_signal: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_values(
            self, positive=("angpix", "mask_diameter", "lowpass", "highpass", "local", "initial_lowpass"),
            at_least_one=("iterations", "threads", "memory", "limit", "classes"), choices=_CHOICES,
        )  # fmt: skip
        self._check_strategy()
        for name in ("max_shift", "max_shift_px"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{option_of(name)} must not be negative", value=value)
        refuse_together(self, ("max_shift", "max_shift_px"))
        if self.measured:
            measure(self.metric)  # a name that is wrong, or a package that is missing, is said now
            if self.fast:
                raise InputError(
                    "--fast goes with the search of --metric ncc", value=self.metric, hint="leave one of them out"
                )
        if self.lowpass is not None and self.highpass is not None and self.lowpass >= self.highpass:
            raise InputError(
                "no band is left between --highpass and --lowpass",
                value=(self.highpass, self.lowpass),
                hint="both are in Angstrom: the high-pass is the larger",
            )
        if self.local is not None and self.local > 180:
            raise InputError("--local is a half-width of at most 180 degrees", value=self.local)
        if self.local is not None and self.mirror:
            raise InputError("--local and --mirror exclude each other", hint="the input angle holds for one handedness")
        if self.local_flip and self.local is None:
            raise InputError("--local-flip needs --local DEG")
        refuse_together(self, ("resume", "overwrite"))
        check_part(self.part, overwrite=self.overwrite)
        if self.part is not None and self.rounds > 1:
            raise InputError(
                "--part cannot be used with --iterations above 1", hint="every round needs all parts of the last"
            )
        if self.halves and self.rounds < 2:
            raise InputError("--halves needs at least two rounds", value=self.iterations, hint="leave --iterations out")
        if self.initial_lowpass is not None and not self.in_halves:
            raise InputError("--initial-lowpass goes with --halves", hint="--lowpass limits every round")

        # From here on they say what is done, in run.json too.
        for name, value in (("iterations", self.rounds), ("halves", self.in_halves)):
            object.__setattr__(self, name, value)

    def _check_strategy(self) -> None:
        """Refuse what does not go with the place where references come from."""
        if self.strategy == "references":
            if self.reference is None:
                raise InputError("--reference is needed", hint="or --strategy synchronized, which makes references")
            if self.classes is not None:
                raise InputError("--classes goes with --strategy synchronized", value=self.classes)
            return
        if self.reference is not None:
            raise InputError(
                "--strategy synchronized makes its own references", value=self.reference, hint="leave --reference out"
            )
        if self.part is not None:
            raise InputError(
                "--part cannot be used with --strategy synchronized", hint="neighbours are found among all particles"
            )
        if self.local is not None:
            raise InputError("--local cannot be used with --strategy synchronized", hint="its frame has no input angle")

    @property
    def rounds(self) -> int:
        """Rounds of alignment: what was asked for, else 5 with halves or without given references, else 1."""
        return self.iterations if self.iterations is not None else 5 if self.halves or self.synchronized else 1

    @property
    def measured(self) -> bool:
        """Whether another measure than the search core's was asked for."""
        return self.metric != CORE_METRIC

    @property
    def any_contrast(self) -> bool:
        """Whether particles may look like references with inverted contrast."""
        return self.metric == "mutual-information"

    @property
    def synchronized(self) -> bool:
        """Whether the particles make their own references."""
        return self.strategy == "synchronized"

    @property
    def in_halves(self) -> bool:
        """Whether two halves are refined apart."""
        return self.halves if self.halves is not None else self.rounds > 1

    @property
    def resolved_edge(self) -> Edge:
        """What is beyond the edge of an image: wrap, or zero with linear interpolation, as RELION has it."""
        return self.edge if self.edge is not None else "zero" if self.interpolation == "linear" else "wrap"

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold; `from_json` undoes it."""
        return parameters_to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AlignParameters:
        """Return the parameters that `to_json` described; an unknown name is an InputError."""
        return parameters_from_json(cls, values, command="align", paths=_PATHS)


_CHOICES: dict[str, Any] = {
    "strategy": Strategy,
    "interpolation": Interpolation,
    "edge": Edge,
    "on_bad_image": OnBadImage,
    "noise_group": NoiseGroup,
}
