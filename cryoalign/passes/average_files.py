"""The files that hold averages: averages.mrcs and .star, both halves, and frc.star; the same for every command.

Classes without members have no image and no row; the others keep their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.frc import COMMON, INDEPENDENT, NO_RESOLUTION_ANGSTROM, ClassFrc
from cryoalign.io.columns import text_column, text_table
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import write_stack
from cryoalign.io.star import Loop, write_star, write_star_blocks
from cryoalign.runs.rundir import RunDirectory

AVERAGE_FILES = {
    "averages.mrcs, averages.star": "the average of each class",
    "averages_half1.mrcs, averages_half2.mrcs": "the averages of each half of its members, not filtered",
    "frc.star": "Fourier ring correlation of the halves, a block for each class",
}
"""What `write_average_files` writes, for the list of files in a report."""


def write_average_files(
    run: RunDirectory,
    averages: ClassAverages,
    *,
    class_numbers: ArrayLike,
    pixel_size_angstrom: float,
    extra_columns: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write averages.mrcs, averages.star, averages_half1.mrcs, averages_half2.mrcs and frc.star.

    Parameters
    ----------
    run
        The run directory.
    averages
        Of m classes.
    class_numbers
        rlnClassNumber of each class, shape (m,).
    pixel_size_angstrom
        Pixel size of the averages in A.
    extra_columns
        Further columns of averages.star, each of shape (m,).

    Raises
    ------
    ValueError
        If no class has members, or shapes do not fit.
    """
    numbers = np.asarray(class_numbers, dtype=np.int64)
    counts = np.asarray(averages.counts)
    if len(numbers) != len(counts):
        raise ValueError(f"{len(numbers)} class numbers for {len(counts)} classes")
    present = np.flatnonzero(counts > 0)
    if not len(present):
        raise ValueError("no class has members")
    shown = slice(None) if len(present) == len(counts) else present  # all of them need no copy
    write_stack(run.staged("averages.mrcs"), averages.averages[shown], pixel_size_angstrom)
    for half in (0, 1):
        write_stack(run.staged(f"averages_half{half + 1}.mrcs"), averages.halves[half][shown], pixel_size_angstrom)
    frc = [averages.frc[c] for c in present]
    if all(one is None for one in frc):
        run.warn(
            "no class has members in both halves: nothing is known of the averages' resolution, nor of their "
            "signal-to-noise ratio, which is taken to be 1 per image where they are filtered"
        )
    stack = name_from_here(run.path / "averages.mrcs")
    columns: dict[str, ArrayLike] = {
        "rlnReferenceImage": [image_name(i, stack) for i in range(len(present))],
        "rlnClassNumber": numbers[present],
        "rlnClassDistribution": counts[present] / counts.sum(),
        "cryoalignCount": counts[present].astype(np.int64),
        "rlnEstimatedResolution": [_resolution(f, "resolution_angstrom") for f in frc],
        "cryoalignResolutionAtHalf": [_resolution(f, "resolution_half_angstrom") for f in frc],
        "cryoalignFrcKind": [COMMON if f is None else f.kind for f in frc],
    }
    for label, values in (extra_columns or {}).items():
        cells = np.asarray(values)
        if len(cells) != len(counts):
            raise ValueError(f"{label} has {len(cells)} values for {len(counts)} classes")
        columns[label] = cells[present]
    columns["cryoalignQuality"] = np.asarray(averages.quality, np.float64)[present]
    columns["rlnImagePixelSize"] = np.full(len(present), pixel_size_angstrom)
    write_star(run.staged("averages.star"), {"averages": text_table(columns)})
    rings = _ring_columns(averages.averages.shape[-1], pixel_size_angstrom)
    write_star_blocks(run.staged("frc.star"), _frc_blocks(rings, numbers[present], frc))


def _frc_blocks(
    rings: Loop, numbers: NDArray[np.int64], frc: Sequence[ClassFrc | None]
) -> Iterator[tuple[str, Loop | pd.DataFrame]]:
    """Yield the blocks of frc.star, one in memory at a time."""
    noise: tuple[object, list[str]] = (None, [])
    found = False
    for number, one in zip(numbers.tolist(), frc, strict=True):
        if one is None:
            continue
        found = True
        if one.noise_curve is not noise[0]:  # classes share it
            noise = (one.noise_curve, text_column("cryoalignNoiseCurve", one.noise_curve))
        yield f"class_{number:06d}", rings | _frc_columns(one, noise[1])
    if not found:
        yield "class_none", text_table({"cryoalignRing": []})


def _ring_columns(box: int, pixel_size_angstrom: float) -> Loop:
    """Return what all blocks of frc.star have in common: a row for each ring 0 .. box // 2."""
    ring = np.arange(box // 2 + 1)
    frequency = ring / (box * pixel_size_angstrom)
    angstrom = np.full(len(ring), NO_RESOLUTION_ANGSTROM)
    angstrom[1:] = 1.0 / frequency[1:]
    columns = {"cryoalignRing": ring, "rlnResolution": frequency, "rlnAngstromResolution": angstrom}
    return {label: text_column(label, values) for label, values in columns.items()}


def _frc_columns(frc: ClassFrc, noise: list[str]) -> Loop:
    """Return the columns of one class, with the text of its noise curve."""
    shared, rings = frc.shared_ring + 1, len(frc.frc)
    return {
        "cryoalignFrc": text_column("cryoalignFrc", frc.frc),
        "cryoalignFrcKind": ([COMMON] * shared + [INDEPENDENT] * rings)[:rings],
        "cryoalignNoiseCurve": noise,
        "cryoalignSsnr": text_column("cryoalignSsnr", frc.ssnr),
    }


def class_scores(scores: NDArray[np.float64] | None, classes: NDArray[np.int64], n_classes: int) -> dict[str, NDArray]:
    """Return the column cryoalignScoreMean: the mean score of each class's members, none where there are no scores.

    Parameters
    ----------
    scores
        Shape (n,).
    classes
        0-based class of each score, shape (n,); negative = none.
    n_classes
        Number of classes.
    """
    if scores is None:
        return {}
    inside = classes >= 0
    total = np.bincount(classes[inside], scores[inside], minlength=n_classes)
    return {"cryoalignScoreMean": total / np.maximum(np.bincount(classes[inside], minlength=n_classes), 1)}


def _resolution(frc: ClassFrc | None, name: str) -> float:
    return NO_RESOLUTION_ANGSTROM if frc is None else float(getattr(frc, name))
