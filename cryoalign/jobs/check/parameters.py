"""What ``check`` is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cryoalign.core.errors import InputError
from cryoalign.passes.settings import MASK_SHARE
from cryoalign.runs.parameters import Checked

Pixels = Literal["all", "sample", "none"]
GIVEN_COLUMNS = {
    "angpix": "rlnImagePixelSize", "voltage": "rlnVoltage", "cs": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
}  # fmt: skip
"""Columns of the optics table that can be given, by parameter."""


@dataclass(frozen=True, kw_only=True)
class CheckParameters(Checked):
    """Options of ``check``.

    Attributes
    ----------
    inputs
        Particles: .star, .mrcs, .mrc, .cs; or graphs: .npz.
    references, graphs
        Reference images that particles are to be aligned to; graphs and tables of edges.
    datadir
        The folder that image names start from.
    angpix, voltage, cs, amplitude_contrast
        Columns of the optics table, in A, kV and mm; they override the metadata.
    pixels
        Which images are looked at.
    mask_diameter
        Of the particle, in A; None = 0.8 of the box.
    fix
        Where to write a repaired copy.
    overwrite
        Replace the repaired copy that is there.
    threads
        Cannot change a result.
    """

    inputs: tuple[Path, ...] = ()
    references: tuple[Path, ...] = ()
    graphs: tuple[Path, ...] = ()
    datadir: Path | None = None
    angpix: float | None = None
    voltage: float | None = None
    cs: float | None = None
    amplitude_contrast: float | None = None
    pixels: Pixels = "sample"
    mask_diameter: float | None = None
    fix: Path | None = None
    overwrite: bool = False
    threads: int = 1

    spelling: ClassVar[Mapping[str, str]] = {"references": "--reference", "graphs": "--graph"}

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        if not (self.particles or self.references or self.all_graphs):
            raise InputError("nothing to check", hint="name particles, --reference or --graph")
        self.check_numbers("angpix", "voltage", "mask_diameter")
        self.check_numbers("cs", "amplitude_contrast", at_least=0)
        self.check_numbers("threads", at_least=1)
        self.check_choices({"pixels": Pixels})
        if self.amplitude_contrast is not None and self.amplitude_contrast > 1:
            raise InputError("--amplitude-contrast is a share from 0 to 1", value=self.amplitude_contrast)
        if self.fix is not None and not self.particles:
            raise InputError("--fix repairs particles, and there are none")
        if self.fix is not None and self.pixels == "none":
            raise InputError("--fix must see pixels: --pixels none leaves them out")
        if self.overwrite and self.fix is None:
            raise InputError("--overwrite replaces what --fix wrote")

    @property
    def particles(self) -> tuple[Path, ...]:
        """The inputs that are particles."""
        return tuple(path for path in self.inputs if path.suffix.lower() != ".npz")

    @property
    def all_graphs(self) -> tuple[Path, ...]:
        """Graphs, whichever way they were named."""
        return (*(path for path in self.inputs if path.suffix.lower() == ".npz"), *self.graphs)

    @property
    def given_columns(self) -> dict[str, float]:
        """Columns of the optics table that were given, by label."""
        values = {label: getattr(self, name) for name, label in GIVEN_COLUMNS.items()}
        return {label: value for label, value in values.items() if value is not None}

    def mask_diameter_px(self, box: int, pixel_size_angstrom: float) -> float:
        """Return the diameter of the mask in pixels."""
        return MASK_SHARE * box if self.mask_diameter is None else self.mask_diameter / pixel_size_angstrom
