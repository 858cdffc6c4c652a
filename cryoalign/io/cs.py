"""cryoSPARC particle files (.cs): a NumPy structured array, turned into RELION columns.

Field meanings as public converters read them: pose in radians with RELION's sign, shift in pixels of
alignments2D/psize_A, class and image index from 0, '>' in front of paths relative to the project folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import format_number, text_series
from cryoalign.io.file_kind import read_head
from cryoalign.io.paths import image_name

_CTF_COLUMNS = {
    "ctf/accel_kv": "rlnVoltage",
    "ctf/cs_mm": "rlnSphericalAberration",
    "ctf/amp_contrast": "rlnAmplitudeContrast",
    "ctf/df1_A": "rlnDefocusU",
    "ctf/df2_A": "rlnDefocusV",
}
_CTF_RADIANS = {"ctf/df_angle_rad": "rlnDefocusAngle", "ctf/phase_shift_rad": "rlnPhaseShift"}
_NOT_CARRIED = ("ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")


def read_cs(path: Path) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.int32], list[str]]:
    """Read a .cs file of particles.

    Returns
    -------
    tuple
        RELION columns as text, pixel size of the images in A (n,), box (n,) with 0 where not given, warnings.

    Raises
    ------
    InputError
        If it is no .cs file, holds Python objects, no rows, or no image names; if a number is not finite.
    """
    read_head(path)
    try:
        data = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"is not a readable .cs file: {error}", path=path) from None
    names = getattr(getattr(data, "dtype", None), "names", None)
    if not names:
        raise InputError("is not a .cs file: no named fields", path=path)
    if "blob/path" not in names or "blob/idx" not in names:
        raise InputError("has no images (blob/path, blob/idx)", path=path, hint="give the file that holds the blobs")
    if data.size == 0:
        raise InputError("holds no particles", path=path)
    return _Reader(path, np.atleast_1d(data)).read()


class _Reader:
    def __init__(self, path: Path, data: NDArray) -> None:
        self.path, self.data, self.names = path, data, set(data.dtype.names or ())
        self.columns: dict[str, list[str]] = {}
        self.warnings: list[str] = []

    def read(self) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.int32], list[str]]:
        data, count = self.data, len(self.data)
        paths = [_text(value).removeprefix(">") for value in data["blob/path"].tolist()]
        self.columns["rlnImageName"] = [image_name(f, p) for f, p in zip(data["blob/idx"].tolist(), paths, strict=True)]
        if "location/micrograph_path" in self.names:
            found = data["location/micrograph_path"].tolist()
            self.columns["rlnMicrographName"] = [_text(value).removeprefix(">") for value in found]
        for field, label in _CTF_COLUMNS.items():
            self._add(label, self._field(field))
        for field, label in _CTF_RADIANS.items():
            self._add(label, self._field(field), scale=180 / np.pi)
        self._alignment()
        if "uid" in self.names:
            self.columns["cryosparcUid"] = [str(value) for value in data["uid"].tolist()]
        if "ctf/exp_group_id" in self.names:
            self.columns["rlnOpticsGroupName"] = [f"exp_group_{v}" for v in data["ctf/exp_group_id"].tolist()]
        self._warn()
        pixel = self._field("blob/psize_A")
        if pixel is None:
            pixel = np.full(count, np.nan)
        box = data["blob/shape"][:, -1].astype(np.int32) if "blob/shape" in self.names else np.zeros(count, np.int32)
        table = pd.DataFrame({label: text_series(cells) for label, cells in self.columns.items()})
        return table, _shortest(pixel), box, self.warnings

    def _alignment(self) -> None:
        pose = self._field("alignments2D/pose")
        if pose is not None and pose.ndim == 1:
            self._add("rlnAnglePsi", pose, scale=180 / np.pi)
        shift = self._field("alignments2D/shift")
        if shift is not None and shift.shape[1:] == (2,):
            # The shift is in pixels of the alignment, which may be coarser than those of the images.
            size = self._field("alignments2D/psize_A")
            size = self._field("blob/psize_A") if size is None else size
            if size is None:
                raise InputError("has shifts but no pixel size (alignments2D/psize_A)", path=self.path)
            self._add("rlnOriginXAngst", shift[:, 0] * _shortest(size))
            self._add("rlnOriginYAngst", shift[:, 1] * _shortest(size))
        if "alignments2D/class" in self.names:
            self.columns["rlnClassNumber"] = [str(v + 1) for v in self.data["alignments2D/class"].tolist()]
        if "alignments2D/split" in self.names and set(np.unique(self.data["alignments2D/split"]).tolist()) <= {0, 1}:
            self.columns["rlnRandomSubset"] = [str(v + 1) for v in self.data["alignments2D/split"].tolist()]

    def _warn(self) -> None:
        sign = self._field("blob/sign")
        if sign is not None and (sign < 0).any():
            dark = int((sign < 0).sum())
            self.warnings.append(
                f"{self.path}: blob/sign says that {dark} of {len(sign)} particles are dark; --invert makes them bright"
            )
        lost = [name for name in _NOT_CARRIED if name in self.names and np.any(self.data[name])]
        if lost:
            self.warnings.append(f"{self.path}: not carried over to STAR: {', '.join(lost)}")

    def _field(self, name: str) -> NDArray[np.float64] | None:
        if name not in self.names:
            return None
        values = self.data[name]
        if values.dtype.kind not in "fiu":
            raise InputError(f"field {name} is not numeric", path=self.path)
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if bad.size:
            raise InputError(f"{name} is not a number", path=self.path, row=int(bad[0]) + 1, value=str(values[bad[0]]))
        return values.astype(np.float64)

    def _add(self, label: str, values: NDArray | None, *, scale: float = 1.0) -> None:
        if values is not None:
            self.columns[label] = [format_number(v) for v in (values * scale).tolist()]


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _shortest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float32 numbers as the decimal that was meant: 1.345, not 1.3450000286."""
    known = {v: float(f"{v:.7g}") for v in np.unique(values).tolist()}
    return np.array([known.get(v, v) for v in values.tolist()])
