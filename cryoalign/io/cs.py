"""cryoSPARC particle files (.cs), turned into RELION columns; what has no column is named.

Field meanings as cryoSPARC's developers and public converters (csparc2star.py of pyem, HELICON) state them: docs/
conventions.md has the list. Shifts and coordinates run along the columns and rows of the stored images, as RELION's do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import text_column, text_series
from cryoalign.io.cs_alignment import euler_angles, read_alignment, read_split
from cryoalign.io.cs_file import CsColumns, read_cs_columns
from cryoalign.io.mrc import MrcHeader
from cryoalign.io.paths import image_name

_CTF_COLUMNS = {
    "ctf/accel_kv": "rlnVoltage",
    "ctf/cs_mm": "rlnSphericalAberration",
    "ctf/amp_contrast": "rlnAmplitudeContrast",
    "ctf/df1_A": "rlnDefocusU",
    "ctf/df2_A": "rlnDefocusV",
}
_CTF_RADIANS = {"ctf/df_angle_rad": "rlnDefocusAngle", "ctf/phase_shift_rad": "rlnPhaseShift"}
_CTF_IF_ANY = {
    "ctf/bfactor": "rlnCtfBfactor",
    "ctf/cross_corr_ctffind4": "rlnCtfFigureOfMerit",
    "ctf/ctf_fit_to_A": "rlnCtfMaxResolution",
}
"""Written where one of them is not 0."""
_NEUTRAL = {"ctf/scale": 1.0}
"""What says nothing, where it is not 0."""
_BOOKKEEPING = {"blob/sign", "blob/import_sig", "uid"}
_LARGEST_SIDE = 1 << 20
_LARGEST_INDEX = (1 << 31) - 2
_TUBES = (1 << 31) - 1
"""RELION's numbers of tubes are 32-bit integers."""
_LARGEST_FRACTION = 10.0
_LEAST_CS_MM = 1e-3
_SAME_PIXEL = 0.1
_SHOWN_GROUPS, _SHOWN_FIELDS = 12, 8


@dataclass(frozen=True, eq=False)
class CsParticles:
    """What a .cs file says.

    Parameters
    ----------
    table
        RELION columns, cells as text.
    pixel_size_angstrom
        Of the images, (n,); None where it is not given.
    shape
        Rows and columns of each image, (n, 2); None where it is not given.
    warnings
        What the log must say.
    """

    table: pd.DataFrame
    pixel_size_angstrom: NDArray[np.float64] | None
    shape: NDArray[np.int64] | None
    warnings: list[str]


def read_cs(path: Path) -> CsParticles:
    """Read a .cs file of particles.

    Raises
    ------
    InputError
        If it is no .cs file, is damaged, holds Python objects, no rows, or no image names; if a field is of another
        type or shape than it must be, or holds what cannot be meant: file, field, row and value.
    """
    columns = read_cs_columns(path)
    if "blob/path" not in columns or "blob/idx" not in columns:
        raise InputError("has no images (blob/path, blob/idx)", path=path, hint="give the file that holds the blobs")
    return _Reader(columns).read()


def refuse_other_stacks(
    path: Path,
    shape: NDArray[np.int64] | None,
    pixel_size_angstrom: NDArray[np.float64] | None,
    headers: Sequence[MrcHeader],
    stack_index: NDArray[np.integer],
    angpix: float | None,
) -> None:
    """Refuse a .cs file whose images are others than those of the stacks: before or after they were scaled, most often.

    Parameters
    ----------
    path
        The file.
    shape, pixel_size_angstrom
        Of each row, as the file has them; None where it does not.
    headers, stack_index
        Headers of the stacks, and the stack of each row.
    angpix
        Pixel size in A that a user gave: then that of a header cannot contradict.

    Raises
    ------
    InputError
        If rows and columns differ, or the pixel size of a header that has a believable one by more than a tenth.
    """
    hint = "the file belongs to other stacks, such as those before they were scaled"
    if shape is not None:
        stored = np.array([(header.ny, header.nx) for header in headers])[stack_index]
        other = np.flatnonzero((shape != stored).any(axis=1))
        if other.size:
            row = int(other[0])
            (ny, nx), stack = stored[row], headers[stack_index[row]].path
            raise InputError(
                f"blob/shape contradicts the {nx} x {ny} px of {stack}", path=path, row=row + 1,
                value=f"{shape[row, 1]} x {shape[row, 0]}", hint=hint,
            )  # fmt: skip
    if pixel_size_angstrom is not None and angpix is None:
        size = np.array([header.stated_pixel_size_angstrom or np.nan for header in headers])[stack_index]
        other = np.flatnonzero(np.abs(pixel_size_angstrom / size - 1.0) > _SAME_PIXEL)
        if other.size:
            row = int(other[0])
            raise InputError(
                f"blob/psize_A contradicts the {size[row]:g} A in the header of {headers[stack_index[row]].path}",
                path=path, row=row + 1, value=float(pixel_size_angstrom[row]), hint=f"{hint}, or give --angpix",
            )  # fmt: skip


class _Reader:
    def __init__(self, columns: CsColumns) -> None:
        self.columns, self.path = columns, columns.path
        self.cells: dict[str, list[str]] = {}
        self.used = set(_BOOKKEEPING)
        self.warnings: list[str] = []

    def read(self) -> CsParticles:
        columns = self.columns
        pixel_size = columns.positive(self._use("blob/psize_A"))
        shape = columns.counts(self._use("blob/shape"), (2,), most=_LARGEST_SIDE)
        if shape is not None and (bad := np.flatnonzero((shape < 1).any(axis=1))).size:
            value = str(shape[bad[0]].tolist())
            raise InputError("blob/shape must be above 0", path=self.path, row=int(bad[0]) + 1, value=value)
        self._names()
        self._ctf()
        self._aberrations()
        self._alignment(pixel_size)
        self._place()
        self._warn()
        table = pd.DataFrame({label: text_series(cells) for label, cells in self.cells.items()})
        return CsParticles(table, pixel_size, shape, self.warnings)

    def _use(self, *names: str) -> str:
        self.used.update(names)
        return names[0]

    def _put(self, label: str, values: ArrayLike | None) -> None:
        if values is not None:
            self.cells[label] = text_column(label, values)

    def _names(self) -> None:
        columns = self.columns
        paths, index = columns.text(self._use("blob/path")), columns.counts(self._use("blob/idx"), most=_LARGEST_INDEX)
        assert paths is not None and index is not None
        self.cells["rlnImageName"] = [
            image_name(frame, path.removeprefix(">")) for frame, path in zip(index.tolist(), paths, strict=True)
        ]
        if (names := columns.text(self._use("location/micrograph_path"))) is not None:
            self.cells["rlnMicrographName"] = [name.removeprefix(">") for name in names]
        if (uid := columns.ids("uid")) is not None:
            self.cells["cryosparcUid"] = [str(value) for value in uid]
        if (group := columns.ids(self._use("ctf/exp_group_id"))) is not None:
            self.cells["rlnOpticsGroupName"] = [f"exp_group_{value}" for value in group]

    def _ctf(self) -> None:
        for field, label in _CTF_COLUMNS.items():
            self._put(label, self.columns.numbers(self._use(field)))
        if "ctf/amp_contrast" not in self.columns:
            self._put("rlnAmplitudeContrast", self.columns.numbers(self._use("ctf/ac")))
        for field, label in _CTF_RADIANS.items():
            if (angle := self.columns.numbers(self._use(field))) is not None:
                self._put(label, np.degrees(angle))
        for field, label in _CTF_IF_ANY.items():
            if (values := self.columns.numbers(self._use(field))) is not None and values.any():
                self._put(label, values)

    def _aberrations(self) -> None:
        """Write what optics tables have: beam tilt, and the magnification matrix, whose identity is taken off."""
        magnification, tilt = self.columns.numbers("ctf/anisomag", (4,)), self.columns.numbers("ctf/tilt_A", (2,))
        if magnification is not None and magnification.any():
            self._use("ctf/anisomag")
            for place, (name, one) in enumerate((("00", 1), ("01", 0), ("10", 0), ("11", 1))):
                self._put(f"rlnMagMat{name}", magnification[:, place] + one)
        aberration = self.columns.numbers("ctf/cs_mm")
        if tilt is None or aberration is None or not tilt.any() or (np.abs(aberration) < _LEAST_CS_MM).any():
            return
        sine = tilt / (aberration[:, None] * 1e7)
        if (np.abs(sine) < 1).all():
            self._use("ctf/tilt_A")
            self._put("rlnBeamTiltX", 1e3 * np.arcsin(sine[:, 0]))
            self._put("rlnBeamTiltY", 1e3 * np.arcsin(sine[:, 1]))

    def _alignment(self, pixel_size: NDArray[np.float64] | None) -> None:
        alignment = read_alignment(self.columns, pixel_size)
        split, names = read_split(self.columns, alignment)
        self._use(*names) if names else None
        if alignment is not None:
            self.used |= alignment.used
            if alignment.pose is not None and alignment.pose.ndim == 2:
                for label, angle in zip(("Rot", "Tilt", "Psi"), euler_angles(alignment.pose), strict=True):
                    self._put(f"rlnAngle{label}", angle)
            elif alignment.pose is not None:
                self._put("rlnAnglePsi", np.degrees(alignment.pose))
            if alignment.shift_angstrom is not None:
                self._put("rlnOriginXAngst", alignment.shift_angstrom[:, 0])
                self._put("rlnOriginYAngst", alignment.shift_angstrom[:, 1])
            self._put("rlnClassNumber", alignment.class_number)
            if alignment.name != "alignments2D" and "alignments2D/pose" in self.columns:
                self.warnings.append(f"{self.path}: poses of {alignment.name} are taken, not those of alignments2D")
        self._put("rlnRandomSubset", split)

    def _place(self) -> None:
        """Write where particles lie on their micrographs, and along which filament."""
        columns = self.columns
        shape = columns.numbers("location/micrograph_shape", (2,))
        for axis, place in (("X", 1), ("Y", 0)):
            name = f"location/center_{axis.lower()}_frac"
            fraction = columns.numbers(name, most=_LARGEST_FRACTION)
            if fraction is not None and shape is not None and (shape > 0).all():
                self._use("location/micrograph_shape", name)
                self._put(f"rlnCoordinate{axis}", fraction * shape[:, place])
        size = columns.numbers("location/micrograph_psize_A")
        if size is not None and (size > 0).all():
            self._put("rlnMicrographPixelSize", columns.positive(self._use("location/micrograph_psize_A")))
        filaments = columns.ids(self._use("filament/filament_uid"))
        if filaments is not None and any(filaments):
            # A property of the filament alone: what is made of the number, halves for one, is the same in any subset.
            self._put("rlnHelicalTubeID", [uid % _TUBES for uid in filaments])
            self._put("rlnHelicalTrackLengthAngst", columns.numbers(self._use("filament/position_A")))

    def _warn(self) -> None:
        sign = self.columns.numbers("blob/sign")
        if sign is not None and (sign < 0).any():
            dark = int((sign < 0).sum())
            self.warnings.append(
                f"{self.path}: blob/sign says that {dark} of {len(sign)} particles are dark; --invert makes them bright"
            )
        lost = [name for name in self.columns.columns if name not in self.used and self._says_something(name)]
        if lost:
            self.warnings.append(f"{self.path}: not carried over to STAR: {_listed(lost)}")

    def _says_something(self, name: str) -> bool:
        values = self.columns.columns[name]
        if values.dtype.kind in "OSU":
            return bool((values.astype(bool)).any())
        return values.dtype.kind not in "fiub" or bool((values != _NEUTRAL.get(name, 0)).any())


def _listed(names: Iterable[str]) -> str:
    """Name fields by the group before the slash, groups that differ in a number together."""
    groups: dict[str, dict[str, None]] = {}
    for name in names:
        group, _, field = name.partition("/")
        groups.setdefault(re.sub(r"\d+$", "*", group), {})[field or group] = None
    said = [
        f"{group} ({', '.join(list(fields)[:_SHOWN_FIELDS])}{_and_more(len(fields) - _SHOWN_FIELDS)})"
        for group, fields in list(groups.items())[:_SHOWN_GROUPS]
    ]
    return ", ".join(said) + _and_more(len(groups) - _SHOWN_GROUPS)


def _and_more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
