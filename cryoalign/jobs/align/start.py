"""References for ``align --strategy synchronized``: averages of the particles in a frame that they find themselves.

Particles are prepared as `rid-distance` does, brought into one frame from the angles and shifts between neighbours, and
averaged as they were compared: coarse, whitened, CTF signs undone. What comes out is good enough to be aligned to on
the low rings that a start may show; the rounds that follow work with the raw particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cryoalign.alignment.synchronized import FrameSettings, class_means, classes_in_frame, common_frame
from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, fourier_resize
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.prepared import Prepared, prepare
from cryoalign.passes.prepare.settings import DEFAULT_K, ComparisonSettings
from cryoalign.run.parameters import settings_from
from cryoalign.run.rundir import RunDirectory

SMALLEST_CLASS = 10
"""Components with fewer particles have no class of their own: these are aligned to the classes of the others."""
_RINGS = 8
"""Rings, over the whole field of view, on which classes are told apart."""
_SIGNAL, _SUMMARY = "signal", ("z", "share", "held_out", "edges", "components", "largest", "inlier")


@dataclass(frozen=True, eq=False)
class Start:
    """What the rounds start from.

    Parameters
    ----------
    references
        One for each class, (m, box, box), at the box of most particles.
    pixel_size_angstrom
        Theirs.
    signal
        Whether the particles agree with each other.
    z
        Of that test.
    """

    references: NDArray[np.float32]
    pixel_size_angstrom: float
    signal: bool
    z: float


def synchronized_start(p: AlignParameters, images: ParticleImages, run: RunDirectory) -> Start:
    """Make references from the particles alone.

    Raises
    ------
    InputError
        For anything the user can mend.
    """
    settings = settings_from(ComparisonSettings, p, metric=ComparisonSettings.metric)
    prepared = prepare(settings, images, run, block_size=p.block_size)
    assert prepared is not None, "job arrays are refused with this strategy"
    store = run.parts("synchronized")
    if not store.has(0):
        with run.stage("synchronise"), threadpool_limits(1, user_api="blas"):
            store.save(0, _synchronized(p, prepared, run))
    found = store.load(0)
    run.log.info(
        "one frame from %d pairs: %d of %d particles in %s, %.0f %% of pairs agree; neighbours agree in what did not "
        "choose them: z = %.1f",
        int(found["edges"]), int(found["largest"]), len(prepared.rows),
        "one component" if found["components"] == 1 else f"the largest of {int(found['components'])} components",
        100 * float(found["inlier"]), float(found["z"]),
    )  # fmt: skip
    counts = ", ".join(str(count) for count in found["counts"])
    run.log.info("start: %d %s of %s particles", len(found["counts"]), _classes(len(found["counts"])), counts)
    return Start(
        np.array(found["references"]), prepared.plan.raw_pixel_size, bool(found[_SIGNAL]), float(found["z"])
    )  # fmt: skip


def _classes(count: int) -> str:
    return "class" if count == 1 else "classes"


def _synchronized(p: AlignParameters, prepared: Prepared, run: RunDirectory) -> dict[str, NDArray]:
    """Find frame, classes and references, as arrays that a resumed run finds again."""
    plan, m = prepared.plan, len(prepared.rows)
    settings = FrameSettings(
        k=min(DEFAULT_K, m - 1), mirror=p.mirror,
        # The reach of the search is taken for 2.5 standard deviations: 96 % of the centres lie within.
        shift_sd_px=0.4 * p.max_shift_in(plan.raw_box, plan.raw_pixel_size) / plan.raw_per_prepared,
        radius_px=plan.radius_px, rings=_RINGS, seed=p.seed, threads=p.threads,
    )  # fmt: skip
    frame = common_frame(prepared.images, settings, lambda stage: run.log.info("comparing: %s", stage))
    sync = frame.synchronization
    size = np.bincount(sync.component)[1:]
    n_classes = p.classes or int((size >= SMALLEST_CLASS).sum()) or 1
    if n_classes > m // 2:
        raise InputError("--classes asks for more than every second particle", value=n_classes)
    label = classes_in_frame(prepared.images, frame, n_classes, settings)
    count = np.bincount(label)
    # The smallest go: a component too small for a class of its own.
    kept = min(n_classes, len(count))
    means = class_means(prepared.images, frame.poses, label, len(count))[:kept]
    references = fourier_resize(means, plan.raw_box)
    # Undo the whitening as far as images have it in common.
    gain = plan.geometries[_most(prepared)].gain.mean(axis=0)
    used = np.arange(len(gain)) <= plan.box // 2
    undo = np.where(used & (gain > 0), 1.0 / np.where(gain > 0, gain, 1.0), 0.0)
    return {
        "references": apply_ring_gain(references, undo / undo.max()).astype(np.float32),
        "counts": count[:kept].astype(np.int64), "signal": np.array(frame.signal.signal and sync.signal),
        "z": np.array(frame.signal.z), "edges": np.array(frame.edges), "components": np.array(len(size)),
        "largest": np.array(size.max()), "inlier": np.array(sync.inlier.mean(dtype=np.float64)),
        "poses": np.stack([frame.poses.psi, frame.poses.dx, frame.poses.dy, frame.poses.mirror], axis=1),
        "component": sync.component, "confidence": sync.confidence,
    }  # fmt: skip


def _most(prepared: Prepared) -> int:
    plan = prepared.plan
    same = [g for g, one in enumerate(plan.geometries) if one.box == plan.raw_box]
    return same[0]
