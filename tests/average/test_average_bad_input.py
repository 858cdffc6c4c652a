"""Input that cannot be averaged: exit status 1, one line that names file and row, and no result file."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from helpers.align import MARKERS, disc, results
from helpers.average import PARTICLES, average, set_cells


def refused(folder: Path, *words: object, said: tuple[str, ...]) -> str:
    """Hold that a run is refused in one line with all of ``said`` in it, and leaves no result; return the line."""
    ran = average(folder, *words, "-o", "out", status=1)
    assert len(ran.lines) == 1 and ran.errors == ran.lines, ran.lines
    for text in said:
        assert text in ran.lines[0]
    out = folder / "out"
    if out.exists():  # what wrote nothing leaves nothing
        assert results(out) == {} and not list(out.glob("*.html"))
        assert [name for name in MARKERS if (out / name).exists()] == ["RELION_JOB_EXIT_FAILURE"]
        assert "Traceback" not in (out / "run.log").read_text()
    return ran.lines[0]


def cells_with(few, label, row, value, default=0):
    """Put one value into a column."""
    from helpers.align import table

    cells = table(few.folder / PARTICLES)
    values = cells[label].tolist() if label in cells else [default] * len(cells)
    values[row - 1] = value
    set_cells(few.folder / PARTICLES, label, values)


def test_no_class_column(few):
    set_cells(few.folder / PARTICLES, "rlnClassNumber", None)
    refused(few.folder, PARTICLES, said=(PARTICLES, "rlnClassNumber", "--by", "--all"))


def test_a_bare_stack_has_no_classes(few):
    ran = average(few.folder, "particles.mrcs", "-o", "out", status=1)
    assert len(ran.errors) == 1 and not any("rlnAnglePsi" in line for line in ran.lines)
    assert "particles.mrcs: the input has no rlnClassNumber" in ran.errors[0] and "--all" in ran.errors[0]


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [
        ("rlnClassNumber", "1.5", "not a whole number"),
        ("rlnClassNumber", "first", "not a number"),
        ("rlnClassNumber", "-1", "below 1"),
        ("rlnClassNumber", "0", "below 1"),
        ("rlnAnglePsi", "nan", "not a number"),
        ("rlnOriginXAngst", "inf", "not a number"),
        ("rlnIsFlip", "2", "rlnIsFlip"),
        ("rlnRandomSubset", "3", "rlnRandomSubset"),
        ("rlnDefocusU", "nan", "rlnDefocusU"),
    ],
)
def test_a_cell_that_means_nothing(few, label, value, said):
    cells_with(few, label, 9, value, default=1)
    refused(few.folder, PARTICLES, said=(PARTICLES, "row 9", label, said, value))


def test_weights(few):
    cells_with(few, "w", 4, "-0.5", default=1)
    refused(few.folder, PARTICLES, "--weights", "w", said=(PARTICLES, "row 4", "negative", "-0.5"))
    set_cells(few.folder / PARTICLES, "w", np.zeros(260, int))
    refused(few.folder, PARTICLES, "--overwrite", "--weights", "w", said=("w", "all weights"))
    set_cells(few.folder / PARTICLES, "w", ["x"] * 260)
    refused(few.folder, PARTICLES, "--overwrite", "--weights", "w", said=("row 1", "not a number"))


@pytest.mark.parametrize("option", ["--by", "--weights"])
def test_a_column_that_is_not_there(few, option):
    line = refused(few.folder, PARTICLES, option, "rlnClasNumber", said=(option, "'rlnClasNumber'", "rlnClassNumber"))
    assert "rlnVoltage" not in line
    refused(few.folder, PARTICLES, "--overwrite", option, "_rlnDefocusu", said=("near it: rlnDefocusU",))
    refused(few.folder, PARTICLES, "--overwrite", option, "zzzzzz", said=("columns are", "rlnImageName"))


def test_classes_that_are_empty(few):
    refused(few.folder, PARTICLES, "--classes", "3,7-90", said=(PARTICLES, "--classes", "2 to 6"))


def test_a_bad_image(few):
    with mrcfile.mmap(few.folder / "particles.mrcs", "r+") as mrc:
        mrc.data[66, 3, 3] = np.nan
    refused(few.folder, PARTICLES, said=(PARTICLES, "row 67", "000067@particles.mrcs", "--on-bad-image skip"))
    refused(few.folder, PARTICLES, "--overwrite", "--robust", "median", said=("row 67", "NaN"))


def test_nothing_but_bad_images(few):
    with mrcfile.mmap(few.folder / "particles.mrcs", "r+") as mrc:
        mrc.data[:] = 1.0
    refused(few.folder, PARTICLES, "--on-bad-image", "skip", said=("no usable image",))


def test_a_class_whose_images_are_all_bad_has_no_average(few):
    from helpers.align import table

    with mrcfile.mmap(few.folder / "particles.mrcs", "r+") as mrc:
        mrc.data[few.numbers == 5] = 1.0
    average(few.folder, PARTICLES, "-o", "out", "--on-bad-image", "skip", "--variance", "--recenter", "--scale")
    assert table(few.folder / "out/averages.star", "averages")["rlnClassNumber"].tolist() == ["2", "6"]
    with mrcfile.open(few.folder / "out/variance_maps.mrcs") as mrc:
        assert len(mrc.data) == 2
    only = average(few.folder, PARTICLES, "-o", "o", "--on-bad-image", "skip", "--classes", "5", status=1)
    assert len(only.lines) == 1 and "no usable particle is left" in only.lines[0]


def test_independent_halves_need_halves(few):
    refused(few.folder, PARTICLES, "--independent-halves", said=(PARTICLES, "rlnRandomSubset"))


def test_a_shared_resolution_that_is_none(few):
    set_cells(few.folder / PARTICLES, "rlnRandomSubset", 1 + np.arange(260) % 2)
    cells_with(few, "cryoalignSharedResolution", 3, "-20", default=20)
    refused(few.folder, PARTICLES, said=("row 3", "cryoalignSharedResolution", "-20"))


def test_a_mask_without_a_background(few):
    refused(few.folder, PARTICLES, "--mask-diameter", 400, said=("mask", "background"))


@pytest.mark.parametrize("words", [(), ("--robust", "median")])
def test_a_background_that_cannot_be_normalised(few, words):
    """Particle 150 was masked before: it is named, not its place in a block."""
    with mrcfile.mmap(few.folder / "particles.mrcs", "r+") as mrc:
        mrc.data[149] *= disc(48, 15)
    refused(few.folder, PARTICLES, *words, said=(PARTICLES, "row 150:", "background"))


def test_members_that_are_not_there(few):
    refused(few.folder, PARTICLES, "--members", "gone.star", said=("gone.star",))
    (few.folder / "none.star").write_text("data_\n\nloop_\n_rlnMicrographName #1\na.mrc\n")
    refused(few.folder, PARTICLES, "--overwrite", "--members", "none.star", said=("none.star", "rlnImageName"))


def test_a_truncated_stack(few):
    with (few.folder / "particles.mrcs").open("r+b") as handle:
        handle.truncate(100_000)
    refused(few.folder, PARTICLES, said=("particles.mrcs", "truncated"))


def test_a_class_of_one_and_halves_that_are_empty(few):
    """Few members are no mistake: there is an average, and nothing is claimed of it."""
    from helpers.align import table

    cells = few.numbers.copy()
    cells[0] = 30
    set_cells(few.folder / PARTICLES, "rlnClassNumber", cells)
    for words in ([], ["--robust", "median"], ["--scale", "--variance", "--recenter"], ["--plain"]):
        average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--classes", "30", *words)
        rows = table(few.folder / "out/averages.star", "averages")
        assert rows["cryoalignCount"].tolist() == ["1"] and float(rows["rlnEstimatedResolution"][0]) == 999
        with mrcfile.open(few.folder / "out/averages.mrcs") as mrc:
            assert np.isfinite(mrc.data).all() and mrc.data.std() > 0
