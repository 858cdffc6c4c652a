"""A finished run read back: its record, tables, averages and graph, and a short view of it for notebooks."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.plain_text import shown
from cryoalign.runs.record import RUN_JSON, read_record

if TYPE_CHECKING:
    import pandas as pd

    from cryoalign.io.graph_file import Graph
    from cryoalign.io.particles import ParticleSet

_SHOWN, _SIDE = 12, 96
"""Averages in the view for notebooks, and their side in pixels."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run directory; files are read when they are asked for.

    Parameters
    ----------
    path
        The directory.
    record
        What run.json says.
    """

    path: Path
    record: dict[str, Any]

    @property
    def command(self) -> str:
        """As users type it."""
        return str(self.record["command"])

    @property
    def exit_status(self) -> int:
        """0 done, 3 done but no consistent signal found."""
        return int(self.record["exit_status"])

    @property
    def counts(self) -> dict[str, Any]:
        """What was read, skipped, and whatever the command counts."""
        return dict(self.record["counts"])

    @property
    def warnings(self) -> list[str]:
        """What the run warned of."""
        return list(self.record["warnings"])

    @property
    def files(self) -> list[Path]:
        """Files that the run wrote."""
        return [self.path / name for name in self.record["files"]]

    @cached_property
    def particles(self) -> ParticleSet:
        """The particles that the run wrote: particles.star, or run_data.star of ``classavg``."""
        from cryoalign.io.particles import read_particles

        return read_particles([self._one("particles.star", "run_data.star")], datadir=self._started_in)

    @cached_property
    def averages(self) -> NDArray[np.float32]:
        """Averages of the classes that have members, (m, L, L)."""
        from cryoalign.io.references import read_references

        return read_references(self._one("averages.mrcs"))[0]

    @cached_property
    def graph(self) -> Graph:
        """The graph of neighbours."""
        from cryoalign.io.graph_file import read_graph

        return read_graph(self._one("graph.npz"))

    def table(self, name: str, block: str | None = None) -> pd.DataFrame:
        """Return a table of one of the run's STAR files, cells as text.

        Parameters
        ----------
        name
            Such as "averages.star".
        block
            Such as "particles"; None = the first that is a table and not the optics.

        Raises
        ------
        InputError
            If there is no such file or block.
        """
        import pandas as pd

        from cryoalign.io.star import read_star

        star = read_star(self._one(name))
        tables = [key for key in star.blocks if key != "optics" and isinstance(star.table(key), pd.DataFrame)]
        wanted = block or (tables[0] if tables else "")
        if wanted not in star.blocks:
            raise InputError("no such table", path=self.path / name, value=wanted, hint=", ".join(star.blocks))
        return star.table(wanted)

    @property
    def _started_in(self) -> Path:
        return Path(self.record["working_directory"])

    def _one(self, *names: str) -> Path:
        for name in names:
            if (self.path / name).is_file():
                return self.path / name
        raise InputError(f"this run of {self.command} wrote no {names[0]}", path=self.path)

    def __repr__(self) -> str:
        """Say which run it is."""
        return f"Run({str(self.path)!r}: {self.command}, exit status {self.exit_status})"

    def _repr_html_(self) -> str:
        """Say in a notebook what was done, what came out, and where the report is."""
        counts = {name: value for name, value in self.counts.items() if isinstance(value, (int, float, str))}
        rows = "".join(f"<tr><td>{_shown(n)}</td><td>{_shown(str(v))}</td></tr>" for n, v in counts.items())
        warned = "".join(f"<li>{_shown(text)}</li>" for text in self.warnings)
        command = _shown(self.record["command_line"])
        parts = [f"<p><code>{command}</code></p><table>{rows}</table>", f"<ul>{warned}</ul>" if warned else ""]
        if (self.path / "averages.mrcs").is_file():
            from cryoalign.report.figures import data_uri, display_tile, png_bytes

            for average in self.averages[:_SHOWN]:
                uri = data_uri(png_bytes(display_tile(average, _SIDE)), "image/png")
                parts.append(f'<img src="{uri}" width="{_SIDE}" alt="average">')
        if (self.path / "report.html").is_file():
            parts.append(f"<p>{_shown(str(self.path / 'report.html'))}</p>")
        return "".join(parts)


def _shown(text: str) -> str:
    return html.escape(shown(text))


def load_run(directory: str | Path) -> Run:
    """Read the record of a finished run.

    Parameters
    ----------
    directory
        The run directory.

    Raises
    ------
    InputError
        If there is no run, or it is not finished.

    Examples
    --------
    >>> load_run(folder / "sim").command
    'simulate'
    """
    path = Path(directory)
    record = read_record(path)
    if record is None:
        raise InputError(f"no run of cryoalign: {RUN_JSON} is missing", path=path)
    if record["status"] != "finished":
        raise InputError("this run is not finished", path=path, value=record["status"])
    return Run(path, record)
