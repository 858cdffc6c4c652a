"""What the reports of all commands are told about the halves of averages, in the same words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.io.particles import ParticleSet
from cryoalign.passes.halves import TUBE
from cryoalign.report.quality_data import FrcCurve, HalfSets


def frc_curves(averages: ClassAverages, class_numbers: Sequence[int] | NDArray[np.integer]) -> dict[int, FrcCurve]:
    """Return the FRC of each class that has two halves, by class number; ``class_numbers`` are of all classes, (m,)."""
    return {
        int(number): FrcCurve(
            frc=frc.frc, noise_curve=frc.noise_curve, ssnr=frc.ssnr, shared_ring=frc.shared_ring,
            resolution_angstrom=frc.resolution_angstrom, resolution_half_angstrom=frc.resolution_half_angstrom,
        )
        for number, frc in zip(class_numbers, averages.frc, strict=True)
        if frc is not None
    }  # fmt: skip


def halves_in_words(
    particles: ParticleSet, counts: tuple[int, int], shared_resolution_angstrom: float | None
) -> HalfSets:
    """Say how particles were parted, as :func:`cryoalign.passes.halves.half_sets` does it.

    Parameters
    ----------
    particles
        The table.
    counts
        Images of either half.
    shared_resolution_angstrom
        Down to which the halves were aligned to the same reference; None where they shared nothing or all.
    """
    table = particles.particles
    by_name = "a hash of the tube" if TUBE in table else "a hash of the image name"
    rule = "rlnRandomSubset" if "rlnRandomSubset" in table else by_name
    return HalfSets(counts=counts, rule=rule, shared_resolution_angstrom=shared_resolution_angstrom)
