"""What must not matter to the search: units, levels, neighbours, threads; and inputs that hold nothing."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.search.search import Searcher, plan_search
from helpers.blobs import Blobs, degrees_apart, random_blobs, random_poses
from helpers.searching import noisy, particle, search_all, settings, single, white


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


# Invariance


@pytest.fixture(scope="module")
def noisy_set():
    """A searcher with three references and a tile of noisy images."""
    box = 64
    rng = np.random.default_rng(83)
    models = [random_blobs(rng, 18.0) for _ in range(3)]
    poses = random_poses(rng, 64, 4.0)
    clean = np.concatenate([models[i % 3].images(box, *(p[i] for p in poses)) for i in range(64)])
    images, variance = noisy(rng, clean, 0.3)
    references = single(np.concatenate([m.images(box) for m in models]))
    return references, images, variance


def same_bytes(one, two, rows=slice(None), other_rows=None):
    other_rows = rows if other_rows is None else other_rows
    for name in one:
        assert one[name][rows].tobytes() == two[name][other_rows].tobytes(), name


@pytest.mark.parametrize("factor", [1e-3, 0.3, 250.0])
def test_the_unit_of_the_images_does_not_matter(noisy_set, factor):
    references, images, variance = noisy_set
    plan = plan_search(references, white(64, variance), settings(64))
    scaled = plan_search(references, white(64, variance * factor**2), settings(64))
    one = search_all(Searcher(plan), images)
    two = search_all(Searcher(scaled), single(images * np.float32(factor)))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    np.testing.assert_allclose(degrees_apart(one["psi"], two["psi"]), 0.0, atol=1e-3)
    np.testing.assert_allclose(one["dx"], two["dx"], atol=1e-3)
    np.testing.assert_allclose(two["scale"], one["scale"] * factor, rtol=1e-4)
    np.testing.assert_allclose(two["psi_error_deg"], one["psi_error_deg"], rtol=1e-3)
    np.testing.assert_allclose(two["score"], one["score"], atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_the_contrast_of_an_image_does_not_matter(noisy_set, factor):
    """With the noise taken to be the same, only how far a climb goes on changes: by a tenth of the error at most."""
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    one, two = search_all(searcher, images), search_all(searcher, single(images * np.float32(factor)))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    assert (np.abs(degrees_apart(one["psi"], two["psi"])) < 0.1 * one["psi_error_deg"]).all()
    assert (np.hypot(one["dx"] - two["dx"], one["dy"] - two["dy"]) < 0.1 * one["shift_error_px"]).all()
    np.testing.assert_allclose(two["score"], one["score"], atol=1e-3)


def test_a_constant_added_to_the_images_does_not_matter(noisy_set):
    """Ring 0 is not searched; a level leaks into the first rings only by the transform's own error."""
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    one, two = search_all(searcher, images), search_all(searcher, images + np.float32(0.2))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    assert np.median(np.abs(degrees_apart(one["psi"], two["psi"])) / one["psi_error_deg"]) < 0.05


def test_a_row_has_the_same_bytes_whatever_its_neighbours(noisy_set):
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    whole = search_all(searcher, images)
    rng = np.random.default_rng(84)
    others = images.copy()
    keep = np.sort(rng.permutation(64)[:20])
    rest = np.setdiff1d(np.arange(64), keep)
    others[rest] = rng.standard_normal((len(rest), 64, 64)) * 30
    same_bytes(search_all(searcher, others), whole, keep)
    # A shorter tile, and a tile with rows left out (which may hold anything).
    same_bytes(search_all(searcher, images[:37]), whole, slice(0, 37), slice(0, 37))
    valid = np.isin(np.arange(64), keep)
    others[rest[0]] = np.nan
    skipped = search_all(searcher, others, valid=valid)
    same_bytes(skipped, whole, keep)
    for name in ("score", "margin", "scale", "psi"):
        assert not skipped[name][rest].any()


def test_two_threads_get_the_same_bytes(noisy_set):
    references, images, variance = noisy_set
    plan = plan_search(references, white(64, variance), settings(64, mirror=True))
    sets = [images, single(images[::-1]), single(images * 0.5), single(np.roll(images, 2, axis=2))]
    alone = [search_all(Searcher(plan), s) for s in sets]

    def work(index):
        searcher = Searcher(plan)
        return [search_all(searcher, sets[index]) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for repeats, expected in zip(pool.map(work, range(4)), alone, strict=True):
            for found in repeats:
                same_bytes(found, expected)


# Odd inputs


def test_an_image_that_correlates_nowhere_gets_no_pose():
    """Negative contrast of a round particle: every cell is below zero."""
    box = 64
    ball = Blobs(np.zeros(1), np.zeros(1), np.array([6.0]), np.array([1.0]))
    searcher = Searcher(plan_search(single(ball.images(box)), white(box), settings(box, max_shift_px=1.0)))
    found = search_all(searcher, single(-ball.images(box)))
    assert found["score"][0] == 0.0
    assert found["margin"][0] == 0.0
    assert found["psi_error_deg"][0] == 180.0
    assert found["shift_error_px"][0] == box


def test_empty_images_and_empty_references_do_no_harm():
    box = 64
    blobs = particle(box)
    references = single(np.stack([np.zeros((box, box)), blobs.image(box)]))
    images = single(np.stack([np.zeros((box, box)), blobs.image(box, psi=33.0), np.full((box, box), 5.0)]))
    found = search_all(Searcher(plan_search(references, white(box), settings(box))), images)
    for name in found:
        assert np.isfinite(found[name]).all(), name
    assert found["reference"][1] == 1
    assert found["psi"][1] == pytest.approx(33.0, abs=0.01)
    assert found["score"][0] == 0.0
