"""Every bad input ends in one line that names the file and the row or line."""

import gzip

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.particles import read_particles
from cryoalign.io.references import read_references
from cryoalign.io.stacks import StackSource, bad_images
from cryoalign.passes.bad_rows import unusable_image


def use(paths=("particles.star",), **options):
    """Read a table with its stacks, poses, CTF and pixels, as a command does."""
    particles = read_particles(list(paths), **options)
    particles.poses()
    particles.psi_prior()
    particles.random_subset()
    read_ctf(particles)
    source = StackSource(particles)
    for row, reason in bad_images(source.read(np.arange(len(particles)))):
        raise unusable_image(particles, row, reason)


def message_of(*args, **options):
    with pytest.raises(InputError) as caught:
        use(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit(project, old, new, count=1):
    path = project / "particles.star"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def line_of(project, part):
    lines = (project / "particles.star").read_text().split("\n")
    return next(number for number, line in enumerate(lines, 1) if part in line)


def test_good_input_passes(project):
    use()


def test_truncated_stack(project, mrc_file, images):
    mrc_file(project / "stack.mrcs", images, cut=100)
    assert message_of().startswith("stack.mrcs: truncated: 2460 bytes where the header needs 2560 (5 of 6 images")


def test_index_zero(project):
    edit(project, "000003@", "000000@")
    assert message_of().startswith("particles.star, row 3: image index is not a whole number from 1 up")


def test_index_past_the_end(project):
    edit(project, "000004@", "000007@")
    found = message_of()
    assert found.startswith("particles.star, row 4: image index past the end of the stack (6 images in stack.mrcs)")
    assert "'000007@stack.mrcs'" in found


def test_missing_stacks_all_at_once(project):
    edit(project, "000002@stack.mrcs", "000002@gone.mrcs")
    edit(project, "000005@stack.mrcs", "000005@sub/lost.mrcs")
    assert message_of().startswith("particles.star: 2 stacks not found: gone.mrcs, sub/lost.mrcs;")


def test_nan_pixels(project, mrc_file, images):
    images[2, 1, 1] = np.nan
    mrc_file(project / "stack.mrcs", images)
    assert message_of().startswith(
        "particles.star, row 3: this image cannot be used: 1 pixels are NaN or infinite ('000003@stack.mrcs')"
    )


def test_constant_image(project, mrc_file, images):
    images[5] = 0
    mrc_file(project / "stack.mrcs", images)
    assert message_of().startswith(
        "particles.star, row 6: this image cannot be used: constant image (all pixels 0) ('000006@stack.mrcs')"
    )


def test_box_against_image_size(project, mrc_file, images):
    mrc_file(project / "stack.mrcs", images[:, :4, :4])
    found = message_of()
    assert found.startswith(
        "particles.star, row 1: rlnImageSize 8 of optics group 1 contradicts the 4 px box of stack.mrcs"
    )


def test_two_boxes_in_one_group(project, mrc_file, images):
    mrc_file(project / "small.mrcs", images[:, :4, :4])
    edit(project, "000002@stack.mrcs", "000002@small.mrcs")
    edit(project, "_rlnImageSize", "_other")
    assert message_of().startswith("particles.star, row 2: optics group 1 holds images of 8 and 4 px (small.mrcs)")


def test_images_that_are_not_square(project, mrc_file, images):
    mrc_file(project / "stack.mrcs", images[:, :4])
    assert message_of().startswith("stack.mrcs: images are not square ('8 x 4')")


def test_blank_line_inside_the_loop(project):
    line = line_of(project, "000004@")
    edit(project, "000004@", "\n000004@")
    assert message_of().startswith(f"particles.star:{line}: blank line inside the table data_particles")


def test_short_row(project):
    line = line_of(project, "000004@")
    edit(project, "30.500000 ", "")
    assert message_of().startswith(f"particles.star:{line}: short row: 5 values where data_particles has 6 columns")


def test_long_row(project):
    line = line_of(project, "000004@")
    edit(project, "30.500000 ", "30.500000 1 ")
    assert message_of().startswith(f"particles.star:{line}: long row: 7 values where data_particles has 6 columns")


def test_unknown_optics_group(project):
    edit(project, "-4.000000 1 10003", "-4.000000 9 10003")
    assert message_of().startswith("particles.star, row 4: rlnOpticsGroup is not in the optics table (groups: 1) (9)")


def test_optics_group_that_is_no_number(project):
    edit(project, "-4.000000 1 10003", "-4.000000 one 10003")
    assert message_of().startswith("particles.star, row 4: rlnOpticsGroup is not a number ('one')")


def test_optics_group_defined_twice(here, mrc_file, images):
    mrc_file(here / "a.mrcs", images)
    (here / "particles.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n1 2.0\n1 3.0\n\n"
        "data_particles\n\nloop_\n_rlnImageName\n_rlnOpticsGroup\n1@a.mrcs 1\n"
    )
    assert message_of().startswith("particles.star: optics group defined twice (1)")


@pytest.mark.parametrize("block", ["data_particles", "data_"])
def test_empty_table(here, block):
    (here / "particles.star").write_text(f"\n{block}\n\nloop_\n_rlnImageName #1\n_rlnAnglePsi #2\n\n")
    assert message_of().startswith(f"particles.star:2: empty table: {block} has no rows")


def test_nothing_but_an_empty_block(here):
    (here / "particles.star").write_text("data_\n\n")
    assert message_of().startswith("particles.star:1: empty table")


def test_empty_optics_table(project):
    edit(project, "1 grid1 2.000000 300 2.7 0.1 8 2\n", "")
    assert message_of().startswith("particles.star: the optics table has no rows")


def test_file_without_a_header(here):
    (here / "particles.star").write_text("000001@a.mrcs 1 2\n000002@a.mrcs 1 2\n")
    assert message_of().startswith("particles.star:1: no table: no line starts with 'data_'")


def test_labels_without_a_block(here):
    (here / "particles.star").write_text("loop_\n_rlnImageName #1\n000001@a.mrcs\n")
    assert message_of().startswith("particles.star:1: label outside of any block")


def test_table_without_images(here):
    (here / "particles.star").write_text("data_micrographs\n\nloop_\n_rlnMicrographName\na.mrc\n")
    assert message_of().startswith("particles.star: no table with rlnImageName")


def test_several_particle_tables(here):
    block = "data_{}\n\nloop_\n_rlnImageName\n1@a.mrcs\n\n"
    (here / "particles.star").write_text(block.format("a") + block.format("b"))
    assert "data_a (line 1), data_b (line 7)" in message_of()


def test_mrc_named_star(project):
    (project / "stack.mrcs").rename(project / "stack.star")
    assert message_of(["stack.star"]).startswith("stack.star: is an MRC file, not a STAR file")


@pytest.mark.parametrize("name", ["particles.star", "stack.mrcs"])
def test_lfs_pointer(project, name):
    (project / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2560\n")
    assert message_of().startswith(f"{name}: is a Git LFS pointer, not the data")


def test_no_pixel_size(here, mrc_file, star_file, images):
    mrc_file(here / "stack.mrcs", images, voxel=0.0)
    star_file(here / "particles.star", ["rlnImageName", "rlnAnglePsi"], [["1@stack.mrcs", 0]])
    for voxel in (0.0, 1.0, float("nan"), 1e-5):
        mrc_file(here / "stack.mrcs", images, voxel=voxel)
        for path in ("particles.star", "stack.mrcs"):
            found = message_of([path])
            assert found.startswith(f"{path}: no pixel size")
            assert "--angpix" in found
    use(angpix=2.0)


@pytest.mark.parametrize("value", ["0", "-1.5"])
def test_pixel_size_that_is_none(project, value):
    edit(project, "2.000000 300", f"{value} 300")
    assert message_of().startswith("particles.star, row 1: rlnImagePixelSize in the optics table must be above 0")


@pytest.mark.parametrize("value", ["nan", "None", "inf", '""', "12,5"])
def test_prior_that_is_no_number(project, value):
    edit(project, "30.500000", value)
    value = value.strip('"')
    assert message_of().startswith(f"particles.star, row 4: rlnAnglePsi is not a number ('{value}')")


NUMBERS = [
    "rlnAnglePsi", "rlnAnglePsiPrior", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginX", "rlnOriginY", "rlnDefocusU",
    "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor", "rlnRandomSubset",
    "rlnIsFlip",
]  # fmt: skip


@pytest.mark.parametrize("label", NUMBERS)
def test_other_numbers(project, star_file, optics, label):
    labels = ["rlnImageName", "rlnOpticsGroup", *(["rlnDefocusU"] if label != "rlnDefocusU" else []), label]
    some = [10000 if name in ("rlnDefocusU", "rlnDefocusV") else 1 for name in labels[2:]]
    rows = [[f"{i + 1}@stack.mrcs", 1, *some] for i in range(3)]
    star_file(project / "particles.star", labels, rows, optics=optics)
    use()
    rows[2][-1] = "NaN"
    star_file(project / "particles.star", labels, rows, optics=optics)
    assert message_of().startswith(f"particles.star, row 3: {label} is not a number ('NaN')")


def test_voltage_that_is_no_number(project):
    edit(project, "2.000000 300", "2.000000 nan")
    assert message_of().startswith("particles.star, row 1: rlnVoltage in the optics table is not a number ('nan')")


def test_reference_past_the_end_and_constant(project, star_file, mrc_file, images):
    star_file(project / "refs.star", ["rlnReferenceImage", "a"], [["1@stack.mrcs", 0], ["9@stack.mrcs", 0]])
    with pytest.raises(InputError, match=r"refs\.star, row 2: image index past the end of the stack \(6 images"):
        read_references("refs.star")
    images[3] = 1
    mrc_file(project / "stack.mrcs", images)
    with pytest.raises(InputError, match=r"stack\.mrcs, row 4: reference is unusable: constant image"):
        read_references("stack.mrcs")


def test_packed_star(project):
    (project / "particles.star").write_bytes(gzip.compress((project / "particles.star").read_bytes()))
    assert message_of().startswith("particles.star: is a gzip file, not a STAR file")


def test_a_bad_image_is_named_by_its_row_in_the_file(project):
    particles = read_particles(["particles.star"]).take([3, 1])
    message = str(unusable_image(particles, 1, "1 pixels are NaN or infinite"))
    assert message.startswith("particles.star, row 2: ")
    assert "1 pixels are NaN" in message and "'000002@stack.mrcs'" in message
