"""Every option of ``simulate`` as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryoalign.core.errors import InputError
from cryoalign.runs.parameters import SeedOptions
from cryoalign.runs.reads import Reads, given

UNIFORM, SINGLE = "uniform", "single"
_LARGEST_DEFOCUS_UM = 99.0
WHITE, COLOURED, NO_NOISE = "white", "coloured", "none"


@dataclass(frozen=True, kw_only=True)
class SimulateParameters(SeedOptions):
    """What to simulate, and where to write it; names and units are those of the command line.

    Parameters
    ----------
    map, map_angpix
        Map to project, None = the built-in phantom; its voxel size in A where the header is wrong.
    count
        Number of particles.
    box, pixel_size
        Side in pixels and pixel size in A; None = the map's, else 64 px and 3 A.
    snr
        Variance of the clean image (after CTF and shift, over the whole box, mean over images) per noise variance.
    shift_sd
        Standard deviation of either coordinate of the shift, in pixels.
    views, n_views
        ``uniform``, ``single`` or a STAR file with rlnAngleRot and rlnAngleTilt; with ``uniform``, a number of views
        spread evenly, None = every particle has its own.
    ctf
        Whether images have a CTF.
    defocus_min, defocus_max, astigmatism
        In um: limits of the mean defocus, and the largest difference of U and V.
    voltage, cs, amplitude_contrast
        kV, mm and a fraction.
    optics_groups, stacks
        Number of optics groups, and of stacks, that particles are dealt to in equal runs.
    noise
        ``white``, ``coloured``, ``none`` or a STAR file with rlnSpectralIndex and rlnSigma2Noise.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    map: Path | None = None
    map_angpix: float | None = None
    count: int = 1000
    box: int | None = None
    pixel_size: float | None = None
    snr: float = 0.1
    shift_sd: float = 2.0
    views: str = UNIFORM
    n_views: int | None = None
    ctf: bool = False
    defocus_min: float = 0.8
    defocus_max: float = 2.5
    astigmatism: float = 0.05
    voltage: float = 300.0
    cs: float = 2.7
    amplitude_contrast: float = 0.1
    optics_groups: int = 1
    stacks: int = 1
    noise: str = COLOURED

    spelling: ClassVar[Mapping[str, str]] = {"count": "-n"}

    command: ClassVar[str] = "simulate"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("map_angpix", "pixel_size", "snr", "voltage")
        self.check_numbers("shift_sd", "astigmatism", "cs", at_least=0)
        self.check_numbers("count", "n_views", "optics_groups", "stacks", at_least=1)
        self.check_numbers("box", at_least=1)
        if self.box is not None and self.box < 16:
            raise InputError("--box must be at least 16 px", value=self.box)
        if not -_LARGEST_DEFOCUS_UM < self.defocus_min <= self.defocus_max < _LARGEST_DEFOCUS_UM:
            raise InputError(
                f"--defocus-min must not exceed --defocus-max, and both must be within {_LARGEST_DEFOCUS_UM:g}",
                value=(self.defocus_min, self.defocus_max),
                hint="both are in um, underfocus is positive",
            )
        if not 0 <= self.amplitude_contrast <= 1:
            raise InputError("--amplitude-contrast must be between 0 and 1", value=self.amplitude_contrast)
        if max(self.stacks, self.optics_groups) > self.count:
            raise InputError("there are more stacks or optics groups than particles", value=self.count)
        if self.n_views is not None and self.views != UNIFORM:
            raise InputError("--n-views spreads views evenly: it goes with --views uniform only", value=self.views)
        if self.map_angpix is not None and self.map is None:
            raise InputError("--map-angpix needs --map")

    def reads(self) -> Reads:
        """Return what is read: a map, views, a noise spectrum."""
        return Reads(files=given(self.map, self.views_file, self.noise_file))

    @property
    def views_file(self) -> Path | None:
        """The STAR file of views, if one was given."""
        return None if self.views in (UNIFORM, SINGLE) else Path(self.views)

    @property
    def noise_file(self) -> Path | None:
        """The STAR file of a noise spectrum, if one was given."""
        return None if self.noise in (WHITE, COLOURED, NO_NOISE) else Path(self.noise)
