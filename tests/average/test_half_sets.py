"""Half sets that part nothing, or hardly: averages are as good as with halves of one's own, and it is said."""

from pathlib import Path

import numpy as np
import pytest

from helpers.align import correlation, run, table
from helpers.average import ClassSet, averages, class_set, set_cells
from helpers.undrawn import leave_out_drawing

NONE = "no class has members in both halves"


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch) -> None:
    for command in ("align", "average", "rid_distance"):
        leave_out_drawing(monkeypatch, command)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> ClassSet:
    return class_set(tmp_path_factory.mktemp("halves"), 60, 24, 4.0, snr=0.2, seed=3)


def likeness(made: ClassSet, subset: np.ndarray | None, output: Path, *words: str) -> tuple[float, list[str]]:
    """Average with a column of half sets; return the mean correlation with the truth, and what was said."""
    set_cells(made.folder / "particles.star", "rlnRandomSubset", subset)
    ran = run(made.folder, "average", "-j", 1, "particles.star", "-o", output, *words)
    assert ran.status == 0, ran.lines
    found = averages(output.parent)
    mean = np.mean([correlation(a, b, 10) for a, b in zip(found, made.references, strict=True)])
    return float(mean), [line for line in ran.lines if line.startswith("Warning")]


@pytest.fixture
def best(made, tmp_path) -> float:
    return likeness(made, np.arange(60) // 3 % 2 + 1, tmp_path / "best" / "out")[0]


@pytest.mark.parametrize("value", [0, 1, 2])
def test_one_half_for_all_is_no_half(made, tmp_path, best, value):
    found, said = likeness(made, np.full(60, value), tmp_path / "out")
    assert found > best - 0.01
    words = f"rlnRandomSubset is {value} for all particles: halves are made by a hash of the image name instead"
    assert any(words in line for line in said)
    assert (table(tmp_path / "out" / "averages.star", "averages")["cryoalignQuality"].astype(float) > 0).all()


def test_few_in_one_half(made, tmp_path, best):
    subset = np.ones(60, int)
    subset[[0, 1, 2]] = 2
    found, said = likeness(made, subset, tmp_path / "out")
    assert found > best - 0.01
    assert any("half 2 holds 3 of 60 particles (by rlnRandomSubset)" in line for line in said)


def test_halves_that_are_the_classes(made, tmp_path):
    _, said = likeness(made, np.where(made.numbers == 2, 1, 2), tmp_path / "out")
    assert any(NONE in line for line in said)


def test_balanced_halves_are_nothing_to_speak_of(made, tmp_path):
    for subset in (np.arange(60) // 3 % 2 + 1, None):
        said = likeness(made, subset, tmp_path / "out", "--overwrite")[1]
        assert not [line for line in said if "half" in line or "halves" in line]


def test_some_without_a_half(made, tmp_path):
    set_cells(made.folder / "particles.star", "rlnRandomSubset", np.arange(60) % 3)
    ran = run(made.folder, "average", "particles.star", "-o", tmp_path / "out")
    assert ran.errors == ["Error: particles.star, row 1: rlnRandomSubset is none of 1, 2 (0)"]


def test_halves_of_one_side_are_not_independent(made, tmp_path):
    set_cells(made.folder / "particles.star", "rlnRandomSubset", np.ones(60, int))
    ran = run(made.folder, "average", "particles.star", "-o", tmp_path / "out", "--independent-halves")
    assert "--independent-halves needs rlnRandomSubset, with particles in both halves" in ran.errors[0]


def test_one_tube_cannot_be_refined_in_halves(made, tmp_path):
    set_cells(made.folder / "particles.star", "rlnRandomSubset", None)
    set_cells(made.folder / "particles.star", "rlnHelicalTubeID", np.ones(60, int))
    words = "align", "particles.star", "--reference", "ref.mrcs", "-j", 1
    ran = run(made.folder, *words, "-o", tmp_path / "out", "--halves")
    assert "all 60 particles are in one half, by a hash of the tube: there are no two to refine apart" in ran.errors[0]
    ran = run(made.folder, *words, "-o", tmp_path / "one")
    assert ran.status in (0, 3)
    assert any(NONE in line for line in ran.lines)
    set_cells(made.folder / "particles.star", "rlnHelicalTubeID", None)


def test_a_graph_asks_for_no_halves(made, tmp_path):
    set_cells(made.folder / "particles.star", "rlnRandomSubset", np.ones(60, int))
    ran = run(made.folder, "rid-distance", "particles.star", "-o", tmp_path / "out", "-j", 1)
    assert ran.status == 0
    assert not any("rlnRandomSubset" in line for line in ran.lines)
