"""Optics groups: found in a RELION >= 3.1 file, built from the columns of an older one, matched to particles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import LARGEST_BOX, PIXEL_SIZES_ANGSTROM
from cryoalign.core.refusals import refuse
from cryoalign.io.columns import format_number, numbers, text_series, whole_numbers

GROUP, GROUP_NAME, PIXEL_SIZE = "rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize"
IMAGE_SIZE, DIMENSIONALITY = "rlnImageSize", "rlnImageDimensionality"
NEEDED_BY_RELION = (
    GROUP, GROUP_NAME, PIXEL_SIZE, "rlnVoltage", "rlnSphericalAberration", IMAGE_SIZE, DIMENSIONALITY,
)  # fmt: skip
MATRIX_LABELS = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
"""The magnification matrix, row by row."""
_PER_GROUP = (
    "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnBeamTiltX", "rlnBeamTiltY", *MATRIX_LABELS,
)  # fmt: skip


def group_of_particles(
    particles: pd.DataFrame, optics: pd.DataFrame, *, path: Path | None, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int32], list[str]]:
    """Return the optics row of each particle, and warnings.

    Raises
    ------
    InputError
        If a group number occurs twice in the optics table, or a particle names a group that is not in it.
    """
    if optics.empty:
        raise InputError("the optics table has no rows", path=path, kind="optics")
    if GROUP not in optics:
        raise InputError(f"the optics table has no {GROUP}", path=path, kind="optics")
    groups = whole_numbers(optics[GROUP], GROUP, path=path)
    known, first = np.unique(groups, return_index=True)
    if len(known) < len(groups):
        twice = next(int(g) for g in groups if (groups == g).sum() > 1)
        refuse(InputError("optics group defined twice", path=path, value=twice, kind="optics"))
    if GROUP not in particles:
        if len(groups) > 1:
            what = f"particles have no {GROUP}, but there are {len(groups)} optics groups"
            refuse(InputError(what, path=path, kind="optics"))
        return np.zeros(len(particles), np.int32), [f"{path}: particles have no {GROUP}; all are in group {groups[0]}"]
    wanted = whole_numbers(particles[GROUP], GROUP, path=path, rows=rows)
    position = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    unknown = np.flatnonzero(known[position] != wanted)
    if unknown.size:
        row = int(unknown[0])
        listed = ", ".join(str(g) for g in known[:10])
        refuse(InputError(
            f"{GROUP} is not in the optics table (groups: {listed})", path=path, row=int(rows[row]),
            value=int(wanted[row]), kind="optics",
        ))  # fmt: skip
    return first[position].astype(np.int32), []


def pixel_sizes_of_columns(particles: pd.DataFrame, *, path: Path | None, rows: NDArray[np.int64]) -> NDArray | None:
    """Return pixel sizes in A from the columns of the particle table, None where it has none.

    RELION 1.x to 3.0: 1e4 * rlnDetectorPixelSize (micrometres) / rlnMagnification.
    """
    for label in (PIXEL_SIZE, "rlnPixelSize"):
        if label in particles:
            return _pixel_sizes(numbers(particles[label], label, path=path, rows=rows), label, path, rows)
    if "rlnDetectorPixelSize" not in particles or "rlnMagnification" not in particles:
        return None
    detector, magnification = (
        _positive(numbers(particles[label], label, path=path, rows=rows), label, path, rows)
        for label in ("rlnDetectorPixelSize", "rlnMagnification")
    )
    # Six decimals, as they are written: magnifications are rounded numbers themselves.
    label = "the pixel size of rlnDetectorPixelSize and rlnMagnification"
    with np.errstate(over="ignore"):  # the result is looked at
        sizes = np.round(1e4 * detector / magnification, 6)
    return _pixel_sizes(sizes, label, path, rows)


def pixel_sizes_of_optics(optics: pd.DataFrame, *, path: Path | None) -> NDArray | None:
    """Return the pixel size in A of each optics row, None where the table has no such column."""
    if PIXEL_SIZE not in optics:
        return None
    rows = np.arange(1, len(optics) + 1)
    values = numbers(optics[PIXEL_SIZE], PIXEL_SIZE, path=path, what="in the optics table")
    return _pixel_sizes(values, f"{PIXEL_SIZE} in the optics table", path, rows)


def image_sizes(table: pd.DataFrame, *, path: Path | None) -> NDArray[np.int32]:
    """Return rlnImageSize of each row of a table that has it, in pixels; 0 = not known."""
    sizes = whole_numbers(table[IMAGE_SIZE], IMAGE_SIZE, path=path)
    bad = np.flatnonzero((sizes < 0) | (sizes > LARGEST_BOX))
    if bad.size:
        row = int(bad[0])
        what, value = f"{IMAGE_SIZE} is no box in pixels", int(sizes[row])
        refuse(InputError(what, path=path, row=row + 1, value=value, kind="box"))
        sizes[bad] = 0
    return sizes.astype(np.int32)


def build_optics(
    particles: pd.DataFrame, pixel_size: NDArray[np.float64], box: NDArray[np.int32]
) -> tuple[pd.DataFrame, NDArray[np.int32], list[str]]:
    """Build an optics table from per-particle columns: one group for each combination that occurs.

    Group numbers that the particles already carry are kept where each stands for one combination.

    Parameters
    ----------
    particles
        The table, cells as text.
    pixel_size
        Shape (n,), A.
    box
        Shape (n,), pixels; 0 where it is not known.

    Returns
    -------
    tuple
        The optics table, the optics row of each particle, warnings.
    """
    per_group = [label for label in _PER_GROUP if label in particles]
    given = [label for label in (GROUP, GROUP_NAME) if label in particles]
    # A key of plain columns; text stays as written, so that 300.0 and 300.000000 are two groups only if both occur.
    key = particles[[*given, *per_group]].copy()
    key["pixel"], key["box"] = np.round(pixel_size, 6), box
    index = key.groupby(list(key.columns), sort=False, dropna=False).ngroup().to_numpy().astype(np.int32)
    _, first = np.unique(index, return_index=True)
    chosen = key.iloc[first]
    count, warnings = len(first), []
    numbers_text = [str(i + 1) for i in range(count)]
    if GROUP in given:
        if chosen[GROUP].nunique() == count:
            numbers_text = chosen[GROUP].tolist()
        else:
            warnings.append(f"{GROUP} of the input stands for several microscope settings; groups are renumbered")
    names = chosen[GROUP_NAME].tolist() if GROUP_NAME in given else [f"opticsGroup{n}" for n in numbers_text]
    table = {GROUP: numbers_text, GROUP_NAME: unique_names(names)}
    table |= {label: chosen[label].tolist() for label in per_group}
    table[PIXEL_SIZE] = [format_number(v) for v in chosen["pixel"].tolist()]
    if (box > 0).all():
        table[IMAGE_SIZE] = [str(v) for v in chosen["box"].tolist()]
    table[DIMENSIONALITY] = ["2"] * count
    return pd.DataFrame({label: text_series(cells) for label, cells in table.items()}), index, warnings


def check_boxes(
    optics: pd.DataFrame, optics_index: NDArray, box: NDArray, stack_of_row: Callable[[int], str], *, path: Path | None
) -> None:
    """Refuse an optics group whose rlnImageSize contradicts its stacks, or whose stacks have several boxes."""
    sizes = image_sizes(optics, path=path) if IMAGE_SIZE in optics else None
    for group in np.unique(optics_index):
        rows = np.flatnonzero(optics_index == group)
        wanted = int(sizes[group]) if sizes is not None else int(box[rows[0]])
        wrong = rows[box[rows] != wanted]
        if wrong.size:
            name, found, stack = optics[GROUP].iloc[group], int(box[wrong[0]]), stack_of_row(int(wrong[0]))
            what = f"{IMAGE_SIZE} {wanted} of optics group {name} contradicts the {found} px box of {stack}"
            if sizes is None:
                what = f"optics group {name} holds images of {wanted} and {found} px ({stack})"
            hint = "the table belongs to other stacks"
            refuse(InputError(what, path=path, row=int(wrong[0]) + 1, hint=hint, kind="box"))


def unique_names(names: list[str], taken: set[str] | None = None) -> list[str]:
    """Return the names with _2, _3 ... added where they occur again."""
    taken = set() if taken is None else taken
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return unique


def _pixel_sizes(values: NDArray, label: str, path: Path | None, rows: NDArray) -> NDArray:
    low, high = PIXEL_SIZES_ANGSTROM
    values = _positive(values, label, path, rows)
    bad = np.flatnonzero((values < low) | (values > high))
    if bad.size:
        value, row = float(values[bad[0]]), int(rows[bad[0]])
        what = f"{label} is not from {low:g} to {high:g} A"
        refuse(InputError(what, path=path, row=row, value=value, kind="pixel-size"))
        return np.clip(values, low, high)
    return values


def _positive(values: NDArray, label: str, path: Path | None, rows: NDArray) -> NDArray:
    bad = np.flatnonzero(values <= 0)
    if bad.size:
        what, row, value = f"{label} must be above 0", int(rows[bad[0]]), float(values[bad[0]])
        refuse(InputError(what, path=path, row=row, value=value, kind="pixel-size"))
        return np.where(values > 0, values, 1.0)
    return values
