"""Tables about classes: averages.star, RELION's model.star and class_averages.star, and what was chosen in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import whole_numbers
from cryoalign.io.paths import split_image_names
from cryoalign.io.star import read_star

REFERENCE, CLASS, SELECTED = "rlnReferenceImage", "rlnClassNumber", "rlnSelected"


@dataclass(frozen=True, eq=False)
class ClassTable:
    """One row for each class.

    Attributes
    ----------
    path
        The file.
    numbers
        1-based class number of each row, shape (m,).
    table
        All columns, cells as text.
    """

    path: Path
    numbers: NDArray[np.int64]
    table: pd.DataFrame


def read_class_table(path: Path | str) -> ClassTable:
    """Read the table with one row for each class.

    The class numbers are rlnClassNumber, else the image numbers of rlnReferenceImage, as RELION counts its classes.

    Raises
    ------
    InputError
        If there is no such table, its class numbers are unusable or occur twice.
    """
    star = read_star(path)
    name = star.block_with(REFERENCE)
    if name is None:
        raise InputError(f"no table with {REFERENCE}", path=path, hint="give an averages.star or a model.star")
    table = star.filled(name)
    numbers = _numbers_of(table, Path(path))
    known, first = np.unique(numbers, return_index=True)
    if len(known) < len(numbers):
        row = int(np.setdiff1d(np.arange(len(numbers)), first)[0])
        raise InputError("class occurs twice", path=path, row=row + 1, value=int(numbers[row]))
    return ClassTable(Path(path), numbers, table)


def read_chosen_classes(path: Path | str) -> NDArray[np.int64]:
    """Read which classes somebody chose, sorted.

    Parameters
    ----------
    path
        RELION's backup_selection.star (rlnSelected: row k is class k), or any table with rlnClassNumber (averages,
        particles), or a list of class averages with rlnReferenceImage.

    Raises
    ------
    InputError
        If the file lists no classes, or has lost their numbers: RELION's class_averages.star counts the chosen
        images anew where it recentred them.
    """
    path, star = Path(path), read_star(path)
    name = star.block_with(SELECTED)
    if name is not None:
        flags = whole_numbers(star.table(name)[SELECTED], SELECTED, path=path)
        chosen = np.flatnonzero(flags) + 1
        if not chosen.size:
            raise InputError("no class is selected", path=path)
        return chosen.astype(np.int64)
    name = star.block_with(CLASS) or star.block_with(REFERENCE)
    if name is None:
        raise InputError(f"lists no classes: no {SELECTED}, {CLASS} or {REFERENCE}", path=path)
    return np.unique(_numbers_of(star.filled(name), path))


def _numbers_of(table: pd.DataFrame, path: Path) -> NDArray[np.int64]:
    if CLASS in table:
        numbers = whole_numbers(table[CLASS], CLASS, path=path)
    else:
        names = split_image_names(table[REFERENCE].tolist(), path=path)
        if {Path(stack).stem for stack in names.stacks} == {path.stem}:
            raise InputError(
                "does not say which classes its images are of: their numbers count the images", path=path,
                value=table[REFERENCE].iloc[0],
                hint="give RELION's backup_selection.star or the model.star, or the numbers with --classes",
            )  # fmt: skip
        numbers = np.where(names.frame < 0, 1, names.frame + 1)
    bad = np.flatnonzero(numbers < 1)
    if bad.size:
        raise InputError("class numbers count from 1", path=path, row=int(bad[0]) + 1, value=int(numbers[bad[0]]))
    return numbers.astype(np.int64)
