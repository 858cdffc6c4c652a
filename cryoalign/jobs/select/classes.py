"""Which classes a selection keeps: by number, by somebody's choice, by size, by what a table says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.class_table import CLASS, ClassTable, read_chosen_classes, read_class_table
from cryoalign.jobs.select.expressions import Condition, unknown_column
from cryoalign.jobs.select.parameters import SelectParameters
from cryoalign.jobs.select.sieve import Sieve
from cryoalign.passes.class_lists import in_ranges, parse_classes

_SHOWN = 10


def apply_classes(p: SelectParameters, sieve: Sieve, table_path: Path | None, warn: Callable[[str], None]) -> None:
    """Apply all criteria on classes.

    Parameters
    ----------
    p, sieve
        The criteria, and the particles.
    table_path
        `SelectParameters.needed_class_table`.
    warn
        Takes what the user should know.

    Raises
    ------
    InputError
        If the particles have no classes, or a table cannot be used.
    """
    chosen = (p.classes, p.exclude_classes, p.classes_from, p.min_class_size)
    if table_path is None and all(one is None for one in chosen):
        return
    of_row = sieve.particles.whole_numbers(CLASS)
    if of_row is None:
        raise InputError(f"the particles have no {CLASS}", path=sieve.particles.path)
    sizes = dict(zip(*(values.tolist() for values in np.unique(of_row, return_counts=True)), strict=True))
    for option, text in (("--classes", p.classes), ("--exclude-classes", p.exclude_classes)):
        if text is None:
            continue
        ranges = parse_classes(text)
        absent = [first for first, last in ranges if first == last and first not in sizes]
        if absent:
            warn(f"{option}: no particle is of class {_some(absent)}")
        inside = in_ranges(of_row[sieve.left], ranges)
        sieve.keep(f"{option} {text.replace(' ', '')}", inside if option == "--classes" else ~inside)
    if p.classes_from is not None:
        numbers = read_chosen_classes(p.classes_from)
        absent = [number for number in numbers.tolist() if number not in sizes]
        if absent:
            warn(f"{p.classes_from}: no particle is of class {_some(absent)}")
        sieve.keep(f"--classes-from {p.classes_from.name}", np.isin(of_row[sieve.left], numbers))
    if p.min_class_size is not None:
        large = [number for number, size in sizes.items() if size >= p.min_class_size]
        sieve.keep(f"--min-class-size {p.min_class_size}", np.isin(of_row[sieve.left], large))
    if table_path is not None:
        _apply_table(p.class_conditions, sieve, of_row, read_class_table(table_path), warn)


def _apply_table(
    conditions: list[tuple[str, Condition]], sieve: Sieve, of_row: NDArray[np.int64], table: ClassTable,
    warn: Callable[[str], None],
) -> None:  # fmt: skip
    unknown = np.setdiff1d(of_row[sieve.left], table.numbers)
    if unknown.size:
        count = int(np.isin(of_row[sieve.left], unknown).sum())
        warn(f"{table.path} does not list class {_some(unknown.tolist())}: {count} particles removed")
    for name, condition in conditions:
        if condition.label not in table.table:
            raise unknown_column(condition.label, table.table.columns, table.path)
        try:
            good = table.numbers[condition.holds(table.table[condition.label])]
        except InputError as error:
            raise InputError(error.what, path=table.path, row=error.row, value=error.value, hint=error.hint) from None
        sieve.keep(name, np.isin(of_row[sieve.left], good))


def _some(numbers: list[int]) -> str:
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return ", ".join(map(str, numbers[:_SHOWN])) + more
