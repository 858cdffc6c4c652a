"""``sync`` from start to finish: read edges, find angles, fix the frame, then shifts; write, say, commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import SAME_GEOMETRY, UNKNOWN_ANGLE
from cryoalign.core.poses import Poses
from cryoalign.io.edge_table import EdgeTable, read_edge_table
from cryoalign.io.image_index import ImageIndex
from cryoalign.io.magnification import stored_poses
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.sync.edges import EdgeCounts, edges_of
from cryoalign.jobs.sync.outputs import write_angles, write_edges, write_poses
from cryoalign.jobs.sync.parameters import SyncParameters, parse_anchor
from cryoalign.jobs.sync.particles import particles_of
from cryoalign.jobs.sync.report import write_report
from cryoalign.jobs.sync.result import SyncResult
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.markers import NodeKind
from cryoalign.runs.no_signal import NO_SIGNAL, NO_SIGNAL_EXIT
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.runlog import progress
from cryoalign.synchronization.anchor import anchored
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.robust_shifts import RobustShifts, robust_shifts
from cryoalign.synchronization.synchronise import Synchronization, synchronise


def run_sync(p: SyncParameters, argv: Sequence[str], verbosity: int) -> int:
    """Find the angle of every node and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        with run.stage("read"):
            table = read_edge_table(p.graph)
            table, particles = particles_of(p, table, run)
            anchors = _anchors(p, table)
            edges, counts = edges_of(table, p.max_distance)
        _say_edges(table, counts, run)
        with run.stage("angles"):
            sync = _synchronised(p, edges, run)
            psi, hands = _input_poses(particles, mirrors=table.mirror is not None)
            sync = anchored(sync, anchors, psi, hands, names=table.node.tolist())
        with run.stage("shifts"):
            shifts, pixel = _shifts(table, particles, edges, sync)
        found = SyncResult(table, particles, edges, counts, sync, shifts, pixel)
        return _finish(p, found, run)


def _synchronised(p: SyncParameters, edges: EdgeList, run: RunDirectory) -> Synchronization:
    """Find all angles, say how far it is, and stop where RELION asks for it."""
    with progress(run.log, "angles", edges.n, unit="nodes", verbosity=run.verbosity) as counter:
        done = 0

        def on_share(share: float) -> None:
            nonlocal done
            if run.aborted():
                raise Interrupted("asked to stop by RELION_JOB_ABORT_NOW")
            nodes = round(share * edges.n)
            if nodes > done:
                counter.update(nodes - done)
                done = nodes

        return synchronise(edges, p.settings(), on_share)


def _anchors(p: SyncParameters, table: EdgeTable) -> dict[int, float]:
    """Return the rows that anchors name: by id, or by the name of the image."""
    if not p.anchor:
        return {}
    row_of = {str(node): row for row, node in reversed(list(enumerate(table.node.tolist())))}
    named = {} if table.name is None else {word: row for row, word in reversed(list(enumerate(table.name.tolist())))}
    rows: dict[int, float] = {}
    for text in p.anchor:
        node, angle = parse_anchor(text)
        row = row_of.get(node, named.get(node))
        if row is None and table.name is not None and "@" in node:
            with suppress(InputError):  # a word that is no image's name
                found = int(ImageIndex(table.name.tolist()).rows_of([node])[0])
                row = found if found >= 0 else None
        if row is None:
            raise InputError("--anchor names a node that the graph does not have", path=table.path, value=node)
        if rows.get(row, angle) != angle:
            raise InputError("--anchor gives one node two angles", value=node)
        rows[row] = angle
    return rows


def _input_poses(
    particles: ParticleSet | None, *, mirrors: bool
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    """Return psi and handedness of the input, None where it says nothing: one psi for all is no knowledge either."""
    psi = None if particles is None else particles.numbers("rlnAnglePsi")
    if particles is None or psi is None or len(np.unique(psi)) == 1 or (psi == UNKNOWN_ANGLE).any():
        return None, None
    hands = particles.poses().mirror if mirrors and "rlnIsFlip" in particles.particles else None
    return particles.angles("rlnAnglePsi"), hands


def _shifts(
    table: EdgeTable, particles: ParticleSet | None, edges: EdgeList, sync: Synchronization
) -> tuple[RobustShifts | None, float | None]:
    """Find origins, once angles are known, and the size of their pixels."""
    if table.shift_px is None:
        return None, None
    pixel = table.pixel_size_angstrom
    if pixel is None and particles is not None:
        sizes = np.unique(particles.pixel_size_angstrom)
        if sizes[-1] > sizes[0] * (1 + SAME_GEOMETRY):
            raise InputError(
                "shifts in pixels, and particles of several pixel sizes", path=table.path,
                hint="give graph.npz or graph.star, which say what a pixel is",
            )  # fmt: skip
        pixel = float(sizes[0])
    return robust_shifts(edges, sync.psi_deg, sync.mirror, sync.component, sync.inlier), pixel


def _say_edges(table: EdgeTable, counts: EdgeCounts, run: RunDirectory) -> None:
    if table.unused:
        run.log.info("columns that are not used: %s", ", ".join(table.unused))
    said = [f"{counts.too_far} too far"] * (counts.too_far > 0) + [f"{counts.repeats} repeats"] * (counts.repeats > 0)
    left = f" ({', '.join(said)}, left out)" if said else ""
    run.log.info("%d edges%s of %d pairs between %d nodes", counts.read, left, counts.pairs, table.n)
    if counts.pairs_contradicting:
        run.log.info(
            "%d of %d pairs with several edges contradict themselves; all are kept",
            counts.pairs_contradicting,
            counts.pairs_repeated,
        )


def _finish(p: SyncParameters, found: SyncResult, run: RunDirectory) -> int:
    sync, status = found.sync, 0
    sizes = np.bincount(sync.component)[1:]
    several = int((sizes > 1).sum())
    components = "1 component" if several == 1 else f"{several} components, the largest"
    run.log.info("%s of %d nodes; %d nodes without edges", components, sizes.max(), int(sync.isolated.sum()))
    run.log.info(
        "%s: %.1f %% of edges are likely right, half of these within %.2f deg; held-out log-likelihood %.4f",
        " and ".join(sorted(set(sync.algorithm_used))),
        100 * float(sync.inlier.mean()),
        sync.median_residual_deg,
        sync.held_out_log_likelihood,
    )
    if not sync.signal:
        run.warn(
            f"{NO_SIGNAL}: edges that were held out are explained no better than by chance (log-likelihood "
            f"{sync.held_out_log_likelihood:.4f})"
        )
        status = 0 if p.allow_no_signal else NO_SIGNAL_EXIT
    elif not sync.checkable:
        run.warn("too few edges close cycles: nothing says whether the angles are right, and the confidence is 0")
    with run.stage("write"):
        files = write_angles(run, found.table, sync) | write_edges(run, found.table, found.edges, sync)
        if found.particles is not None:
            files |= _write_particles(found, run)
    counts = _counts(found)
    with run.stage("report"):
        write_report(p, found, run, counts, files)
    nodes: list[tuple[str, NodeKind]] = [] if found.particles is None else [("particles.star", "particles")]
    run.commit(counts=counts, relion_nodes=nodes, exit_status=status)
    return status


def _write_particles(found: SyncResult, run: RunDirectory) -> dict[str, str]:
    particles, sync = found.particles, found.sync
    assert particles is not None
    if sync.isolated.all():
        raise InputError("no particle has an edge", path=found.table.path)
    tilt = particles.numbers("rlnAngleTilt")
    if tilt is not None and tilt.any():
        run.warn("rlnAngleTilt is not 0: the new psi no longer belongs to the input's rot and tilt, which are kept")
    mirrors = found.table.mirror is not None
    if mirrors and sync.mirror[~sync.isolated].any():
        run.warn("rlnIsFlip is set on mirrored particles; RELION does not apply it")
    origin = None
    if found.shifts is not None and found.pixel_size_angstrom is not None:
        x, y = (found.shifts.origin_px * found.pixel_size_angstrom).T
        stored = stored_poses(particles, Poses(sync.psi_deg, x, y, sync.mirror))
        origin = np.stack([stored.dx, stored.dy], axis=1)
    elif found.table.shift_px is None:
        run.log.info("the edges have no shifts: origins stay as they were")
    return write_poses(run, particles, sync, origin, mirrors=mirrors)


def _counts(found: SyncResult) -> dict[str, object]:
    sync, counts = found.sync, found.counts
    sizes = np.bincount(sync.component)[1:]
    used = {word: sync.algorithm_used.count(word) for word in sorted(set(sync.algorithm_used))}
    said: dict[str, object] = {
        "nodes": found.table.n,
        "isolated": int(sync.isolated.sum()),
        "components": int((sizes > 1).sum()),
        "largest_component": int(sizes.max()),
        "read": counts.read,
        "too_far": counts.too_far,
        "repeats": counts.repeats,
        "edges": len(found.edges),
        "pairs": counts.pairs,
        "pairs_with_several_edges": counts.pairs_repeated,
        "pairs_that_contradict_themselves": counts.pairs_contradicting,
        "likely_right_edges": round(float(sync.inlier.sum(dtype=np.float64)), 3),
        "median_residual_deg": round(sync.median_residual_deg, 6),
        "median_confidence": round(float(np.median(sync.confidence)), 6),
        "held_out_log_likelihood": round(sync.held_out_log_likelihood, 6),
        "signal": bool(sync.signal),
        "algorithm_used": used,
    }
    if found.shifts is not None:
        said["shift_scale_px"] = round(found.shifts.scale_px, 6)
    return said
