"""Reference images and graphs: read as a run reads them, and held against the particles."""

from __future__ import annotations

from pathlib import Path

from cryoalign.io.edge_table import read_edge_table
from cryoalign.io.graph_file import read_graph
from cryoalign.io.particles import ParticleSet
from cryoalign.io.references import read_references
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.problems import Problems

_SAME_SIZE = 0.02


def check_references(p: CheckParameters, particles: ParticleSet | None, problems: Problems) -> list[str]:
    """Check reference images, and whether they fit the particles; return a line for each file that can be read."""
    lines = []
    for path in p.references:
        with problems.reading("reference"):
            groups = [] if particles is None else particles.groups_by_box()
            most = max(groups, key=lambda group: len(group.rows)).pixel_size_angstrom if groups else None
            images, size = read_references(path, datadir=p.datadir, default_angpix=most)
            box = images.shape[-1]
            lines.append(f"{path}: {len(images)} references of {box} px at {size:g} A")
            fit = any(g.box == box and abs(g.pixel_size_angstrom / size - 1) < _SAME_SIZE for g in groups)
            if groups and not fit:
                found = " and ".join(sorted({f"{g.box} px at {g.pixel_size_angstrom:g} A" for g in groups}))
                problems.add(
                    "reference", f"a box of {box} px at {size:g} A, where the particles have {found}", path=path,
                    hint="--resize-reference of align brings the references to the particles", refused=True,
                )  # fmt: skip
    return lines


def check_graphs(p: CheckParameters, particles: ParticleSet | None, problems: Problems) -> list[str]:
    """Check graphs and tables of edges; return a line for each that can be read."""
    lines = []
    for path in p.all_graphs:
        with problems.reading("graph"):
            table = read_edge_table(path)
            lines.append(f"{path}: {len(table)} edges between {table.n} nodes")
            if particles is not None and _is_graph(path):
                read_graph(table.path, particles.image_names())
    return lines


def _is_graph(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".npz"
