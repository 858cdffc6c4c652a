"""Passes without a run directory: images of arrays or tables in, parts that are gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.blas import one_blas_thread
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet
from cryoalign.passes.bad_rows import LOOK
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.part import prepared_tiles
from cryoalign.passes.prepare.plan import plan_preparation
from cryoalign.passes.prepare.prepared import FEWEST, Prepared
from cryoalign.passes.prepare.settings import ComparisonSettings
from cryoalign.passes.settings import ImageSettings
from cryoalign.runs.parts import PartRange, PartStore, plan_parts
from cryoalign.runs.work import Work, run_parts

S = TypeVar("S")
Images = NDArray[np.floating] | ParticleSet
"""Images as an array (n, L, L), or the particles of a table, whose images are read as they are needed."""
Progress = Callable[[int, int], None]
"""Told how many images are done, and how many there are."""
_PART_ROWS = 512


def settings_named(kind: type[S], given: dict[str, object], **fixed: object) -> S:
    """Return settings of a kind, of which some are fixed and cannot be given.

    Raises
    ------
    InputError
        If there is no setting of a name.
    """
    known = sorted({field.name for field in fields(kind)} - set(fixed))  # type: ignore[arg-type]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError("there is no such setting", value=unknown[0], hint=f"there are {', '.join(known)}")
    return kind(**given, **fixed)


@contextmanager
def opened(
    images: Images, settings: ImageSettings, pixel_size_angstrom: float, ctf: CtfParameters | None,
    warn: Callable[[str], None],
) -> Iterator[ParticleImages]:  # fmt: skip
    """Enter the images of an array or a table; for as long, packed stacks are unpacked and BLAS has one thread."""
    with ExitStack() as meanwhile:
        meanwhile.enter_context(one_blas_thread())
        if isinstance(images, ParticleSet):
            scratch = Path(meanwhile.enter_context(tempfile.TemporaryDirectory(prefix="cryoalign-")))
            yield ParticleImages.of(images, settings, scratch=scratch, warn=warn)
        else:
            yield ParticleImages.of_array(np.asarray(images), settings, pixel_size_angstrom, ctf)


@contextmanager
def in_parts(
    work: Work, rows: int, threads: int, progress: Progress | None
) -> Iterator[tuple[PartStore, list[PartRange]]]:
    """Do work in parts that are gone afterwards."""
    ranges, done = plan_parts(rows, _PART_ROWS), 0

    def count(part: PartRange) -> None:
        nonlocal done
        done += len(part)
        if progress is not None:
            progress(done, rows)

    with tempfile.TemporaryDirectory(prefix="cryoalign-") as folder:
        store = PartStore(Path(folder))
        run_parts(ranges, work, store, workers=threads, on_done=count)
        yield store, ranges


def prepared_images(settings: ComparisonSettings, source: ParticleImages, *, warn: Callable[[str], None]) -> Prepared:
    """Make images comparable, in memory.

    Raises
    ------
    InputError
        If there are too few to compare, or one cannot be used.
    """
    plan = plan_preparation(settings, source, warn=warn)
    look, digest = np.zeros(len(source), LOOK), np.zeros(len(source), np.uint64)
    images = np.concatenate([tile for _, tile in prepared_tiles(plan, 0, len(source), look, digest)])
    rows = np.flatnonzero(look["reason"] == 0)
    if len(rows) < FEWEST:
        raise InputError(f"only {len(rows)} usable images: neighbours need at least {FEWEST}")
    return Prepared(plan, images[rows], rows, look)
