"""Who is averaged with whom: memberships from the particles' own columns or from a table of memberships.

A membership is one particle in one class with one pose; without ``--members`` every particle has one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.io.columns import numbers, whole_numbers
from cryoalign.io.particles import ParticleSet
from cryoalign.passes.average.member_table import CLASS, WEIGHT, MemberTable, read_member_table
from cryoalign.passes.average.settings import MembershipOptions
from cryoalign.passes.class_lists import in_ranges
from cryoalign.passes.halves import SHARED_RESOLUTION

SCORE = "cryoalignScore"


@dataclass(frozen=True, eq=False)
class Memberships:
    """k memberships in m classes.

    Parameters
    ----------
    particle
        0-based row of the particle, shape (k,).
    table_row
        0-based row of the table they came from, shape (k,): the members' where there is one, else the particles'.
    class_index
        0-based class, shape (k,).
    poses
        Pose of each, in pixels of the particle.
    weight
        Shape (k,); None where all are 1.
    score
        cryoalignScore of each; None where there is none.
    class_numbers
        rlnClassNumber of each class, shape (m,), ascending.
    class_names
        What the classes are called, where a column of words made them.
    table
        The table of memberships, where there is one.
    unweighted
        Memberships that were dropped because their weight is 0.
    shared_angstrom
        Down to this resolution in A the halves of classes share what chose their members; None where the memberships
        do not say.
    """

    particle: NDArray[np.int64]
    table_row: NDArray[np.int64]
    class_index: NDArray[np.int64]
    poses: Poses
    weight: NDArray[np.float64] | None
    score: NDArray[np.float64] | None
    class_numbers: NDArray[np.int64]
    class_names: list[str] | None
    table: MemberTable | None
    unweighted: int = 0
    shared_angstrom: float | None = None

    def __len__(self) -> int:
        """Count the memberships."""
        return len(self.particle)

    def take(self, chosen: NDArray) -> Memberships:
        """Return some memberships; the classes stay what they are."""
        names = ("particle", "table_row", "class_index", "weight", "score")
        columns = {name: column[chosen] for name in names if (column := getattr(self, name)) is not None}
        return replace(self, poses=self.poses.take(chosen), **columns)


def read_memberships(
    p: MembershipOptions, particles: ParticleSet, warn: Callable[[str], None], *, limit: int | None, weighted: bool
) -> Memberships:
    """Return the memberships that are to be averaged.

    Parameters
    ----------
    p, particles
        What was asked for, and the particles.
    warn
        Called with one sentence for each thing the user should know.
    limit
        Rows of the table of memberships to use at most.
    weighted
        Whether memberships that bring their weights are weighted by them.

    Raises
    ------
    InputError
        Where a column is missing or holds what cannot be meant, a name is not among the particles, or no membership
        is left.
    """
    if p.members is None:
        table, particle, poses = None, np.arange(len(particles)), particles.poses()
        convert = particles.whole_numbers, particles.numbers
        where: Path | None = particles.path
        columns = particles.particles
    else:
        needed = [] if p.one_class or p.by else [CLASS]
        table, particle = read_member_table(p.members, particles, needed)
        poses = table.poses
        convert = (lambda label: table.column(label, whole_numbers), lambda label: table.column(label, numbers))
        where, columns = table.file.path, table.table
    whole, real = convert
    class_index, class_numbers, names = _classes(p, columns, whole, where)
    weight, weight_label = None, p.weights
    if weight_label is None and table is not None and weighted and WEIGHT in columns:
        weight_label = WEIGHT  # memberships that bring their weights
    if weight_label is not None:
        if weight_label in columns:
            weight = _weights(weight_label, real(weight_label), particles if table is None else table)
        elif table is not None and weight_label in particles.particles:
            weight = _weights(weight_label, particles.numbers(weight_label), particles)[particle]
        else:
            raise _no_column("--weights", weight_label, columns, where)
    score = real(SCORE)
    if score is None and table is not None and (scores := particles.numbers(SCORE)) is not None:
        score = scores[particle]
    if table is None and particles.angles("rlnAnglePsi") is None:
        there = "rlnAnglePsi" in particles.particles
        unknown = "rlnAnglePsi is -999 in all rows, unknown" if there else "the input has no rlnAnglePsi"
        warn(f"{unknown}: images are averaged as they lie")
    every = Memberships(
        particle.astype(np.int64), np.arange(len(particle)), class_index, poses, weight, score, class_numbers, names,
        table, shared_angstrom=None if table is None else _shared_angstrom(table, real(SHARED_RESOLUTION)),
    )  # fmt: skip
    return _selected(p, every, where, limit)


def _selected(p: MembershipOptions, every: Memberships, where: Path | None, limit: int | None) -> Memberships:
    """Keep the classes that were asked for, and weights above 0; number the classes anew."""
    numbers = every.class_numbers
    chosen = (np.ones(len(numbers), bool) if p.classes is None else in_ranges(numbers, p.classes))[every.class_index]
    if p.members is not None and limit is not None:
        chosen[limit:] = False
    if not chosen.any():
        have = f"{every.class_numbers[0]} to {every.class_numbers[-1]}"
        raise InputError("no particle is in the classes of --classes", path=where, hint=f"class numbers are {have}")
    unweighted = 0
    if every.weight is not None:
        unweighted = int((chosen & (every.weight == 0)).sum())
        chosen &= every.weight > 0
        if not chosen.any():
            raise InputError(f"all weights in {p.weights or WEIGHT} are 0", path=where)
    used = np.unique(every.class_index[chosen])
    kept = every.take(chosen)
    names = None if every.class_names is None else [every.class_names[c] for c in used]
    return replace(
        kept, class_index=np.searchsorted(used, kept.class_index), class_numbers=every.class_numbers[used],
        class_names=names, unweighted=unweighted,
    )  # fmt: skip


def _classes(
    p: MembershipOptions, columns: pd.DataFrame, whole: Callable[[str], NDArray | None], where: Path | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str] | None]:
    """Return the class of each row (from 0), the classes' numbers, and their names where they have some."""
    if p.one_class:
        return np.zeros(len(columns), np.int64), np.ones(1, np.int64), None
    label = p.by or CLASS
    if label not in columns:
        if p.by is not None:
            raise _no_column("--by", label, columns, where)
        raise InputError(
            f"the input has no {CLASS}", path=where, hint="--by COLUMN takes another column, --all makes one class"
        )
    words = p.by is not None and pd.to_numeric(columns[label], errors="coerce").isna().any()
    if words:
        text, index = np.unique(np.asarray(columns[label].tolist(), dtype=object).astype(str), return_inverse=True)
        return index.reshape(-1).astype(np.int64), np.arange(1, len(text) + 1), text.tolist()
    values = whole(label)
    assert values is not None
    found, first, index = np.unique(values, return_index=True, return_inverse=True)
    if found[0] < 1:
        raise InputError(
            f"{label} is below 1", path=where, row=int(first[0]) + 1, value=int(found[0]), hint="classes count from 1"
        )
    return index.reshape(-1).astype(np.int64), found, None


def _no_column(option: str, label: str, columns: pd.DataFrame, where: Path | None) -> InputError:
    bare = label.removeprefix("_")
    near = difflib.get_close_matches(bare, [str(c) for c in columns], n=4, cutoff=0.5)
    near = [c for c in columns if c.lower() == bare.lower()] or near
    hint = f"near it: {', '.join(near)}" if near else f"columns are {', '.join(str(c) for c in columns)}"
    return InputError(f"there is no column for {option}", path=where, value=label, hint=hint)


def _shared_angstrom(table: MemberTable, shared: NDArray[np.float64] | None) -> float | None:
    """Return the finest resolution that halves of memberships share; None where the table does not say."""
    if shared is None:
        return None
    wrong = np.flatnonzero(~(shared > 0))
    if len(wrong):
        raise table.error(f"{SHARED_RESOLUTION} is no resolution in A", int(wrong[0]), float(shared[wrong[0]]))
    return float(shared.min())


def _weights(label: str, weight: NDArray[np.float64] | None, where: ParticleSet | MemberTable) -> NDArray[np.float64]:
    """Return a column of weights that is there; refuse negative ones."""
    assert weight is not None
    bad = np.flatnonzero(weight < 0)
    if not len(bad):
        return weight
    row, value = int(bad[0]), float(weight[bad[0]])
    what = f"{label} is negative: no weight"
    if isinstance(where, MemberTable):
        raise where.error(what, row, value)
    raise where.located(InputError(what, row=row + 1, value=value))
