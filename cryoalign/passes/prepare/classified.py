"""A classification as the table knows its images: by their rows, and in their own pixels.

The method counts usable images and prepared pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import Classification
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.passes.prepare.prepared import Prepared


def classification_of_rows(found: Classification, prepared: Prepared) -> Classification:
    """Return what was found of prepared images for all rows of their table.

    Shifts are in pixels of the image that is moved, j, centres in those of each image, and the deviation that was
    searched in those of most images. A row whose image could not be used has no neighbours, weight and centre 0, and
    nan for what is not known of it.

    Parameters
    ----------
    found
        Of the m prepared images.
    prepared
        What they are.
    """
    rows, pixel_size = prepared.rows, prepared.particles.pixel_size_angstrom
    scale = prepared.plan.pixel_size_angstrom / pixel_size

    def whole(values: NDArray, missing: float) -> NDArray:
        filled = np.full((len(pixel_size), *values.shape[1:]), missing, values.dtype)
        filled[rows] = values
        return filled

    def lists(of: NeighbourLists) -> NeighbourLists:
        moved = rows[of.index]
        index = np.where(of.index >= 0, moved, -1).astype(np.int32)
        shift = (of.shift_px * scale[moved][..., None]).astype(np.float32)
        return NeighbourLists(
            whole(index, -1), whole(of.score, -np.inf), whole(of.angle_deg, 0), whole(of.mirror, False), whole(shift, 0)
        )

    centre = (found.centre_px * scale[rows][:, None]).astype(np.float32)
    return replace(
        found, neighbours=lists(found.neighbours), graph=lists(found.graph), distance=whole(found.distance, np.inf),
        weight=whole(found.weight, 0), viewing_angle_deg=whole(found.viewing_angle_deg, np.nan),
        centre_px=whole(centre, 0), embedding=whole(found.embedding, np.nan), quality=whole(found.quality, np.nan),
        shift_sd_px=found.shift_sd_px * prepared.plan.raw_per_prepared,
    )  # fmt: skip
