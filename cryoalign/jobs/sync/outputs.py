"""The files of `sync`: angles of nodes, residuals of edges, and the particles with their poses in the common frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.io.columns import text_column
from cryoalign.io.edge_table import EdgeTable
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.star import write_star_loop
from cryoalign.runs.rundir import RunDirectory
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.synchronise import Synchronization

ISOLATED = "no edges, so no angle"
"""The reason in skipped.star."""
_AT_ONCE = 1 << 17


def write_angles(run: RunDirectory, table: EdgeTable, found: Synchronization) -> dict[str, str]:
    """Write angles.star: a row for each node."""
    columns: dict[str, NDArray] = {"cryoalignNode": table.node}
    if table.name is not None:
        columns["rlnImageName"] = table.name
    columns["rlnAnglePsi"] = found.psi_deg
    if table.mirror is not None:
        columns["rlnIsFlip"] = found.mirror
    columns |= {
        "cryoalignConfidence": found.confidence,
        "cryoalignComponent": found.component,
        "cryoalignIsolated": found.isolated,
    }
    write_star_loop(run.staged("angles.star"), "angles", _pieces(columns))
    return {"angles.star": "the angle of each node, how sure it is, and its component"}


def write_edges(run: RunDirectory, table: EdgeTable, edges: EdgeList, found: Synchronization) -> dict[str, str]:
    """Write edges.star: a row for each edge that was used, i before j."""
    columns: dict[str, NDArray] = {
        "cryoalignNodeI": table.node[edges.i],
        "cryoalignNodeJ": table.node[edges.j],
        "cryoalignAngle": edges.angle_deg,
    }
    if table.mirror is not None:
        columns["cryoalignMirror"] = edges.mirror
    columns |= {"cryoalignResidual": found.residual_deg, "cryoalignInlierProbability": found.inlier}
    write_star_loop(run.staged("edges.star"), "edges", _pieces(columns))
    return {"edges.star": "each edge: how far it is from the angles, and how likely it is to be right"}


def write_poses(
    run: RunDirectory,
    particles: ParticleSet,
    found: Synchronization,
    origin_angstrom: NDArray[np.float64] | None,
    *,
    mirrors: bool,
) -> dict[str, str]:
    """Write particles.star, and skipped.star with the particles that no edge leads to.

    Parameters
    ----------
    run, particles
        The run, and the particles that are the nodes.
    found
        Their angles.
    origin_angstrom
        (n, 2) in A; None where the edges have no shifts: the input's origins stay.
    mirrors
        Whether handedness was solved for.
    """
    files = {}
    good, alone = np.flatnonzero(~found.isolated), np.flatnonzero(found.isolated)
    table = particles.particles
    columns: dict[str, ArrayLike | list[str]] = {}
    if "rlnClassNumber" in table:
        columns["cryoalignClassNumberInput"] = table["rlnClassNumber"].iloc[good].tolist()
    columns["rlnAnglePsi"] = found.psi_deg[good]
    if origin_angstrom is None and not {"rlnOriginXAngst", "rlnOriginX"} & set(table):
        origin_angstrom = np.zeros((len(particles), 2))
    if origin_angstrom is not None:
        columns |= {"rlnOriginXAngst": origin_angstrom[good, 0], "rlnOriginYAngst": origin_angstrom[good, 1]}
    # Angles of different components have nothing in common, and so no average either.
    columns["rlnClassNumber"] = found.component[good]
    if mirrors or "rlnIsFlip" in table:
        # An old 1 beside a pose that was found without mirrors would contradict it.
        columns["rlnIsFlip"] = found.mirror[good].astype(np.int64)
    columns["cryoalignConfidence"] = found.confidence[good]
    for text in write_particles(run.staged("particles.star"), particles.take(good).with_columns(columns)):
        run.warn(text)
    files["particles.star"] = "the particles with their poses in the common frame; a class for each component"
    if len(alone):
        skipped = particles.take(alone).with_columns({"cryoalignReason": [ISOLATED] * len(alone)})
        write_particles(run.staged("skipped.star"), skipped)
        files["skipped.star"] = "particles that no edge leads to"
    return files


def _pieces(columns: dict[str, NDArray]) -> Iterator[dict[str, list[str]]]:
    """Give the rows of a table as text, part by part: millions at once would take gigabytes."""
    rows = len(next(iter(columns.values())))
    for start in range(0, max(rows, 1), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield {label: text_column(label, values[part]) for label, values in columns.items()}
