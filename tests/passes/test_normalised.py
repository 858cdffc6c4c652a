"""Images as passes see them: normalised by their own background, and judged by that of their stack."""

import numpy as np
import pytest

from cryoalign.core.masks import background_region, soft_disc
from cryoalign.core.source import ArraySource
from cryoalign.passes.bad_rows import CONSTANT_BACKGROUND, REASONS, STANDS_OUT, WHERE_IT_STANDS_OUT
from cryoalign.passes.normalised import NormalisedSource

BOX, MASK = 32, 25.0


def stack(n=200, seed=1, signal=0.5):
    """Particles of SNR 0.1 or so with the spread of deviations and levels that micrographs have."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, BOX, BOX)) + signal * soft_disc(BOX, 14)
    return images * rng.lognormal(0, 0.1, (n, 1, 1)) + rng.normal(0, 0.3, (n, 1, 1))


def look_at(images, **options):
    source = NormalisedSource(ArraySource(images), MASK, **options)
    return source.look(images.astype(np.float32))


def test_a_stack_of_its_kind_has_no_faults():
    images, look = look_at(stack())
    assert not look["reason"].any() and not look["stands_out"].any() and not look["hot_pixels"].any()
    assert np.abs(images[:, background_region(BOX, MASK)].std(axis=1) - 1).max() < 0.05


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda image: 30 * image, 0),
        (lambda image: image / 30, 0),
        (lambda image: image + 40, 1),
        (lambda image: image - 40, 1),
        (lambda image: image + 60 * soft_disc(BOX, 6, 4), 2),
    ],
)
def test_an_odd_image_is_told_by_what_is_odd_and_used_all_the_same(spoil, where):
    images = stack()
    images[77] = spoil(images[77])
    found, look = look_at(images)
    assert np.flatnonzero(look["stands_out"]).tolist() == [77]
    assert look["stands_out"][77] == where + 1
    assert look["z"][77] > 8 > np.delete(look["z"], 77).max()
    assert not look["reason"].any()
    assert found[77][background_region(BOX, MASK)].std() == pytest.approx(1, abs=0.05)
    _, skipping = look_at(images, skip=True)
    assert np.flatnonzero(skipping["reason"]).tolist() == [77]
    assert WHERE_IT_STANDS_OUT[where] in REASONS[int(skipping["reason"][77])]
    assert skipping["reason"][77] == STANDS_OUT + where


def test_odd_images_do_not_hide_each_other():
    images = stack()
    odd = np.arange(0, 200, 3)  # a third of them, and one far beyond the others
    images[odd] *= 20
    images[odd[0]] *= 1e6
    _, look = look_at(images)
    assert np.flatnonzero(look["stands_out"]).tolist() == odd.tolist()


def test_two_populations_are_no_fault():
    images = stack()
    images[::2] = 10 * images[::2] + 300
    assert not look_at(images)[1]["stands_out"].any()


def test_images_that_cannot_be_used_are_told_why():
    images = stack()
    images[3], images[5, 2, 2], images[8, 16, 16] = 7.0, np.nan, np.inf
    images[9][background_region(BOX, MASK)] = 0.0
    found, look = look_at(images)
    assert {n: REASONS[int(code)] for n, code in enumerate(look["reason"]) if code} == {
        3: "constant image", 5: "NaN or infinite", 8: "NaN or infinite", 9: REASONS[CONSTANT_BACKGROUND],
    }  # fmt: skip
    np.testing.assert_array_equal(found[9], images[9].astype(np.float32))


def test_hot_pixels_are_counted_and_mended():
    images = stack()
    images[4, 3, 3] = images[4, 20, 9] = 1e4
    images[6, 10, 10] = -1e6
    found, look = look_at(images)
    assert {n: int(count) for n, count in enumerate(look["hot_pixels"]) if count} == {4: 2, 6: 1}
    assert np.abs(found).max() < 8
    assert not look["stands_out"].any()


def test_images_without_noise_are_read_as_they_are():
    images = 5 * soft_disc(BOX, 14)[None] * np.arange(1, 41)[:, None, None] + 1e-3
    found, look = look_at(images)
    np.testing.assert_array_equal(found, images.astype(np.float32))
    assert not look["reason"].any()
    masked = stack(40) * soft_disc(BOX, 20, 3)
    np.testing.assert_array_equal(look_at(masked)[0], masked.astype(np.float32))


def test_a_mask_without_a_background_leaves_images_as_they_are():
    images = stack(20)
    source = NormalisedSource(ArraySource(images), 60.0)
    np.testing.assert_array_equal(source.read(np.arange(20)), images.astype(np.float32))


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_read_alike_in_any_blocks_by_any_number_of_threads(threads):
    images = stack(150)
    images[3, 3, 3] = 1e5
    whole = NormalisedSource(ArraySource(images), MASK).read(np.arange(150))
    source = NormalisedSource(ArraySource(images), MASK, threads=threads)
    some = np.array([149, 3, 70, 3])
    np.testing.assert_array_equal(source.read(some), whole[some])
    assert len(source) == 150 and source.box == BOX
