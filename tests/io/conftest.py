"""Small files for the tests of reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mrcfile.dtypes import HEADER_DTYPE

DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Return an empty folder that is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mrc_file() -> Callable[..., Path]:
    """Return a writer of MRC files by hand, independent of the code under test."""

    def write(
        path: Path, images: np.ndarray, *, mode: int = 2, order: str = "<", voxel: float = 2.0, extended: int = 0,
        map_id: bytes = b"MAP ", stamp: bool = True, ispg: int = 0, mx: int | None = None, cut: int = 0,
    ) -> Path:  # fmt: skip
        header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
        count, ny, nx = images.shape
        header["nx"], header["ny"], header["nz"], header["mode"] = nx, ny, count, mode
        header["mx"], header["my"], header["mz"] = nx if mx is None else mx, ny, 1
        header["cella"] = (voxel * nx, voxel * ny, voxel)
        header["nsymbt"], header["ispg"], header["map"] = extended, ispg, map_id
        if stamp:
            header["machst"] = (0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0)
        body = header.tobytes() + b"x" * extended + images.astype(order + DTYPES[mode]).tobytes()
        path.write_bytes(body[: len(body) - cut])
        return path

    return write


@pytest.fixture
def images() -> np.ndarray:
    """Return 6 images of 8 px with pixels that every mode can hold exactly."""
    return np.random.default_rng(0).integers(0, 100, (6, 8, 8)).astype(np.float32)


@pytest.fixture
def star_file() -> Callable[..., Path]:
    """Return a writer of STAR files: optics (a dict of one group or None) and particle rows under labels."""

    def write(
        path: Path, labels: Sequence[str], rows: Sequence[Sequence[object]], *, optics: dict[str, object] | None = None,
        block: str = "particles",
    ) -> Path:  # fmt: skip
        text = ""
        if optics is not None:
            text += "data_optics\n\nloop_\n" + "".join(f"_{label}\n" for label in optics)
            text += " ".join(str(value) for value in optics.values()) + "\n\n"
        text += f"data_{block}\n\nloop_\n" + "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
        text += "".join(" ".join(str(value) for value in row) + "\n" for row in rows)
        path.write_text(text)
        return path

    return write


OPTICS = {
    "rlnOpticsGroup": 1,
    "rlnOpticsGroupName": "grid1",
    "rlnImagePixelSize": "2.000000",
    "rlnVoltage": 300,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnImageSize": 8,
    "rlnImageDimensionality": 2,
}


@pytest.fixture
def optics() -> dict[str, object]:
    """Return one optics group as RELION wants it, for images of 8 px."""
    return dict(OPTICS)


@pytest.fixture
def project(here, mrc_file, star_file, images, optics) -> Path:
    """Return a folder with stack.mrcs (6 images of 8 px) and particles.star with 6 rows."""
    mrc_file(here / "stack.mrcs", images)
    labels = ["rlnImageName", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup", "rlnDefocusU"]
    rows = [[f"{i + 1:06d}@stack.mrcs", f"{10 * i}.500000", 2.0 * i, "-4.000000", 1, 10000 + i] for i in range(6)]
    star_file(here / "particles.star", labels, rows, optics=optics)
    return here
