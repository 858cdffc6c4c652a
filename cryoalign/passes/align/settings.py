"""What an alignment is told, whichever command makes it."""

from __future__ import annotations

from dataclasses import dataclass

from cryoalign.core.errors import InputError
from cryoalign.metrics.names import measure_class
from cryoalign.passes.settings import NoisyImageSettings, ResamplingSettings

CORE_METRIC = "weighted"
"""The score of the search core, a correlation that CTF and noise weight."""


@dataclass(frozen=True, kw_only=True)
class AlignSettings(NoisyImageSettings, ResamplingSettings):
    """How particles are aligned to references.

    Attributes
    ----------
    lowpass, highpass
        Band of the search.
    max_shift, max_shift_px
        Radius of the shift search round the input origin; both None = box / 12 pixels.
    metric
        Measure by which references and poses are found: "weighted", the search core's, or a name of
        ``cryoalign.metrics.names``.
    local, local_flip
        Half-width of the psi search round the input angle, None = full circle; with flip also round psi + 180.
    mirror
        Search mirrored images too.
    fast
        Search fewer candidates.
    halves
        Refine two halves that never meet, each on its own averages.
    initial_lowpass
        With halves, the given references are used to this resolution only; None = ring 8 of the box.
    resize_reference
        Bring references of another box or pixel size to the particles'.
    normalize_stack
        Bring the background of aligned images that are written to mean 0 and deviation 1.
    """

    lowpass: float | None = None
    highpass: float | None = None
    max_shift: float | None = None
    max_shift_px: float | None = None
    metric: str = CORE_METRIC
    local: float | None = None
    local_flip: bool = False
    mirror: bool = False
    fast: bool = False
    halves: bool | None = False
    initial_lowpass: float | None = None
    resize_reference: bool = False
    normalize_stack: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("lowpass", "highpass", "local", "initial_lowpass")
        self.check_numbers("max_shift", "max_shift_px", at_least=0)
        self.refuse_together(("max_shift", "max_shift_px"))
        if self.measured:
            measure_class(self.metric)()  # a name that is wrong, or a package that is missing, is said now
            if self.fast:
                raise InputError(
                    "--fast goes with the search of --metric weighted", value=self.metric, hint="leave one of them out"
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

    @property
    def measured(self) -> bool:
        """Whether another measure than the search core's was asked for."""
        return self.metric != CORE_METRIC

    @property
    def any_contrast(self) -> bool:
        """Whether particles may look like references with inverted contrast."""
        return self.measured and measure_class(self.metric).any_contrast

    def max_shift_in(self, box: int, pixel_size_angstrom: float) -> float:
        """Return the radius of the shift search in pixels of a box."""
        if self.max_shift is not None:
            return self.max_shift / pixel_size_angstrom
        return box / 12 if self.max_shift_px is None else self.max_shift_px
