"""A 3-D map is no stack of its sections, in any command, unless a section is named."""

from pathlib import Path

import numpy as np
import pytest

from helpers.align import optics, phantom_set, run, star

BOX, PIXEL = 16, 4.0
IS_MAP = "is a 3-D map, a cube of 16 px, not a stack of images; project it with relion_project"


def write_map(path: Path, voxels: np.ndarray) -> Path:
    """Write a map as RELION does: space group 0, as a stack has it."""
    head = np.zeros(256, "<i4")
    head[:4], head[7:10], head[52] = (BOX, BOX, BOX, 2), BOX, int.from_bytes(b"MAP ", "little")
    head[53] = 0x4444
    head[10:13] = np.full(3, BOX * PIXEL, "<f4").view("<i4")
    path.write_bytes(head.tobytes() + voxels.astype("<f4").tobytes())
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with particles, references, and a map called .mrc, .map and .mrcs."""
    made = phantom_set(24, BOX, PIXEL, snr=1.0, seed=1, shift_sd=0.5)
    made.write(tmp_path, rlnClassNumber=1, rlnAnglePsi=0)
    voxels = np.random.default_rng(0).normal(size=(BOX,) * 3)
    for name in ("map.mrc", "other.map", "stack.mrcs"):
        write_map(tmp_path / name, voxels)
    return tmp_path


@pytest.mark.parametrize("name", ["map.mrc", "other.map"])
@pytest.mark.parametrize(
    "words",
    ["align particles.star --reference MAP", "align MAP --reference ref.mrcs", "average MAP --all", "rid-distance MAP",
     "classavg MAP", "select MAP --random 3", "compare MAP particles.star", "compare ref.mrcs MAP"],
)  # fmt: skip
def test_a_map_is_no_stack(folder, words, name):
    words = words.replace("MAP", name)
    ran = run(folder, *words.split(), "-o", "out", "-j", 1)
    assert ran.status == 1
    assert len(ran.errors) == 1
    assert f"{name}: {IS_MAP}" in ran.errors[0]
    assert not list((folder / "out").glob("*.star"))


def test_a_cube_called_mrcs_is_a_stack(folder):
    assert run(folder, "select", "stack.mrcs", "--random", 3, "-o", "out").status == 0
    assert run(folder, "compare", "3@stack.mrcs", "4@stack.mrcs", "--metric", "ncc", "-o", "same").status == 0


def test_a_section_that_is_named_is_an_image(folder, no_report):
    names = [f"{i + 1:06d}@map.mrc" for i in range(5)]
    star(folder / "sections.star", optics=optics(BOX, PIXEL), particles={"rlnImageName": names, "rlnOpticsGroup": 1})
    assert run(folder, "align", "sections.star", "--reference", "ref.mrcs", "-o", "a", "-j", 1).status in (0, 3)
    star(folder / "refs.star", references={"rlnReferenceImage": names[:2], "rlnPixelSize": PIXEL})
    assert run(folder, "align", "particles.star", "--reference", "refs.star", "-o", "b", "-j", 1).status in (0, 3)
    assert run(folder, "compare", "3@map.mrc", "4@map.mrc", "--metric", "ncc", "-o", "c").status == 0


@pytest.mark.parametrize("label", ["rlnReferenceImage", "rlnImageName"])
def test_a_map_that_is_listed_without_a_number_is_a_map(folder, label):
    """RELION's model.star of a 3-D classification lists its maps so."""
    star(folder / "refs.star", references={label: ["map.mrc", "other.map"], "rlnPixelSize": PIXEL})
    ran = run(folder, "align", "particles.star", "--reference", "refs.star", "-o", "out")
    assert ran.status == 1
    assert f"refs.star, row 1: map.mrc {IS_MAP}" in ran.errors[0]
    ran = run(folder, "align", "refs.star", "--reference", "ref.mrcs", "-o", "again")
    assert f"refs.star, row 1: map.mrc {IS_MAP}" in ran.errors[0]


def test_a_map_is_projected(folder):
    assert run(folder, "simulate", "-q", "--map", "map.mrc", "-n", 4, "-o", "out", "-j", 1).status == 0
