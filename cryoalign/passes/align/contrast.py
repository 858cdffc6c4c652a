"""Whether particles are dark where references are bright: asked of a sample before anything else is done."""

from __future__ import annotations

import numpy as np

from cryoalign.alignment.to_references import ReferenceAligner
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.tiles import TILE
from cryoalign.io.stacks import usable
from cryoalign.passes.align.planned import AlignPlan


def inverted_contrast(plan: AlignPlan) -> bool:
    """Tell whether a sample of the particles fits the negative of the references clearly better.

    Both signs are searched for up to two tiles of each geometry; the difference must be three standard errors.
    """
    difference: list[float] = []
    for g in plan.geometries:
        places = evenly_spread(2 * TILE, len(g.rows))
        aligner = ReferenceAligner(g.search)
        for start in range(0, len(places), TILE):
            here = places[start : start + TILE]
            images = g.source.read(here)
            valid = usable(images)
            images[~valid] = 0.0
            inputs = plan.tile_inputs(g.rows[here], valid)
            direct, negative = aligner.align(images, inputs), aligner.align(-images, inputs)
            difference += list((negative.score - direct.score)[valid])
    if len(difference) < 3:
        return False
    error = float(np.std(difference)) / np.sqrt(len(difference))
    return float(np.mean(difference)) > max(3 * error, 0.02)
