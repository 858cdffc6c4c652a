"""Which half an image belongs to."""

import numpy as np
import pytest

from cryoalign.averaging.halves import assign_halves
from cryoalign.core.errors import InputError

NAMES = [f"{i + 1:06d}@Extract/job007/mic{i % 7}.mrcs" for i in range(4000)]


def test_halves_are_even_and_differ_between_neighbours():
    halves = assign_halves(NAMES)
    assert halves.dtype == np.int8
    assert set(halves) == {0, 1}
    assert abs(halves.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(NAMES))
    assert abs(np.corrcoef(halves[:-1], halves[1:])[0, 1]) < 4 / np.sqrt(len(NAMES))


def test_halves_are_the_same_everywhere():
    # Worked out once with `b2sum -l 8`: a change would shuffle the halves of every project.
    assert assign_halves(["12@stack.mrcs", "1@stack.mrcs", "2@stack.mrcs", "3@stack.mrcs"]).tolist() == [0, 0, 0, 1]


def test_neither_order_nor_folder_nor_padding_changes_a_half():
    expected = assign_halves(NAMES)
    order = np.random.default_rng(1).permutation(len(NAMES))
    np.testing.assert_array_equal(assign_halves([NAMES[i] for i in order]), expected[order])
    moved = [name.replace("Extract/job007/", "/elsewhere/").lstrip("0") for name in NAMES]
    np.testing.assert_array_equal(assign_halves(moved), expected)


def test_a_subset_rules():
    subset = np.random.default_rng(2).integers(1, 3, len(NAMES))
    np.testing.assert_array_equal(assign_halves(NAMES, subset=subset, tubes=["a"] * len(NAMES)), subset - 1)


def test_a_tube_stays_in_one_half():
    tubes = [f"mic{i // 40}/tube{i // 10 % 4}" for i in range(len(NAMES))]
    halves = assign_halves(NAMES, tubes=tubes).reshape(-1, 10)
    assert (halves == halves[:, :1]).all()
    assert abs(halves[:, 0].mean() - 0.5) < 4 * 0.5 / np.sqrt(len(halves))


@pytest.mark.parametrize("wrong", [0, 3, -1])
def test_another_subset_is_refused(wrong):
    with pytest.raises(InputError, match="1 or 2") as refused:
        assign_halves(NAMES[:4], subset=[1, 2, wrong, 1])
    assert "3" in str(refused.value)


def test_lengths_must_fit():
    with pytest.raises(ValueError, match="3 subsets for 4 images"):
        assign_halves(NAMES[:4], subset=[1, 2, 1])
    with pytest.raises(ValueError, match="1 tubes for 4 images"):
        assign_halves(NAMES[:4], tubes=["a"])


def test_single_image_files_and_no_images():
    assert len(assign_halves([])) == 0
    assert assign_halves(["a/one.mrc"]) == assign_halves(["b/one.mrc"])
