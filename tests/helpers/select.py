"""What the tests of ``select`` share: particle tables written by hand, and the command itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import starfile

from helpers.align import Ran, run

OPTICS = {
    "rlnOpticsGroup": 1, "rlnOpticsGroupName": "grid1", "rlnImagePixelSize": 2.0, "rlnVoltage": 300,
    "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnImageSize": 8, "rlnImageDimensionality": 2,
}  # fmt: skip
REASON = "cryoalignReason"


def select(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign select`` in this process, with a folder as the current one, and hold its exit status."""
    ran = run(folder, "select", *words)
    assert ran.status == status, ran.lines
    return ran


def write_table(path: Path, blocks: Mapping[str, Mapping[str, Sequence[object]]]) -> Path:
    """Write a STAR file by hand: blocks of columns."""
    text = ""
    for name, columns in blocks.items():
        text += f"# version 30001\n\ndata_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in columns)
        text += "".join(" ".join(str(v) for v in row) + "\n" for row in zip(*columns.values(), strict=True)) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def particle_columns(n: int, seed: int = 0) -> dict[str, list[object]]:
    """Return columns of n particles of 4 classes on 3 micrographs, as ``align`` writes them."""
    rng = np.random.default_rng(seed)
    return {
        "rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(n)],
        "rlnMicrographName": [f"mic{m}.mrc" for m in rng.integers(0, 3, n)],
        "rlnCoordinateX": rng.integers(0, 400, n).tolist(),
        "rlnCoordinateY": rng.integers(0, 400, n).tolist(),
        "rlnOpticsGroup": [1] * n,
        "rlnOriginXAngst": np.round(rng.normal(0, 6, n), 3).tolist(),
        "rlnOriginYAngst": np.round(rng.normal(0, 6, n), 3).tolist(),
        "rlnClassNumber": rng.integers(1, 5, n).tolist(),
        "cryoalignScore": np.round(rng.permutation(n) / n, 6).tolist(),
        "cryoalignPsiError": np.round(rng.uniform(0, 4, n), 4).tolist(),
        "cryoalignShiftError": np.round(rng.uniform(0, 3, n), 4).tolist(),
        "cryoalignFlag": rng.integers(0, 3, n).tolist(),
        "otherNote": [("one", "two|three", "4")[k] for k in rng.integers(0, 3, n)],
    }


def write_particles_star(path: Path, columns: Mapping[str, Sequence[object]], **optics: object) -> Path:
    """Write a particle table of RELION 3.1 with one optics group; None removes one of its columns."""
    group = {label: [value] for label, value in {**OPTICS, **optics}.items() if value is not None}
    return write_table(path, {"optics": group, "particles": columns})


def blocks(path: Path) -> dict:
    """Read a STAR file with the library, all cells as text."""
    labels = [line.split()[0][1:] for line in path.read_text().splitlines() if line.startswith("_")]
    return starfile.read(path, always_dict=True, parse_as_string=labels)


def names(path: Path) -> list[str]:
    """Return the image names of a particle table."""
    return blocks(path)["particles"]["rlnImageName"].tolist()


def rows(path: Path) -> list[int]:
    """Return the image numbers of a particle table, from 0, for tables of one stack."""
    return [int(name.split("@")[0]) - 1 for name in names(path)]
