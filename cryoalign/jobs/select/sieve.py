"""The rows that are left after each criterion, and by which criterion the others went."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.select.expressions import cell_numbers, unknown_column


class Sieve:
    """Particles, and for each the first criterion that removed it.

    Attributes
    ----------
    particles
        All of them.
    names
        The criteria so far, in the order they were applied.
    """

    def __init__(self, particles: ParticleSet) -> None:
        self.particles = particles
        self.names: list[str] = []
        self._removed_by = np.zeros(len(particles), np.int32)

    @property
    def left(self) -> NDArray[np.int64]:
        """Rows that no criterion has removed, ascending."""
        return np.flatnonzero(self._removed_by == 0)

    @property
    def gone(self) -> NDArray[np.int64]:
        """Rows that were removed, ascending."""
        return np.flatnonzero(self._removed_by)

    def keep(self, name: str, keep: ArrayLike) -> None:
        """Apply a criterion: which of the rows that are left may stay, bool of the shape of `left`."""
        keep = np.asarray(keep, dtype=np.bool_)
        self.names.append(name)
        self._removed_by[self.left[~keep]] = len(self.names)

    def reasons(self, rows: NDArray[np.int64]) -> list[str]:
        """Return for removed rows the criterion that removed each."""
        return [self.names[code - 1] for code in self._removed_by[rows].tolist()]

    def counts(self) -> list[tuple[str, int]]:
        """Return each criterion and how many rows it removed, in order."""
        found = np.bincount(self._removed_by, minlength=len(self.names) + 1)[1:]
        return list(zip(self.names, found.tolist(), strict=True))

    def cells(self, label: str) -> pd.Series:
        """Return the cells of a column of the rows that are left: of the particles, else of their optics groups.

        Raises
        ------
        InputError
            If there is no such column; it names near ones.
        """
        particles, optics = self.particles.particles, self.particles.optics
        if label in particles:
            return particles[label].iloc[self.left]
        if label in optics:
            return optics[label].iloc[self.particles.optics_index[self.left]]
        raise unknown_column(label, [*particles.columns, *optics.columns], self.particles.path)

    def numbers(self, label: str) -> NDArray[np.float64]:
        """Return a column of the rows that are left as float64; cells may be NaN or infinite.

        Raises
        ------
        InputError
            If there is no such column, or a cell is no number.
        """
        cells = self.cells(label)
        values, bad = cell_numbers(cells)
        if bad.size:
            first = int(bad[0])
            raise self.located(InputError(f"{label} is not a number", row=first + 1, value=str(cells.iloc[first])))
        return values

    def located(self, error: InputError) -> InputError:
        """Return an error about a 1-based place among the rows left as one about the row of the input file."""
        if error.row is None:
            return error
        row = int(self.left[error.row - 1]) + 1
        return self.particles.located(InputError(error.what, row=row, value=error.value, hint=error.hint))
