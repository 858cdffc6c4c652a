"""The sheet of references beside averages."""

from __future__ import annotations

import io

import numpy as np
import pytest

from cryoalign.report import gallery
from cryoalign.report.figures import grey_levels, resize
from cryoalign.report.montage import draw_montage, plan_sheet
from helpers.quality_samples import with_curves


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.rint(imread(io.BytesIO(png)) * 255).astype(np.uint8)


@pytest.mark.parametrize("per_class", [1, 2, 3])
@pytest.mark.parametrize("pairs", [1, 2, 3, 5, 7, 12, 20, 21, 50, 60, 61, 100, 300])
def test_every_class_has_a_place_of_its_own_on_the_sheet(pairs, per_class):
    plan = plan_sheet(pairs, per_class)
    width = per_class * (plan.tile + 4) - 4
    assert plan.columns * plan.rows >= pairs > plan.columns * (plan.rows - 1)
    assert plan.width <= 2450
    taken = np.zeros((plan.height, plan.width), int)
    for index in range(pairs):
        x, y = plan.corner(index)
        # Pictures and the two lines of text below them.
        assert x + width <= plan.width
        assert y + plan.tile + 40 <= plan.height
        taken[y : y + plan.tile + 40, x : x + width] += 1
    assert taken.max() == 1


@pytest.mark.parametrize(("pairs", "box"), [(1, 31), (4, 32), (23, 200)])
def test_pictures_are_where_they_belong_row_0_on_top(pairs, box):
    rng = np.random.default_rng(pairs)
    references = rng.random((pairs, box, box)).astype(np.float32)
    averages = [None if index == 1 else image for index, image in enumerate(rng.random((pairs, box, box)))]
    labels = [(f"Class {i + 1}", "text") for i in range(pairs)]
    png = draw_montage(
        [((a, "reference"), (b, "no average")) for a, b in zip(references, averages, strict=True)],
        labels,
        heading="Title",
        legend="",
        pixel_size_angstrom=2.0,
    )
    sheet, plan = pixels(png), plan_sheet(pairs)
    assert sheet.shape == (plan.height, plan.width)
    above = slice(0, int(0.9 * plan.tile))  # the scale bar is below
    for index in range(pairs):
        x, y = plan.corner(index)
        for image, left in ((references[index], x), (averages[index], x + plan.tile + 4)):
            found = sheet[y : y + plan.tile, left : left + plan.tile]
            if image is None:
                assert 0 < np.mean(found < 200) < 0.1  # words on a pale ground
            else:
                assert np.array_equal(found[above], grey_levels(resize(image, plan.tile))[above])
    x, y = plan.corner(0)
    assert np.any(sheet[y + plan.tile : y + plan.tile + 40, x : x + 2 * plan.tile] < 120)


def test_scale_bar_has_the_length_the_heading_says():
    box, pixel_size = 100, 3.0  # 300 A wide: the bar is 100 A
    flat = np.zeros((1, box, box), np.float32)
    sheet = pixels(
        draw_montage(
            [((flat[0], ""), (flat[0], ""))], [("a", "b")], heading="", legend="", pixel_size_angstrom=pixel_size
        )
    )
    plan = plan_sheet(1)
    x, y = plan.corner(0)
    tile = sheet[y : y + plan.tile, x : x + plan.tile]
    bar = np.flatnonzero((tile == 255).any(axis=0))
    assert len(bar) == round(plan.tile * 100 / 300)
    assert np.all(np.diff(bar) == 1)


def test_a_sheet_shows_all_classes_or_the_400_largest(monkeypatch):
    drawn = []
    monkeypatch.setattr(gallery, "draw_montage", lambda *given, **words: drawn.append((given, words["legend"])))

    def sheet(members):
        members = dict(enumerate(members, start=1))
        blank = np.zeros((8, 8))
        entries = [gallery.GalleryEntry(number, [(blank, "average")]) for number in members]
        gallery.class_sheet(with_curves({}, members, box=8), entries, "Title", "Legend.")
        (_, labels), legend = drawn.pop()
        return [label[0] for label in labels], legend

    assert sheet([3, 9, 1]) == (["Class 1: 3", "Class 2: 9", "Class 3: 1"], "Legend.")
    assert len(sheet(range(1, 401))[0]) == 400
    labels, words = sheet([5, *range(1200), 5])
    assert labels[:2] == ["Class 1201: 1,199", "Class 1200: 1,198"] and len(labels) == 400
    assert "400 largest" in words and "802 more" in words and "averages.mrcs" in words


def test_same_bytes_every_time():
    images = np.random.default_rng(1).random((2, 16, 16))
    made = [
        draw_montage(
            [[(image, "") for image in images]] * 2, [("a", "b")] * 2, heading="t", legend="l", pixel_size_angstrom=1.0
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
