"""Reference images from stacks and STAR lists."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.references import read_references


def test_stack_and_single_image(here, mrc_file, images):
    mrc_file(here / "refs.mrcs", images, voxel=3.5)
    found, pixel = read_references("refs.mrcs")
    assert (found.dtype, pixel) == (np.float32, 3.5)
    np.testing.assert_array_equal(found, images)
    mrc_file(here / "one.mrc", images[:1], mode=1, order=">")
    found, pixel = read_references("one.mrc")
    assert (found.shape, pixel) == ((1, 8, 8), 2.0)


@pytest.mark.parametrize("label", ["rlnReferenceImage", "rlnImageName"])
def test_list_of_images(here, mrc_file, star_file, images, label):
    (here / "sub").mkdir()
    mrc_file(here / "sub" / "a.mrcs", images)
    mrc_file(here / "b.mrc", images[:1])
    rows = [["000003@a.mrcs", 0], ["b.mrc", 0], ["1@a.mrcs", 0]]
    star_file(here / "sub" / "refs.star", [label, "rlnClassDistribution"], rows, block="model_classes")
    found, pixel = read_references(here / "sub" / "refs.star")
    np.testing.assert_array_equal(found, images[[2, 0, 0]])
    assert pixel == 2.0


def test_model_star_of_relion(here, mrc_file, images):
    mrc_file(here / "run_classes.mrcs", images, voxel=1.0)
    (here / "run_model.star").write_text(
        "data_model_general\n\n_rlnPixelSize 1.77\n\ndata_model_classes\n\nloop_\n_rlnReferenceImage #1\n"
        "000002@run_classes.mrcs\n000001@run_classes.mrcs\n"
    )
    found, pixel = read_references("run_model.star")
    np.testing.assert_array_equal(found, images[[1, 0]])
    assert pixel == 1.77


def test_pixel_size_that_is_given_or_assumed(here, mrc_file, images):
    mrc_file(here / "a.mrcs", images, voxel=3.5)
    assert read_references("a.mrcs", angpix=2.5)[1] == 2.5
    assert read_references("a.mrcs", default_angpix=2.5)[1] == 3.5
    for voxel in (0.0, 1.0, float("nan")):
        mrc_file(here / "a.mrcs", images, voxel=voxel)
        assert read_references("a.mrcs", default_angpix=2.5)[1] == 2.5
        with pytest.raises(InputError, match=r"a\.mrcs: references have no pixel size"):
            read_references("a.mrcs")


def test_unusable_references(here, mrc_file, star_file, images):
    mrc_file(here / "v.mrc", np.ones((8, 8, 8)), ispg=1)
    with pytest.raises(InputError, match=r"v\.mrc: is a 3-D map"):
        read_references("v.mrc")
    mrc_file(here / "a.mrcs", images)
    mrc_file(here / "b.mrcs", images[:, :4, :4])
    star_file(here / "refs.star", ["rlnReferenceImage", "x"], [["1@a.mrcs", 0], ["1@b.mrcs", 0]])
    with pytest.raises(InputError, match=r"refs\.star: references must be square and of one size \('4 x 4, 8 x 8'\)"):
        read_references("refs.star")
    star_file(here / "refs.star", ["rlnMicrographName", "x"], [["a", 0]])
    with pytest.raises(InputError, match=r"refs\.star: no table with rlnReferenceImage or rlnImageName"):
        read_references("refs.star")
    images[1, 0, 0] = np.nan
    mrc_file(here / "a.mrcs", images)
    with pytest.raises(InputError, match=r"a\.mrcs, row 2: reference is unusable: 1 pixels are NaN"):
        read_references("a.mrcs")
