"""What passes over particles are told, whichever command makes them; the commands' parameters inherit it.

Lengths are in Angstrom but where the name says px; None means: not given, decided by the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cryoalign.core.errors import InputError
from cryoalign.runs.parameters import Checked

MASK_SHARE = 0.8
"""Diameter of the mask as a share of the box, where none was given."""

OnBadImage = Literal["error", "skip"]
NoiseGroup = Literal["optics", "micrograph"]
Interpolation = Literal["fourier", "nearest", "linear", "cubic", "quintic"]
Edge = Literal["wrap", "mirror", "zero", "mean"]


@dataclass(frozen=True, kw_only=True)
class TableOptions(Checked):
    """Which particles.

    Attributes
    ----------
    inputs
        Particles: .star, .mrcs, .mrc, .cs.
    datadir
        The folder that image names start from.
    angpix
        Pixel size that overrides the metadata.
    limit
        Rows to read at most.
    apply_mag_matrix
        Correct images by the magnification matrices of the optics table as they are read.
    """

    inputs: tuple[Path, ...]
    datadir: Path | None = None
    angpix: float | None = None
    limit: int | None = None
    apply_mag_matrix: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not isinstance(self.inputs, tuple) or not self.inputs:
            raise InputError("no particles given", value=self.inputs or None)
        super().__post_init__()
        self.check_numbers("angpix")
        self.check_numbers("limit", at_least=1)


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Checked):
    """How pixels are read and where the particle is.

    Attributes
    ----------
    invert
        Negate pixels as read.
    normalize
        Take plane, level and scale of each image's background off, and replace hot pixels, as images are read.
    on_bad_image
        What to do with images that cannot be used (NaN, infinite, constant): an error, or leave them out, and with them
        those that stand out from their stack.
    mask_diameter
        None = 0.8 of the box.
    ctf_intact_first_peak
        Leave the CTF at 1 before its first peak.
    """

    invert: bool = False
    normalize: bool = True
    on_bad_image: OnBadImage = "error"
    mask_diameter: float | None = None
    ctf_intact_first_peak: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("mask_diameter")
        self.check_choices({"on_bad_image": OnBadImage})

    uses_halves: ClassVar[bool] = True
    """Whether particles are parted in two halves."""

    def mask_diameter_angstrom(self, box: int, pixel_size_angstrom: float) -> float:
        """Return the diameter of the mask in A: as given, or 0.8 of this box in pixels."""
        return self.mask_diameter or MASK_SHARE * box * pixel_size_angstrom

    @property
    def uses_ctf(self) -> bool:
        """Whether the CTF is looked for."""
        return True


@dataclass(frozen=True, kw_only=True)
class NoisyImageSettings(ImageSettings):
    """How images are compared in noise.

    Attributes
    ----------
    ctf, whiten
        What is taken into account, where the metadata allow.
    noise_group
        Which images share a noise spectrum.
    """

    ctf: bool = True
    whiten: bool = True
    noise_group: NoiseGroup = "optics"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_choices({"noise_group": NoiseGroup})

    @property
    def uses_ctf(self) -> bool:
        """Whether the CTF is looked for."""
        return self.ctf


@dataclass(frozen=True, kw_only=True)
class ResamplingSettings(Checked):
    """How poses are applied to pixels.

    Attributes
    ----------
    interpolation, edge
        edge None = wrap, or zero with linear.
    """

    interpolation: Interpolation = "fourier"
    edge: Edge | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_choices({"interpolation": Interpolation, "edge": Edge})

    @property
    def resolved_edge(self) -> Edge:
        """What is beyond the edge of an image: wrap, or zero with linear interpolation, as RELION has it."""
        return self.edge if self.edge is not None else "zero" if self.interpolation == "linear" else "wrap"
