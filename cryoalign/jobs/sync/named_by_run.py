"""The particles that a graph is of, as the run that made the graph names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cryoalign.core.errors import InputError
from cryoalign.runs.record import read_record

_MAKERS = ("rid-distance", "classavg")


class NamedParticles(NamedTuple):
    """What run.json beside a graph says of its particles: files, --datadir, --angpix, whether they were corrected."""

    paths: list[Path]
    datadir: Path | None
    angpix: float | None
    corrected: bool


def named_by_run(path: Path) -> NamedParticles | None:
    """Return what run.json beside a graph.npz says of its particles, None where there is none."""
    if path.name != "graph.npz":
        return None
    try:
        record = read_record(path.parent)
    except InputError:
        return None
    if record is None or record.get("command") not in _MAKERS or path.name not in record.get("files", ()):
        return None
    parameters = record["parameters"]
    inputs, datadir, angpix = (parameters.get(name) for name in ("inputs", "datadir", "angpix"))
    if not (
        isinstance(inputs, list)
        and all(isinstance(word, str) for word in inputs)
        and isinstance(datadir, (str, type(None)))
        and isinstance(angpix, (int, float, type(None)))
    ):
        return None  # not as we write it
    there = Path(record["working_directory"])

    def from_here(word: str) -> Path:
        """Return a path as it stands, or as it was meant in the folder that the run was started in."""
        plain = Path(word)
        return plain if plain.exists() or not (there / plain).exists() else Path(os.path.relpath(there / plain))

    corrected = parameters.get("apply_mag_matrix") is True
    return NamedParticles(
        [from_here(word) for word in inputs], from_here(datadir) if datadir else None, angpix, corrected
    )
