"""Input that cannot be used: exit status 1, one line that names file and row, and no result file."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from helpers.align import (
    MARKERS,
    align,
    angle_difference,
    numbers,
    optics,
    read_mrcs,
    results,
    rms,
    run,
    star,
    table,
    write_mrcs,
)

PARTICLES, STACK, REFERENCE = "sim/particles.star", "sim/particles.mrcs", "sim/references.mrcs"
BASIC = f"{PARTICLES} --reference {REFERENCE} -o out"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


def refused(folder: Path, words: str, *said: str, status: int = 1, out: str = "out") -> str:
    """Run align, hold that it refuses in one line with all of ``said`` in it, and leaves no result; return the line."""
    ran = align(folder, *words.split(), status=status)
    assert len(ran.lines) == 1 and ran.errors == ran.lines, ran.lines
    for text in said:
        assert text in ran.lines[0]
    run_folder = folder / out
    if run_folder.exists():
        assert results(run_folder) == {}
        assert not list(run_folder.glob("*.html")) and not list(run_folder.glob("*.png"))
        assert [name for name in MARKERS if (run_folder / name).exists()] == ["RELION_JOB_EXIT_FAILURE"]
        assert "Traceback" not in (run_folder / "run.log").read_text()
        assert ran.lines[0].removeprefix("Error: ") in (run_folder / "run.log").read_text()
    return ran.lines[0]


def edit(path: Path, change: Callable[[list[str]], None]) -> None:
    """Change the lines of a text file."""
    lines = path.read_text().split("\n")
    change(lines)
    path.write_text("\n".join(lines))


def line_of_row(path: Path, row: int) -> int:
    """Return the 0-based line of a 1-based particle row."""
    lines = path.read_text().split("\n")
    return next(i for i, line in enumerate(lines) if re.match(rf"\s*0*{row}@", line))


def edit_row(folder: Path, row: int, change: Callable[[str], str]) -> None:
    """Change the text of one particle row."""
    path = folder / PARTICLES
    at = line_of_row(path, row)
    edit(path, lambda lines: lines.__setitem__(at, change(lines[at])))


def set_cell(folder: Path, label: str, row: int, value: str) -> None:
    """Change one cell of the particles, or all of a new column's neighbours to 0."""
    blocks = {name: table(folder / PARTICLES, name) for name in ("optics", "particles")}
    particles = blocks["particles"]
    if label not in particles:
        particles[label] = "0"
    particles.loc[row - 1, label] = value
    star(folder / PARTICLES, **{name: block.to_dict("list") for name, block in blocks.items()})


def spoil_images(folder: Path, changes: dict[int, float | None], stack: str = STACK) -> None:
    """Fill 1-based images with a value, or put one NaN into them where it is None."""
    with mrcfile.mmap(folder / stack, mode="r+", permissive=True) as mrc:
        for row, value in changes.items():
            if value is None:
                mrc.data[row - 1, 3, 4] = np.nan
            else:
                mrc.data[row - 1] = value


# ---- stacks --------------------------------------------------------------------------------------------------------


def test_the_input_before_it_is_spoiled_is_fine(small):
    ran = align(small, *BASIC.split())
    assert ran.lines == []
    assert [name for name in MARKERS if (small / "out" / name).exists()] == ["RELION_JOB_EXIT_SUCCESS"]


@pytest.mark.parametrize("missing_bytes", [1, 32 * 32 * 4 * 3])
def test_truncated_stack(small, missing_bytes):
    path = small / STACK
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size - missing_bytes)
    refused(small, BASIC, STACK, "truncated", "of 70 images are whole")


def test_truncated_packed_stack(small):
    packed = gzip.compress((small / STACK).read_bytes())
    (small / f"{STACK}.gz").write_bytes(packed[: len(packed) // 2])
    text = (small / PARTICLES).read_text().replace("particles.mrcs", "particles.mrcs.gz")
    (small / PARTICLES).write_text(text)
    refused(small, BASIC, f"{STACK}.gz")


@pytest.mark.parametrize("name", [STACK, REFERENCE])
def test_git_lfs_pointer_instead_of_a_stack(small, name):
    (small / name).write_text(LFS)
    refused(small, BASIC, name, "git lfs pull")


def test_git_lfs_pointer_instead_of_a_table(small):
    (small / PARTICLES).write_text(LFS)
    refused(small, BASIC, PARTICLES, "git lfs pull")


def test_missing_stacks_are_named_all_at_once(small):
    for row, name in ((3, "gone_1.mrcs"), (4, "gone_2.mrcs"), (9, "gone_1.mrcs"), (70, "gone_3.mrcs")):
        edit_row(small, row, lambda line, name=name: line.replace("sim/particles.mrcs", f"elsewhere/{name}"))
    line = refused(small, BASIC, PARTICLES, "3 stacks not found", "--datadir")
    assert line.count("gone_1.mrcs") == line.count("gone_2.mrcs") == line.count("gone_3.mrcs") == 1


def test_empty_stack_file(small):
    (small / STACK).write_bytes(b"")
    refused(small, BASIC, STACK, "empty file")


def test_nan_pixels(small):
    spoil_images(small, {66: None})
    refused(small, BASIC, PARTICLES, "row 66", "000066@sim/particles.mrcs", "NaN", "--on-bad-image skip")


def test_infinite_pixels(small):
    with mrcfile.mmap(small / STACK, mode="r+") as mrc:
        mrc.data[1, 0, 0] = np.inf
    refused(small, BASIC, PARTICLES, "row 2", "infinite")


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_constant_image(small, value):
    spoil_images(small, {12: value})
    refused(small, BASIC, PARTICLES, "row 12", "000012@sim/particles.mrcs", "constant")


def test_one_of_several_bad_images_is_named(small):
    spoil_images(small, {69: 0.0, 12: None, 30: 1.0})
    refused(small, f"{BASIC} --block-size 64", "row 12")
    # Threads work on rows 1-64 and 65-70 at the same time: either may be the first to stop the run.
    line = refused(small, f"{BASIC}2 -j 2 --block-size 64", PARTICLES, out="out2")
    assert "row 12:" in line or "row 69:" in line


# ---- names and numbers in the table --------------------------------------------------------------------------------


def test_index_zero(small):
    edit_row(small, 5, lambda line: line.replace("000005@", "000000@"))
    refused(small, BASIC, PARTICLES, "row 5", "000000@sim/particles.mrcs")


def test_index_past_the_end(small):
    edit_row(small, 7, lambda line: line.replace("000007@", "000071@"))
    refused(small, BASIC, PARTICLES, "row 7", "000071@sim/particles.mrcs", "70 images")


def test_box_against_the_optics_table(small):
    edit(small / PARTICLES, lambda lines: lines.__setitem__(slice(None), [re.sub(r"\b32\b", "30", s) for s in lines]))
    refused(small, BASIC, PARTICLES, "rlnImageSize 30", "32 px", "row 1")


def test_unknown_optics_group(small):
    set_cell(small, "rlnOpticsGroup", 8, "4")
    refused(small, BASIC, PARTICLES, "row 8", "rlnOpticsGroup", "(4)")


@pytest.mark.parametrize("label", ["rlnOriginXAngst", "rlnDefocusU", "rlnDefocusAngle"])
@pytest.mark.parametrize("value", ["abc", "nan", "inf"])
def test_what_is_no_number(small, label, value):
    set_cell(small, label, 9, value)
    refused(small, BASIC, PARTICLES, "row 9", label, f"'{value}'")


@pytest.mark.parametrize("label", ["rlnAnglePsiPrior", "rlnAnglePsi"])
@pytest.mark.parametrize("value", ["abc", "nan"])
def test_priors_that_are_no_numbers(small, label, value):
    set_cell(small, label, 64, value)
    refused(small, f"{BASIC} --local 10", PARTICLES, "row 64", label, f"'{value}'")


def test_local_without_any_prior(small):
    columns = table(small / PARTICLES).drop(columns="rlnAnglePsi")
    groups = table(small / PARTICLES, "optics")
    star(small / PARTICLES, optics=groups.to_dict("list"), particles=columns.to_dict("list"))
    refused(small, f"{BASIC} --local 10", PARTICLES, "rlnAnglePsiPrior")


@pytest.mark.parametrize(("value", "said"), [("0", "above 0"), ("-4", "above 0"), ("abc", "'abc'"), ("nan", "'nan'")])
def test_no_usable_pixel_size_in_the_optics_table(small, value, said):
    text = (small / PARTICLES).read_text()
    groups, particles = (table(small / PARTICLES, name) for name in ("optics", "particles"))
    groups["rlnImagePixelSize"] = value
    star(small / PARTICLES, optics=groups.to_dict("list"), particles=particles.to_dict("list"))
    assert (small / PARTICLES).read_text() != text
    refused(small, BASIC, PARTICLES, "rlnImagePixelSize", said)


@pytest.mark.parametrize("voxel", [0.0, 1.0])
def test_no_pixel_size_in_a_bare_stack(small, voxel):
    with mrcfile.open(small / STACK, "r+") as mrc:
        mrc.voxel_size = voxel
    refused(small, f"{STACK} --reference {REFERENCE} -o out", STACK, "no pixel size", "--angpix")


def test_no_pixel_size_in_an_old_table(small):
    with mrcfile.open(small / STACK, "r+") as mrc:
        mrc.voxel_size = 1.0
    star(small / PARTICLES, **{"": {"rlnImageName": [f"{i + 1:06d}@{STACK}" for i in range(70)]}})
    refused(small, BASIC, PARTICLES, "no pixel size", "--angpix")


# ---- the text of the table -----------------------------------------------------------------------------------------


def test_blank_line_inside_a_loop(small):
    at = line_of_row(small / PARTICLES, 33)
    edit(small / PARTICLES, lambda lines: lines.insert(at, ""))
    refused(small, BASIC, f"{PARTICLES}:{at + 1}:", "blank line")


@pytest.mark.parametrize(
    ("change", "kind"), [(lambda s: s.rsplit(maxsplit=1)[0], "short"), (lambda s: s + " 7", "long")]
)
def test_short_and_long_rows(small, change, kind):
    at = line_of_row(small / PARTICLES, 20)
    edit_row(small, 20, change)
    refused(small, BASIC, f"{PARTICLES}:{at + 1}:", f"{kind} row", "columns")


def test_a_file_cut_off_within_a_row(small):
    text = (small / PARTICLES).read_text()
    at = line_of_row(small / PARTICLES, 60)
    (small / PARTICLES).write_text("\n".join(text.split("\n")[: at + 1])[:-40])
    refused(small, BASIC, f"{PARTICLES}:{at + 1}:", "short row")


def test_empty_table(small):
    at = line_of_row(small / PARTICLES, 1)
    edit(small / PARTICLES, lambda lines: lines.__delitem__(slice(at, None)))
    refused(small, BASIC, PARTICLES, "empty table")


@pytest.mark.parametrize("text", ["", "nothing\n", "_rlnImageName #1\n000001@sim/particles.mrcs\n"])
def test_no_table_at_all(small, text):
    (small / PARTICLES).write_text(text)
    refused(small, BASIC, PARTICLES)


def test_an_mrc_file_named_star(small):
    shutil.copy(small / STACK, small / PARTICLES)
    refused(small, BASIC, PARTICLES, "is an MRC file")


def test_a_table_without_images(small):
    star(small / PARTICLES, optics=optics(32, 4.0), particles={"rlnMicrographName": ["a.mrc", "b.mrc"]})
    refused(small, BASIC, PARTICLES, "rlnImageName")


def test_missing_table(small):
    refused(small, BASIC.replace("particles.star", "gone.star"), "sim/gone.star")


# ---- references and options ----------------------------------------------------------------------------------------


def test_box_against_the_reference(small):
    write_mrcs(small / "other.mrcs", np.random.default_rng(1).normal(size=(1, 30, 30)).astype(np.float32), 4.0)
    words = f"{PARTICLES} --reference other.mrcs -o out"
    refused(small, words, "other.mrcs", "30 px", "32 px", "--resize-reference")
    align(small, *words.split(), "--resize-reference", "--overwrite", "--limit", 10)


def test_pixel_size_against_the_reference(small):
    write_mrcs(small / "other.mrcs", read_mrcs(small / REFERENCE), 3.0)
    refused(small, f"{PARTICLES} --reference other.mrcs -o out", "other.mrcs", "3 A", "4 A", "--resize-reference")


def test_unusable_reference(small):
    images = np.repeat(read_mrcs(small / REFERENCE), 3, axis=0)
    write_mrcs(small / REFERENCE, images, 4.0)
    spoil_images(small, {2: None}, REFERENCE)
    refused(small, BASIC, REFERENCE, "row 2", "NaN")


def test_a_blank_reference_is_left_out_and_the_others_keep_their_numbers(small):
    images = np.repeat(read_mrcs(small / REFERENCE), 3, axis=0)
    write_mrcs(small / REFERENCE, images, 4.0)
    spoil_images(small, {2: 2.0}, REFERENCE)
    ran = align(small, *BASIC.split())
    assert any("1 of 3 references are blank and left out (2)" in line for line in ran.lines)
    assert set(table(small / "out/particles.star")["rlnClassNumber"]) <= {"1", "3"}


def test_missing_reference(small):
    refused(small, f"{PARTICLES} --reference sim/gone.mrcs -o out", "sim/gone.mrcs")


def test_a_map_is_no_reference(small):
    with mrcfile.new(small / "map.mrc", data=np.random.default_rng(1).normal(size=(32, 32, 32)).astype(np.float32)):
        pass
    refused(small, f"{PARTICLES} --reference map.mrc -o out", "map.mrc", "3-D map")


def test_mask_diameter_larger_than_the_box(small):
    line = refused(small, f"{BASIC} --mask-diameter 400", "mask")
    assert "400" in line or "100 px" in line


@pytest.mark.parametrize("words", ["--mask-diameter -5", "--max-shift -1", "--local 0", "--angpix 0", "-j 0"])
def test_options_without_sense_are_usage_errors(small, words):
    ran = run(small, "align", *BASIC.split(), *words.split())
    assert ran.status == 2 and len(ran.errors) == 1 and words.split()[0] in ran.errors[0]
    assert not (small / "out").exists()


# ---- bad images that are left out ----------------------------------------------------------------------------------


def test_bad_images_are_left_out_when_told_to(small, small_set):
    bad = {1: None, 12: 0.0, 64: 2.0, 65: None}
    spoil_images(small, bad)
    ran = align(small, *BASIC.split(), "--on-bad-image", "skip")
    assert not ran.errors
    out = small / "out"
    kept, skipped = table(out / "particles.star"), table(out / "skipped.star")
    names = [f"{i + 1:06d}@{STACK}" for i in range(70)]
    assert kept["rlnImageName"].tolist() == [n for i, n in enumerate(names, 1) if i not in bad]
    assert skipped["rlnImageName"].tolist() == [names[i - 1] for i in bad]
    reasons = skipped["cryoalignReason"].tolist()
    assert ["NaN" in reason for reason in reasons] == [True, False, False, True]
    assert ["constant" in reason for reason in reasons] == [False, True, True, False]
    # What is left is aligned as if nothing had been wrong.
    align(small_set, *BASIC.split(), "--overwrite")
    labels = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    good = np.array([i not in bad for i in range(1, 71)])
    whole = [column[good] for column in numbers(small_set / "out/particles.star", *labels)]
    psi, x, y = numbers(out / "particles.star", *labels)
    assert rms(angle_difference(psi, whole[0])) < 0.5 and rms(x - whole[1]) < 0.4 and rms(y - whole[2]) < 0.4
    assert np.isfinite(read_mrcs(out / "averages.mrcs")).all()
    # The aligned stack's table names finite images that vary.
    aligned = table(out / "aligned.star")
    assert len(aligned) == 66
    images = read_mrcs(out / "aligned.mrcs")
    named = images[[int(name.split("@")[0]) - 1 for name in aligned["rlnImageName"]]]
    assert np.isfinite(images).all() and named.std(axis=(1, 2)).min() > 0.5
    assert np.corrcoef(named.mean(axis=0).ravel(), read_mrcs(out / "averages.mrcs")[0].ravel())[0, 1] > 0.7


def test_when_every_image_is_bad(small):
    spoil_images(small, dict.fromkeys(range(1, 71), 0.0))
    refused(small, f"{BASIC} --on-bad-image skip", "no usable")
