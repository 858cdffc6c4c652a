"""References that show nothing: left out, with a warning; the others keep their numbers."""

import numpy as np
import pytest

from helpers.align import align, phantom_set, read_mrcs, run, star, table, write_mrcs
from helpers.undrawn import leave_out_drawing

PIXEL = 4.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Particles of two views, and three references of which the second is blank."""
    leave_out_drawing(monkeypatch, "align")
    made = phantom_set(40, 24, PIXEL, snr=2.0, seed=1, views=2, shift_sd=0.5).write(tmp_path)
    first, second = made.references
    write_mrcs(tmp_path / "three.mrcs", np.stack([first, 0 * first, second]), PIXEL)
    return tmp_path, made


def classes_of(folder) -> np.ndarray:
    return table(folder / "out/particles.star")["rlnClassNumber"].astype(int).to_numpy()


@pytest.mark.parametrize("words", [(), ("--halves",), ("--null-test", "--mirror")])
def test_the_others_keep_their_numbers(folder, words):
    folder, made = folder
    ran = run(folder, "align", "-j", 1, "particles.star", "--reference", "three.mrcs", "-o", "out", *words)
    assert ran.status in (0, 3), ran.lines
    said = "three.mrcs: 1 of 3 references are blank and left out (2); the others keep their class numbers"
    assert any(said in line for line in ran.lines)
    assert (classes_of(folder) == np.where(made.view == 0, 1, 3)).mean() > 0.9
    averages = table(folder / "out/averages.star", "averages")
    assert averages["rlnClassNumber"].tolist() == ["1", "3"]
    assert len(read_mrcs(folder / "out/averages.mrcs")) == 2
    if "--null-test" in words:
        assert table(folder / "out/null_test.star", "classes")["rlnClassNumber"].tolist() == ["1", "3"]


def test_what_is_drawn_has_the_numbers_of_the_files(folder, monkeypatch):
    folder, _ = folder
    told: list = []
    leave_out_drawing(monkeypatch, "align", told)
    align(folder, "particles.star", "--reference", "three.mrcs", "-o", "out")
    assert told[0].classes.numbers.tolist() == [1, 3]
    assert set(told[0].guard.classes) <= {1, 3}


def test_a_model_of_relion_with_an_empty_class(folder):
    folder, made = folder
    raw = bytearray((folder / "three.mrcs").read_bytes())
    image = 24 * 24 * 4
    raw[1024 + image : 1024 + 2 * image] = np.full((24, 24), np.nan, "<f4").tobytes()
    (folder / "three.mrcs").write_bytes(raw)
    names = [f"{i + 1:06d}@three.mrcs" for i in range(3)]
    columns = {"rlnReferenceImage": names, "rlnClassDistribution": [0.6, "0.000000", 0.4], "rlnPixelSize": PIXEL}
    star(folder / "model.star", model_classes=columns)
    align(folder, "particles.star", "--reference", "model.star", "-o", "out")
    assert (classes_of(folder) == np.where(made.view == 0, 1, 3)).mean() > 0.9
    # A class that has members must have an image.
    star(folder / "model.star", model_classes={**columns, "rlnClassDistribution": [0.6, 0.1, 0.3]})
    ran = align(folder, "particles.star", "--reference", "model.star", "-o", "again", status=1)
    assert ran.errors[0].startswith("Error: model.star, row 2: reference is unusable: 576 pixels are NaN or infinite")


def test_nothing_but_blank_references(folder):
    folder, made = folder
    write_mrcs(folder / "blank.mrcs", 0 * made.references, PIXEL)
    ran = align(folder, "particles.star", "--reference", "blank.mrcs", "-o", "out", status=1)
    assert ran.errors == ["Error: blank.mrcs: all references are blank"]
