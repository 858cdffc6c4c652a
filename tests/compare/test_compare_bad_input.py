"""``compare`` refuses what cannot be compared, in one line, and writes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.io.stacks import write_stack
from helpers.align import results
from helpers.compare import BOX, compare, copies, particle, write


@pytest.fixture
def folder(tmp_path):
    """Write stacks of every kind."""
    images = copies(particle())
    write(tmp_path, "a.mrcs", images[:2])
    write(tmp_path, "b.mrcs", images)
    write(tmp_path, "large.mrcs", particle().images(BOX + 4, [0, 0, 0]))
    write(tmp_path, "coarse.mrcs", images, pixel=2.5)
    write(tmp_path, "flat.mrcs", np.concatenate([images[:2], np.ones_like(images[:1])]))
    holes = np.where(images > images.max() * 0.99, np.nan, images).astype(np.float32)
    write_stack(tmp_path / "nan.mrcs", holes, 2.0)
    write(tmp_path, "wide.mrcs", images[:, :40])
    (tmp_path / "words.mrcs").write_text("words")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.mrcs b.mrcs", "2 images in A and 3 in B"),
        ("large.mrcs b.mrcs", "--resize-reference"),
        ("coarse.mrcs b.mrcs", "--scale"),
        ("b.mrcs flat.mrcs", "flat.mrcs: image is unusable: constant"),
        ("nan.mrcs b.mrcs", "NaN"),
        ("wide.mrcs b.mrcs", "not square"),
        ("words.mrcs b.mrcs", "words.mrcs"),
        ("absent.mrcs b.mrcs", "absent.mrcs"),
        ("absent.star b.mrcs", "absent.star"),
        ("9@b.mrcs b.mrcs", "the file has 3"),
        ("0@b.mrcs b.mrcs", "N counted from 1"),
        ("x@b.mrcs b.mrcs", "N counted from 1"),
        ("b.mrcs b.mrcs --mask-diameter 200", "larger than the box"),
        ("b.mrcs b.mrcs --mask-diameter 5", "smaller than 8 pixels"),
        ("b.mrcs b.mrcs --max-shift-px 30", "half the box"),
    ],
)
def test_one_line_and_nothing_written(folder, words, message):
    ran = compare(folder, *words.split(), "--metric", "ncc", status=1)
    assert len(ran.errors) == 1 and message in ran.errors[0]
    assert ran.errors[0].count("\n") == 0 and results(folder / "out") == {}


def test_a_measure_without_its_package_says_what_to_install(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pywt", None)
    ran = compare(folder, "b.mrcs", "b.mrcs", "--metric", "wavelet-emd", status=1)
    assert "cryoalign[wavelet]" in ran.errors[0]
