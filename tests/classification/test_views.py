"""Views that get an average: apart from each other, over all of the sphere, the best first, junk last."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.views import choose_views, coherence, default_count, given_views, mutual_graph
from cryoalign.core.errors import InputError


def sphere(
    n: int, k: int, *, seed: int = 0, junk: float = 0.0, mirrors: bool = True
) -> tuple[Classification, np.ndarray]:
    """Classify n even views: neighbours by angle, modulo mirrors; a share of junk has random ones and poor quality."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(n, 3))
    views /= np.linalg.norm(views, axis=1)[:, None]
    cosine = views @ views.T
    cosine = np.abs(cosine) if mirrors else cosine
    bad = rng.random(n) < junk
    cosine[bad] = rng.random((int(bad.sum()), n))
    cosine[np.ix_(~bad, bad)] = -1.0
    np.fill_diagonal(cosine, -2.0)
    index = np.argsort(-cosine, axis=1, kind="stable")[:, :k].astype(np.int32)
    score = np.take_along_axis(cosine, index, 1).astype(np.float32)
    zeros = np.zeros((n, k), np.float32)
    lists = NeighbourLists(index, score, zeros, np.zeros((n, k), bool), np.zeros((n, k, 2), np.float32))
    # Quality of good images scatters: some are worse than others, all better than junk.
    quality = np.where(bad, rng.uniform(0, 0.2, n), rng.uniform(0.3, 1, n)).astype(np.float32)
    made = Classification(
        lists, zeros, zeros + 1, zeros, np.zeros((n, 2), np.float32), lists, views.astype(np.float32), quality, 0.0,
        SignalTest(9.0, 0.5, True), 1, {},
    )  # fmt: skip
    return made, np.where(bad[:, None], np.nan, views)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between views in degrees, mirrored ones alike."""
    return np.rad2deg(np.arccos(np.clip(np.abs(a @ b.T), 0, 1)))


def test_views_are_apart_cover_the_sphere_and_come_best_first():
    made, views = sphere(3000, 50)
    chosen = choose_views(made)
    assert len(chosen) == 60 == default_count(3000)
    assert (np.diff(coherence(made.neighbours)[chosen]) <= 0).all()
    between = angles(views[chosen], views[chosen])
    np.fill_diagonal(between, 180)
    # 60 caps on half a sphere, hexagonally packed, lie 19.8 degrees apart; at random, 60 have a pair within 2.
    assert between.min() > 8
    nearest = angles(views, views[chosen]).min(axis=1)
    assert np.percentile(nearest, 95) < 18
    assert nearest.max() < 25


def test_views_and_their_mirror_images_count_as_one():
    made, views = sphere(2000, 40, seed=1)
    chosen = choose_views(made, 40)
    direct = np.rad2deg(np.arccos(np.clip(views[chosen] @ views[chosen].T, -1, 1)))
    assert (direct[np.triu_indices(40, 1)] < 170).all()


def test_junk_is_chosen_only_when_nothing_else_is_left():
    made, views = sphere(2000, 40, seed=2, junk=0.2)
    chosen = choose_views(made, 40)
    assert np.isfinite(views[chosen]).all()
    # A fifth of junk, whose neighbours lie anywhere, must not join what is far apart.
    good = views[np.isfinite(views[:, 0])]
    assert angles(good, views[chosen]).min(axis=1).max() < 32
    everything = choose_views(made, 2000)
    assert len(everything) == 2000
    junk = np.isnan(views[everything, 0])
    assert not junk[: int((~junk).sum())].any()


@pytest.mark.parametrize("k", [5, 20, 50])
def test_views_of_junk_are_not_coherent(k):
    made, views = sphere(1000, k, seed=4, junk=0.2)
    score = coherence(made.neighbours)
    junk = np.isnan(views[:, 0])
    assert 0 <= score.min() < score.max() <= 1
    # Of all pairs of a good image and a bad one, nearly all stand in the right order.
    assert np.mean(score[~junk][:, None] > score[junk]) > 0.99
    np.testing.assert_allclose(
        score[7],
        np.mean(
            [len(set(made.neighbours.index[7]) & set(made.neighbours.index[j])) / k for j in made.neighbours.index[7]]
        ),
    )


def test_where_images_are_many_views_are_many():
    """Two thirds of the images crowd in one cap: they get more than their share of the sphere."""
    rng = np.random.default_rng(3)
    made, views = sphere(1500, 30, seed=3)
    crowd = rng.normal(size=(1500, 3)) * 0.15 + [0, 0, 1]
    crowd = np.where((rng.random(1500) < 0.66)[:, None], crowd / np.linalg.norm(crowd, axis=1)[:, None], views)
    cosine = np.abs(crowd @ crowd.T)
    np.fill_diagonal(cosine, -2)
    index = np.argsort(-cosine, axis=1)[:, :30].astype(np.int32)
    lists = NeighbourLists(index, *(getattr(made.neighbours, n) for n in ("score", "angle_deg", "mirror", "shift_px")))
    chosen = choose_views(Classification(**{**vars(made), "neighbours": lists}), 30)
    inside = np.abs(crowd[chosen] @ [0, 0, 1]) > 0.9
    assert 9 <= inside.sum() <= 24


def test_only_edges_that_both_list_join_views():
    index = np.array([[1, 2], [0, 3], [3, -1], [0, 1]], np.int32)
    lists = NeighbourLists(
        index, np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32), np.zeros((4, 2), bool),
        np.zeros((4, 2, 2), np.float32),
    )  # fmt: skip
    found = mutual_graph(lists).toarray()
    wanted = np.zeros((4, 4))
    wanted[0, 1] = wanted[1, 0] = 1.0
    wanted[1, 3] = wanted[3, 1] = np.sqrt(2)
    np.testing.assert_allclose(found, wanted)


def test_of_the_views_that_are_asked_for_some_cover_the_others():
    made, views = sphere(3000, 50, seed=5)
    asked = np.arange(300)
    chosen = choose_views(made, 60, among=asked)
    assert len(chosen) == 60 and np.isin(chosen, asked).all() and len(np.unique(chosen)) == 60
    assert angles(views[asked], views[chosen]).min(axis=1).max() < 25


def test_views_with_too_few_neighbours_are_left_out():
    made, _ = sphere(200, 10)
    made.neighbours.index[:150, 4:] = -1
    assert (choose_views(made, 20, min_class_size=5) >= 150).all()
    assert (given_views(made, [3, 170, 160], min_class_size=5) == [170, 160]).all()
    with pytest.raises(InputError, match=r"neighbours.*11"):
        choose_views(made, min_class_size=11)


def test_rows_that_do_not_exist_are_refused():
    made, _ = sphere(60, 5)
    assert (given_views(made, None) == np.arange(60)).all()
    with pytest.raises(InputError, match=r"60 images.*61"):
        given_views(made, [0, 60])


@pytest.mark.parametrize(("n", "count"), [(30, 1), (1000, 20), (3000, 60), (100_000, 100)])
def test_how_many_views_where_nobody_says(n, count):
    assert default_count(n) == count
