"""Everything that `cryoalign select` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cryoalign.core.errors import InputError
from cryoalign.jobs.select.expressions import (
    Amount,
    Condition,
    parse_amount,
    parse_condition,
)
from cryoalign.passes.class_lists import parse_classes
from cryoalign.runs.parameters import SeedOptions, option_of
from cryoalign.runs.reads import Reads, given

SCORE, PSI_ERROR, SHIFT_ERROR, FLAG = "cryoalignScore", "cryoalignPsiError", "cryoalignShiftError", "cryoalignFlag"
QUALITY, RESOLUTION = "cryoalignQuality", "rlnEstimatedResolution"

_CRITERIA = (
    "classes", "exclude_classes", "classes_from", "min_class_size", "min_class_quality", "max_class_resolution",
    "class_where", "where", "min_score", "max_psi_error", "max_shift_error", "good_flags", "unique", "min_distance",
    "best", "random",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SelectParameters(SeedOptions):
    """Parameters of one selection.

    None means: not asked for.

    Attributes
    ----------
    inputs, datadir, angpix
        Particles (.star, .cs, .mrcs, .mrc), the folder that image names start from, and a pixel size in A that
        overrides the metadata.
    classes, exclude_classes
        Class numbers to keep and to remove, as ``1,3,5-8``.
    classes_from
        A file that says which classes were chosen.
    class_table
        One row for each class; None = beside the particles, where it is needed.
    min_class_size, min_class_quality, max_class_resolution, class_where
        Cuts on classes: particles in the input, cryoalignQuality, rlnEstimatedResolution in A, and conditions on any
        column of the class table.
    where
        Conditions on columns of the particles or their optics groups.
    min_score, max_psi_error, max_shift_error, good_flags
        Short forms of conditions on our columns; degrees, A, cryoalignFlag 0.
    unique
        Keep one row of each image.
    min_distance, coordinate_angpix
        Keep one of particles within so many A of each other on a micrograph; pixel size in A of the coordinates.
    rank_by, rank_lowest
        Column by which one particle is better than another (None = cryoalignScore), and whether the lowest value wins.
    best, random
        How many to keep of what is left, ``500`` or ``10%``: the best, and after that a random sample.
    invert_selection
        Keep what would be removed.
    as_json
        Results on standard output for a program.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    inputs: tuple[Path, ...]
    datadir: Path | None = None
    angpix: float | None = None
    classes: str | None = None
    exclude_classes: str | None = None
    classes_from: Path | None = None
    class_table: Path | None = None
    min_class_size: int | None = None
    min_class_quality: float | None = None
    max_class_resolution: float | None = None
    class_where: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    min_score: float | None = None
    max_psi_error: float | None = None
    max_shift_error: float | None = None
    good_flags: bool = False
    unique: bool = False
    min_distance: float | None = None
    coordinate_angpix: float | None = None
    rank_by: str | None = None
    rank_lowest: bool = False
    best: str | None = None
    random: str | None = None
    invert_selection: bool = False
    as_json: bool = False

    command: ClassVar[str] = "select"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        if not self.inputs:
            raise InputError("no particles given")
        given = [getattr(self, name) for name in _CRITERIA]
        if all(value is None or value is False or value == () for value in given):
            raise InputError("nothing to select by", hint="give --classes, --where, --random or another criterion")
        self.check_numbers("angpix", "coordinate_angpix", "max_class_resolution")
        self.check_numbers("max_psi_error", "max_shift_error", "min_distance", at_least=0)
        self.check_numbers("min_class_size", at_least=1)
        self.check_numbers("min_score", "min_class_quality", at_least=-math.inf)
        for name in ("classes", "exclude_classes"):
            self._read(name, parse_classes)
        for name in ("best", "random"):
            self._read(name, parse_amount)
        for name in ("where", "class_where"):
            self._read(name, parse_condition)
        if self.coordinate_angpix is not None and self.min_distance is None:
            raise InputError("--coordinate-angpix goes with --min-distance")
        ranked = self.best is not None or self.unique or self.min_distance is not None
        if self.rank_by is not None and not ranked:
            raise InputError("--rank-by goes with --best, --unique or --min-distance", value=self.rank_by)
        if self.rank_lowest and self.rank_by is None:
            raise InputError("--rank-lowest goes with --rank-by")
        if self.class_table is not None and not self.class_conditions:
            raise InputError(
                "--class-table is not used", value=str(self.class_table),
                hint="give --min-class-quality, --max-class-resolution or --class-where; --classes-from takes a list",
            )  # fmt: skip

    def _read(self, name: str, parse: Any) -> Any:
        given = getattr(self, name)
        for text in () if given is None else given if isinstance(given, tuple) else (given,):
            try:
                parse(text)
            except InputError as error:
                raise InputError(f"{option_of(name)} {error.what}", value=error.value, hint=error.hint) from None

    @property
    def conditions(self) -> list[tuple[str, Condition]]:
        """Conditions on particles in the order they are applied, each with the words that name it."""
        found = [] if not self.good_flags else [("--good-flags", Condition(FLAG, "==", "0"))]
        for name, label, operator in (
            ("min_score", SCORE, ">="), ("max_psi_error", PSI_ERROR, "<="), ("max_shift_error", SHIFT_ERROR, "<="),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                found.append((f"{option_of(name)} {value:.10g}", Condition(label, operator, repr(value))))
        conditions = [parse_condition(text) for text in self.where]
        return found + [(f"--where {condition}", condition) for condition in conditions]

    @property
    def class_conditions(self) -> list[tuple[str, Condition]]:
        """Conditions on the class table, each with the words that name it."""
        found = []
        for name, label, operator in (
            ("min_class_quality", QUALITY, ">="), ("max_class_resolution", RESOLUTION, "<="),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                found.append((f"{option_of(name)} {value:.10g}", Condition(label, operator, repr(value))))
        conditions = [parse_condition(text) for text in self.class_where]
        return found + [(f"--class-where {condition}", condition) for condition in conditions]

    @property
    def best_amount(self) -> Amount | None:
        """How many of the best are wanted."""
        return None if self.best is None else parse_amount(self.best)

    @property
    def random_amount(self) -> Amount | None:
        """How many are sampled."""
        return None if self.random is None else parse_amount(self.random)

    def needed_class_table(self) -> Path | None:
        """Return the class table that the criteria need: as given, else beside the particles; None where there is none.

        Raises
        ------
        InputError
            If one is needed and none is there.
        """
        if not self.class_conditions:
            return None
        if self.class_table is not None:
            return self.class_table
        if len(self.inputs) > 1:
            raise InputError(
                "several inputs, and no class table given", hint="name the one of their classes: --class-table"
            )
        particles = self.inputs[0]
        beside = [particles.with_name("averages.star")]
        if particles.name.endswith("_data.star"):  # RELION's names of one iteration
            beside.append(particles.with_name(particles.name.removesuffix("_data.star") + "_model.star"))
        for path in beside:
            if path.is_file():
                return path
        raise InputError(
            f"no class table beside the particles ({' or '.join(path.name for path in beside)})", path=particles,
            hint="give it with --class-table",
        )  # fmt: skip

    def reads(self) -> Reads:
        """Return what is read: particles, whose images are not but must stay, and tables of classes."""
        files = given(self.needed_class_table(), self.classes_from)
        return Reads(particles=self.inputs, files=files, datadir=self.datadir)
