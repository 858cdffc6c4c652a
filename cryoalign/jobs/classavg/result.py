"""What a run of ``classavg`` found, as its files and its report are made from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import Classification
from cryoalign.jobs.classavg.members import ViewMembers
from cryoalign.jobs.classavg.partition import Partition
from cryoalign.passes.average.passes import AverageResult
from cryoalign.passes.prepare.prepared import Prepared


@dataclass(frozen=True, eq=False)
class ClassavgResult:
    """What a run found.

    Parameters
    ----------
    prepared, classification
        The particles that could be used, and what they are neighbours of.
    seeds
        Usable images in the middle of the views, (m,).
    views, averages
        The members of the views, and their averages.
    partition
        The particles in classes, for RELION.
    """

    prepared: Prepared
    classification: Classification
    seeds: NDArray[np.int64]
    views: ViewMembers
    averages: AverageResult
    partition: Partition
