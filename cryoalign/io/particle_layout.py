"""RELION 3.1's layout for any particles: several inputs joined in one table, and tables written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import text_series
from cryoalign.io.mrc import MrcHeader
from cryoalign.io.optics import DIMENSIONALITY, GROUP, GROUP_NAME, IMAGE_SIZE, NEEDED_BY_RELION, unique_names
from cryoalign.io.particle_set import IMAGE_NAME, ParticleSet
from cryoalign.io.paths import split_image_names
from cryoalign.io.star import Table, write_star

_ORIGINS = {"rlnOriginX": "rlnOriginXAngst", "rlnOriginY": "rlnOriginYAngst"}
_ONLY_SAID = ("rlnCtfFigureOfMerit", "rlnCtfMaxResolution")
_MATTERS = ("rlnAngle", "rlnOrigin", "rlnDefocus", "rlnPhaseShift", "rlnCtf", "rlnRandomSubset", "rlnClassNumber")


def as_relion31(particles: ParticleSet) -> ParticleSet:
    """Return the particles in the layout of RELION >= 3.1.

    Tables that have it keep every cell; only rlnImageSize and rlnImageDimensionality are added to an optics table
    without them, where the stacks were opened. Others get rlnOpticsGroup, and origins in A instead of pixels.
    """
    particles = replace(particles, optics=_with_image_size(particles), warnings=list(particles.warnings))
    if GROUP not in particles.particles or particles.dialect != "3.1":
        groups = particles.optics[GROUP].tolist()
        particles = particles.with_columns({GROUP: [groups[index] for index in particles.optics_index]})
    if particles.dialect == "3.1":
        return particles
    columns: dict[str, NDArray[np.float64]] = {}
    drop = []
    for pixel, angstrom in _ORIGINS.items():
        if pixel in particles.particles:
            drop.append(pixel)
            if angstrom not in particles.particles:
                columns[angstrom] = particles.needed(pixel) * particles.pixel_size_angstrom
    particles = particles.with_columns(columns, drop)
    return replace(particles, dialect="3.1", block_names=("particles", "optics"))


def join_particles(sets: Sequence[ParticleSet]) -> ParticleSet:
    """Join several inputs in order; optics groups are renumbered from 1 and their names made unique.

    Raises
    ------
    InputError
        If an input lacks an optics column, or a column of poses, CTF, halves or classes, that another one has. Other
        columns that not all have are left out, with a warning.
    """
    sets = [as_relion31(particles) for particles in sets]
    warnings = [text for particles in sets for text in particles.warnings]
    columns = _common_columns(sets, warnings)
    tables, optics = list[pd.DataFrame](), list[pd.DataFrame]()
    optics_index, stack_index, source_index = (list[NDArray[np.int32]]() for _ in range(3))
    stacks, sources = list[Path](), list[Path]()
    headers: list[MrcHeader] | None = []
    other: dict[str, Table] = {}
    names: set[str] = set()
    for particles in sets:
        first = sum(len(table) for table in optics)
        group = particles.optics.copy()
        group[GROUP] = text_series([str(first + i + 1) for i in range(len(group))], group.index)
        if GROUP_NAME in group:
            group[GROUP_NAME] = text_series(unique_names(group[GROUP_NAME].tolist(), names), group.index)
        optics.append(group)
        optics_index.append(particles.optics_index + np.int32(first))
        table = particles.particles[columns].copy(deep=False)
        table[GROUP] = text_series([str(i + 1) for i in optics_index[-1].tolist()], table.index)
        tables.append(table)
        stack_index.append(particles.stack_index + np.int32(len(stacks)))
        stacks += particles.stacks
        headers = None if headers is None or particles.headers is None else headers + particles.headers
        source_index.append(particles.source_index + np.int32(len(sources)))
        sources += particles.sources
        for name, block in particles.other_blocks.items():
            other[unique_names([name], set(other))[0]] = block
    return ParticleSet(
        None, pd.concat(tables, ignore_index=True), pd.concat(optics, ignore_index=True), other, "3.1", warnings,
        stacks, np.concatenate(stack_index), np.concatenate([p.frame for p in sets]), np.concatenate(optics_index),
        np.concatenate([p.pixel_size_angstrom for p in sets]), np.concatenate([p.box for p in sets]), headers, sources,
        np.concatenate(source_index), np.concatenate([p.source_row for p in sets]),
    )  # fmt: skip


def _with_image_size(particles: ParticleSet) -> pd.DataFrame:
    optics = particles.optics.copy(deep=False)
    if IMAGE_SIZE not in optics and len(particles) and (particles.box > 0).all():
        # A group without particles has no box of its own; any will do for RELION.
        box = np.full(len(optics), particles.box[0])
        box[particles.optics_index] = particles.box
        optics[IMAGE_SIZE] = text_series([str(v) for v in box.tolist()], optics.index)
    if DIMENSIONALITY not in optics:
        optics[DIMENSIONALITY] = text_series(["2"] * len(optics), optics.index)
    return optics


def _common_columns(sets: Sequence[ParticleSet], warnings: list[str]) -> list[str]:
    for what, tables in (("optics", [p.optics for p in sets]), ("particle", [p.particles for p in sets])):
        every = {label for table in tables for label in table}
        for particles, table in zip(sets, tables, strict=True):
            lacking = sorted(every - set(table.columns))
            grave = [
                label
                for label in lacking
                if what == "optics" or (label.startswith(_MATTERS) and label not in _ONLY_SAID)
            ]
            if grave:
                raise InputError(
                    f"cannot be joined with the other inputs: its {what} table has no {', '.join(grave)}",
                    path=particles.path, hint="run it on its own, or add the columns",
                )  # fmt: skip
            if lacking:
                left_out = f"{particles.path} has no {', '.join(lacking)}: left out of the joined table"
                warnings.append(left_out)
    return [label for label in sets[0].particles if all(label in p.particles for p in sets)]


def write_particles(path: str | os.PathLike[str], particles: ParticleSet) -> list[str]:
    """Write particles in the layout of RELION >= 3.1: optics, particles, then the other blocks of the input.

    Parameters
    ----------
    path
        The STAR file.
    particles
        What to write; cells that nobody changed go out as they came in.

    Returns
    -------
    list
        What RELION will miss, one warning for each: optics columns, stacks not called .mrcs.
    """
    particles = as_relion31(particles)
    if "optics" in particles.other_blocks or "particles" in particles.other_blocks:
        raise ValueError("other blocks must not be called optics or particles")
    name = particles.block_names[0]
    write_star(path, {"optics": particles.optics, name: particles.particles, **particles.other_blocks})
    return missing_for_relion(particles)


def missing_for_relion(particles: ParticleSet) -> list[str]:
    """List what RELION needs to read these particles and the input did not have."""
    said = []
    lacking = [label for label in NEEDED_BY_RELION if label not in particles.optics]
    lacking += [label for label in (IMAGE_NAME, GROUP) if label not in particles.particles]
    if lacking:
        said.append(f"RELION needs columns that the input does not have: {', '.join(lacking)}")
    stacks = split_image_names(particles.image_names()).stacks
    others = [stack for stack in stacks if not stack.endswith((".mrcs", ":mrcs"))]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        said.append(f"RELION reads stacks only from files called .mrcs: {others[0]}{more}")
    return said
