"""relion_reconstruct in two dimensions averages the same particles to the same pictures, on the same scale.

relion_reconstruct turns half of Fourier space over on odd boxes (a single image does not come back), so there it gets
the images without their last row and column: the centre pixel N // 2 stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.align import call, correlation, needs, optics, read_mrcs, run, scale, star, table, write_mrcs
from helpers.average import average, averages, set_cells

pytestmark = needs("relion_reconstruct")

CLASSES, PIXEL, RADIUS = 10, 4.0, 25


@dataclass(frozen=True)
class Case:
    """A folder with ``sim/truth.star`` of one box, and ``relion.star`` with the images as RELION gets them."""

    folder: Path
    box: int

    def reconstruct(self, number: int, *words: str) -> np.ndarray:
        """Let RELION average one class."""
        call(
            self.folder, "relion_reconstruct", "--i", "relion.star", "--o", "rec.mrc", "--refdim", 2, "--class", number,
            "--angpix", PIXEL, *words,
        )  # fmt: skip
        return read_mrcs(self.folder / "rec.mrc")[0]

    def averages(self, *words: str) -> np.ndarray:
        """Average with ours, and leave out what RELION did not see."""
        average(self.folder, "sim/truth.star", "-o", "out", "--overwrite", *words)
        return averages(self.folder)[:, :64, :64]


@pytest.fixture(scope="module", params=[64, 65])
def case(request, tmp_path_factory) -> Case:
    """500 particles in ten classes with astigmatic CTFs, at SNR 0.2."""
    folder = tmp_path_factory.mktemp(f"box{request.param}")
    words = f"simulate -q -o sim -n 500 --box {request.param} --pixel-size {PIXEL} --n-views {CLASSES}"
    words += " --ctf --noise white --snr 0.2 --shift-sd 1.5 -j 1"
    assert run(folder, *words.split()).status == 0
    images = read_mrcs(folder / "sim/particles.mrcs")[:, :64, :64]
    write_mrcs(folder / "relion.mrcs", np.ascontiguousarray(images), PIXEL)
    particles = table(folder / "sim/truth.star")
    particles["rlnImageName"] = [f"{i + 1:06d}@relion.mrcs" for i in range(500)]
    star(folder / "relion.star", optics=optics(64, PIXEL), particles=particles.to_dict("list"))
    return Case(folder, request.param)


@pytest.mark.parametrize(
    ("ours", "theirs", "least", "scales"),
    [
        (["--plain"], [], 0.995, 0.01),
        (["--ssnr", "1e7"], ["--ctf"], 0.995, 0.03),
        ([], ["--ctf"], 0.99, 0.02),  # our filter is not in theirs
    ],
    ids=["plain", "ctf", "ctf, our default"],
)
def test_the_averages_of_ten_classes_are_those_of_relion(case, ours, theirs, least, scales):
    found = case.averages(*ours)
    assert len(found) == CLASSES
    for number, image in enumerate(found, 1):
        wanted = case.reconstruct(number, *theirs)
        assert correlation(image, wanted, RADIUS) >= least, number
        assert 1 - scales <= scale(image, wanted, RADIUS) <= 1 + scales, number


def test_what_was_not_weighted_alike_would_be_seen(case):
    """Plain against weighted, a negated angle, a negated origin: none of them passes."""
    wanted = case.reconstruct(1, "--ctf")
    assert correlation(case.averages("--plain")[0], wanted, RADIUS) < 0.95
    text = (case.folder / "sim/truth.star").read_text()
    try:
        for labels in (("rlnAnglePsi",), ("rlnOriginXAngst", "rlnOriginYAngst")):
            (case.folder / "sim/truth.star").write_text(text)
            for label in labels:
                values = -table(case.folder / "sim/truth.star")[label].astype(float)
                set_cells(case.folder / "sim/truth.star", label, values.to_numpy())
            assert correlation(case.averages("--ssnr", "1e7")[0], wanted, RADIUS) < 0.95
    finally:
        (case.folder / "sim/truth.star").write_text(text)


@needs("relion_image_handler")
def test_relion_reads_what_we_write(case):
    case.averages()
    for name in ("averages", "averages_half1", "averages_half2"):
        said = call(case.folder, "relion_image_handler", "--i", f"out/{name}.mrcs", "--stats")
        assert said.count(f"= {case.box} x {case.box} x 1") == CLASSES
        assert said.count(f"angpix = {PIXEL:g}") == CLASSES
