"""Figures, bars and verdicts: printed as plain tables, and kept as JSON, from which pages are filled."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info


@dataclass(frozen=True)
class Figure:
    """One measured value with its bar: ``sense`` is "<=" or ">="; bar None for a figure that is only quoted."""

    name: str
    value: float
    bar: float | None = None
    sense: str = "<="
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the bar holds."""
        if self.bar is None:
            return ""
        good = self.value <= self.bar if self.sense == "<=" else self.value >= self.bar
        return "holds" if good else "FALLS SHORT"

    def cells(self) -> list[str]:
        """Return the figure as table cells."""
        bar = "" if self.bar is None else f"{self.sense} {self.bar:g}"
        return [self.name, number(self.value), bar, self.verdict, self.note]


def number(value: float) -> str:
    """Format a value with what digits matter."""
    if not np.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"


@dataclass
class Room:
    """What one subcommand measured."""

    name: str
    settings: dict
    figures: list[Figure] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, bar: float | None = None, sense: str = "<=", note: str = "") -> None:
        """Record a figure and print its line at once."""
        figure = Figure(name, float(value), bar, sense, note)
        self.figures.append(figure)
        cells = figure.cells()
        print(f"{cells[0]:<62} {cells[1]:>10}  {cells[2]:<10} {cells[3]:<12} {cells[4]}".rstrip(), flush=True)

    def skip(self, name: str, why: str) -> None:
        """Record that a figure could not be measured here."""
        self.add(name, float("nan"), note=f"not measured: {why}")

    def save(self, work: Path) -> Path:
        """Write the JSON file of this room; quick runs go beside the others and never into the documentation."""
        folder = work / ("results-quick" if self.settings.get("quick") else "results")
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "room": self.name,
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "settings": self.settings,
            "commands": self.commands,
            "figures": [{**vars(f), "value": None if np.isnan(f.value) else f.value} for f in self.figures],
        }
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=1) + "\n")
        return path


def machine() -> dict[str, str]:
    """Describe the machine and the libraries."""
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), cpu)
    blas = [f"{x['internal_api']} {x.get('architecture', '')}" for x in threadpool_info() if x["user_api"] == "blas"]
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "blas": ", ".join(sorted(set(blas))),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba", "finufft")),
        "load": f"{os.getloadavg()[0]:.2f}",
    }
