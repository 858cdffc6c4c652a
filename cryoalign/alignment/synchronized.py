"""References that the particles make: averages in the frame that angles between neighbours give them.

Particles are compared as `rid-distance` does, brought into one frame from the angles and shifts between neighbours, and
averaged as they were compared: coarse, whitened, CTF signs undone. What comes out is good enough to be aligned to on
the low rings that a start may show; the rounds that follow work with the raw particles.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.strategy import PreparedImages, Start, StartSource, Strategy
from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, fourier_resize

NEIGHBOURS = 50
"""Neighbours of each particle, where there are so many."""
SMALLEST_CLASS = 10
"""Components with fewer particles have no class of their own: these are aligned to the classes of the others."""
_RINGS = 8
"""Rings, over the whole field of view, on which classes are told apart."""


class Synchronized(Strategy):
    """Start from averages in a common frame, settled on low rings before halves part."""

    words: ClassVar[str] = "align to averages that the particles make: angles between neighbours put into one frame"
    note: ClassVar[str] = (
        "No references were given: those of the first round are averages of all particles in the frame that their "
        "neighbours make, used on low rings only. psi is free by one constant for each class."
    )
    settles: ClassVar[bool] = True
    why_whole: ClassVar[str] = "neighbours are found among all particles"

    def start(self, source: StartSource) -> Start:
        """Make references from the particles alone.

        Raises
        ------
        InputError
            If more classes are asked for than particles can fill.
        """
        prepared = source.prepared()
        found = source.keep(lambda: _found(prepared, source))
        components = int(found["components"])
        where = "one component" if components == 1 else f"the largest of {components} components"
        source.say(
            f"one frame from {int(found['edges'])} pairs: {int(found['largest'])} of {len(prepared.images)} particles "
            f"in {where}, {100 * float(found['inlier']):.0f} % of pairs agree; neighbours agree in what did not choose "
            f"them: z = {float(found['z']):.1f}"
        )
        counts = found["counts"].tolist()
        words = "class" if len(counts) == 1 else "classes"
        source.say(f"start: {len(counts)} {words} of {', '.join(map(str, counts))} particles")
        references = np.array(found["references"])
        return Start(references, prepared.raw_pixel_size_angstrom, bool(found["signal"]), float(found["z"]))


def _found(prepared: PreparedImages, source: StartSource) -> dict[str, NDArray]:
    """Find frame, classes and references, as arrays that a resumed run finds again."""
    from cryoalign.alignment.common_frame import FrameSettings, class_means, classes_in_frame, common_frame

    s, m = source.settings, len(prepared.images)
    per_prepared = prepared.raw_box / prepared.images.shape[-1]
    settings = FrameSettings(
        k=min(NEIGHBOURS, m - 1), mirror=s.mirror,
        # The reach of the search is taken for 2.5 standard deviations: 96 % of the centres lie within.
        shift_sd_px=0.4 * s.max_shift_px / per_prepared,
        radius_px=prepared.radius_px, rings=_RINGS, seed=s.seed, threads=s.threads,
    )  # fmt: skip
    frame = common_frame(prepared.images, settings, lambda stage: source.say(f"comparing: {stage}"))
    sync = frame.synchronization
    size = np.bincount(sync.component)[1:]
    n_classes = s.classes or int((size >= SMALLEST_CLASS).sum()) or 1
    if n_classes > m // 2:
        raise InputError("--classes asks for more than every second particle", value=n_classes)
    label = classes_in_frame(prepared.images, frame, n_classes, settings)
    count = np.bincount(label)
    # The smallest go: a component too small for a class of its own.
    kept = min(n_classes, len(count))
    means = class_means(prepared.images, frame.poses, label, len(count))[:kept]
    references = fourier_resize(means, prepared.raw_box)
    # Undo the whitening as far as images have it in common.
    gain = prepared.gain
    used = np.arange(len(gain)) <= means.shape[-1] // 2
    undo = np.where(used & (gain > 0), 1.0 / np.where(gain > 0, gain, 1.0), 0.0)
    return {
        "references": apply_ring_gain(references, undo / undo.max()).astype(np.float32),
        "counts": count[:kept].astype(np.int64), "signal": np.array(frame.signal.signal and sync.signal),
        "z": np.array(frame.signal.z), "edges": np.array(frame.edges), "components": np.array(len(size)),
        "largest": np.array(size.max()), "inlier": np.array(sync.inlier.mean(dtype=np.float64)),
    }  # fmt: skip
