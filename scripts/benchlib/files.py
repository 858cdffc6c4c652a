"""STAR and MRC files for the benchmarks, written and read here so that cryoalign's own readers are not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mrcfile
import numpy as np
import starfile
from numpy.typing import ArrayLike, NDArray

OPTICS = {
    "rlnOpticsGroupName": "opticsGroup1",
    "rlnOpticsGroup": 1,
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnImageDimensionality": 2,
}


def write_stack(path: Path, images: NDArray, pixel_size_angstrom: float) -> None:
    """Write images (n, L, L) as a mode 2 stack with voxel sizes."""
    with mrcfile.new(path, overwrite=True) as handle:
        handle.set_data(np.ascontiguousarray(images, dtype=np.float32))
        handle.set_image_stack()
        handle.voxel_size = pixel_size_angstrom


def write_map(path: Path, density: NDArray, pixel_size_angstrom: float) -> None:
    """Write a cubic map (L, L, L) [z, y, x]."""
    with mrcfile.new(path, overwrite=True) as handle:
        handle.set_data(np.ascontiguousarray(density, dtype=np.float32))
        handle.voxel_size = pixel_size_angstrom


def read_stack(path: Path) -> NDArray[np.float32]:
    """Read a stack as (n, L, L) float32."""
    with mrcfile.open(path, permissive=True) as handle:
        data = np.array(handle.data, dtype=np.float32)
    return data if data.ndim == 3 else data[None]


def write_star(
    path: Path,
    columns: Mapping[str, ArrayLike],
    *,
    box: int,
    pixel_size_angstrom: float,
    group: ArrayLike | None = None,
) -> None:
    """Write a RELION 3.1 particle file with one optics group; ``columns`` are named without the underscore."""
    table = {name: np.atleast_1d(values) for name, values in columns.items()}
    n_rows = len(next(iter(table.values())))
    table["rlnOpticsGroup"] = np.ones(n_rows, int) if group is None else np.atleast_1d(group)
    optics = {**OPTICS, "rlnImagePixelSize": pixel_size_angstrom, "rlnImageSize": box}
    lines = ["", "# version 30001", "", "data_optics", "", "loop_"]
    lines += [f"_{name} #{i}" for i, name in enumerate(optics, 1)]
    lines += [" ".join(str(v) for v in optics.values()), "", "", "# version 30001", "", "data_particles", "", "loop_"]
    lines += [f"_{name} #{i}" for i, name in enumerate(table, 1)]
    texts = [[_cell(v) for v in values] for values in table.values()]
    lines += [" ".join(row) for row in zip(*texts, strict=True)]
    path.write_text("\n".join(lines) + "\n\n")


def _cell(value: object) -> str:
    return f"{float(value):.6f}" if isinstance(value, float | np.floating) else str(value)


def image_names(rows: ArrayLike, stack: str) -> list[str]:
    """Return rlnImageName entries for 0-based rows of a stack."""
    return [f"{int(row) + 1:06d}@{stack}" for row in np.asarray(rows)]


def read_poses(path: Path) -> dict[str, NDArray]:
    """Read psi (degrees), dx, dy (pixels), class (0-based) and score column from a RELION 3.1 particle file."""
    blocks = starfile.read(path, always_dict=True)
    table, optics = blocks["particles"], blocks["optics"]
    pixel = dict(zip(optics["rlnOpticsGroup"], optics["rlnImagePixelSize"], strict=True))
    size = np.array([float(pixel[g]) for g in table["rlnOpticsGroup"]])
    found = {
        "psi": table["rlnAnglePsi"].to_numpy(float),
        "dx": table["rlnOriginXAngst"].to_numpy(float) / size,
        "dy": table["rlnOriginYAngst"].to_numpy(float) / size,
        "name": table["rlnImageName"].to_numpy(str),
    }
    if "rlnClassNumber" in table:
        found["reference"] = table["rlnClassNumber"].to_numpy(int) - 1
    return found
