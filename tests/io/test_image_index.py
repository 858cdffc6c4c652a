"""Images found by name, however it is written."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.image_index import MISSING, TWICE, ImageIndex, other_images

NAMES = ["000001@A/p.mrcs", "000002@A/p.mrcs", "000001@B/p.mrcs", "3@./C//q.mrc:mrcs", "single.mrc"]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("1@A/p.mrcs", 0), ("0000000001@./A/p.mrcs", 0), ("2@A/../A/p.mrcs", 1), ("1@B//p.mrcs", 2),
        ("000003@C/q.mrc", 3), ("3@C/q.mrc:mrcs", 3), ("single.mrc", 4), ("1@single.mrc", 4),
        # From another folder: the longest end that one stack alone shares
        ("1@/old/project/B/p.mrcs", 2), ("2@X/A/p.mrcs", 1), ("3@/x/q.mrc", 3), ("3@q.mrc", 3),
        ("1@p.mrcs", MISSING), ("1@X/p.mrcs", MISSING), ("3@A/p.mrcs", MISSING), ("1@AA/q.mrcs", MISSING),
        ("A/p.mrcs", 0),
    ],
)  # fmt: skip
def test_names_of_one_image(name, row):
    assert ImageIndex(NAMES).rows_of([name]).tolist() == [row]


def test_an_image_that_is_there_twice():
    index = ImageIndex(["1@a.mrcs", "2@a.mrcs", "001@./a.mrcs"])
    assert index.rows_of(["000001@a.mrcs", "2@a.mrcs"]).tolist() == [TWICE, 1]


def test_a_name_that_is_none():
    with pytest.raises(InputError, match="row 2: image index is not a whole number"):
        ImageIndex(NAMES).rows_of(["1@A/p.mrcs", "x@A/p.mrcs"])


def test_lists_of_the_same_images():
    names = ["1@A/p.mrcs", "2@A/p.mrcs", "3@A/p.mrcs"]
    assert not len(other_images(names, ["000001@p.mrcs", "2@/x/p.mrcs", "03@A/./p.mrcs:mrcs"]))
    np.testing.assert_array_equal(other_images(names, ["1@A/q.mrcs", "2@A/p.mrcs", "4@A/p.mrcs"]), [0, 2])
