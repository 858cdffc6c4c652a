"""What every room is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .results import Room


@dataclass(frozen=True)
class Settings:
    """Work directory, seeds, whether to be quick (fewer images, bars still judged), and whether to run peers."""

    work: Path
    seeds: tuple[int, ...]
    quick: bool
    peers: bool

    def room(self, name: str) -> Room:
        """Open a room."""
        return Room(name, {"seeds": len(self.seeds), "quick": self.quick})
