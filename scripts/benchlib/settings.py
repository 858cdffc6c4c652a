"""What every room is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .results import Room


@dataclass(frozen=True)
class Settings:
    """Work directory, seeds, whether to be quick (fewer images, bars still judged), and whether to run peers."""

    work: Path
    seeds: tuple[int, ...]
    quick: bool
    peers: bool

    @property
    def runs(self) -> Path:
        """Folder for run directories of this process; two benchmarks at once do not meet."""
        return self.work / "runs" / str(os.getpid())

    def room(self, name: str) -> Room:
        """Open a room."""
        return Room(name, {"seeds": len(self.seeds), "quick": self.quick})


def kept(path: Path, make: Callable[[], dict[str, NDArray]]) -> dict[str, NDArray]:
    """Return the arrays stored at a path; made, and stored whole, if they are not there."""
    if not path.exists():
        draft = path.with_name(f"draft{os.getpid()}-{path.name}")
        np.savez(draft, **make())
        draft.rename(path)
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
