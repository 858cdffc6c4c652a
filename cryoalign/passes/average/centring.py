"""Averages brought to the centre: poses moved, averages made again from the raw pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.recentre import centres_of_mass, recentring_shifts
from cryoalign.core.poses import Poses
from cryoalign.io.magnification import poses_as_written
from cryoalign.passes.average.passes import AverageResult, Passes
from cryoalign.passes.average.plan import AveragePlan

CENTRED_PX, CENTRING_ROUNDS = 0.1, 3
"""Averages are made again until their centres of mass lie this close to the centre, but not more often."""


def centred(found: AverageResult, passes: Passes) -> AverageResult:
    """Move the poses of every class so that its centre of mass comes to the centre, and average again."""
    plan = found.plan
    moved = np.zeros((plan.n_classes, 2))
    for again in range(1, CENTRING_ROUNDS + 1):
        step = recentring_shifts(found.averages.averages, plan.mask_diameter_px)
        step[found.averages.counts == 0] = 0.0
        moved += step
        plan = plan.with_poses(recentred_poses(plan, step))
        result = passes.averages(plan, f"centred-{again}")
        assert result is not None
        found = result
        left = np.hypot(*centres_of_mass(found.averages.averages, plan.mask_diameter_px).T)
        left = left[found.averages.counts > 0]
        passes.run.log.info(
            "moved by up to %.2f px; centres of mass lie within %.3f px now", np.hypot(*step.T).max(), left.max()
        )
        if left.max() < CENTRED_PX:
            break
    return replace(found, moved_px=moved)


def recentred_poses(plan: AveragePlan, shift_px: NDArray[np.float64]) -> Poses:
    """Return the poses that bring the point (x, y) of each class to the centre, as a file will hold them.

    Parameters
    ----------
    plan
        The plan.
    shift_px
        Offset (x, y) of each class in pixels of the averages, (m, 2).
    """
    members = plan.members
    pixel = plan.particles.pixel_size_angstrom[members.particle]
    x, y = (shift_px[members.class_index] * (plan.out_pixel_size / pixel)[:, None]).T
    written = poses_as_written(plan.particles, members.poses.recentred(x, y), members.particle)
    # Angles stay as they were read: only origins are written anew.
    return Poses(members.poses.psi, written.dx, written.dy, members.poses.mirror)
