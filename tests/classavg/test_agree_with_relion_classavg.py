"""RELION reads the partition, and averages the rows of each class to the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.align import call, correlation, needs, read_mrcs, run, scale, table
from helpers.view_runs import Made, average_neighbours, simulate

pytestmark = needs("relion_reconstruct", "relion_star_handler", "relion_star_printtable", "relion_image_handler")

RADIUS = 25


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Made]:
    """500 particles of 64 px with astigmatic CTFs at SNR 0.2 among 6 views and their mirror images."""
    folder = simulate(tmp_path_factory.mktemp("trio"), 500, 64, "--ctf", "--snr", 0.2, "--shift-sd", 1.5)
    return folder, average_neighbours(folder, "out", 30, count=6, partition=True)


def test_images_of_classes_are_those_of_relion_reconstruct(made):
    folder, run_ = made
    filtered = read_mrcs(folder / "out/run_classes.mrcs")
    assert len(filtered) == len(run_.partition) > 6
    # RELION does not filter here. Ours are Wiener-filtered, which shows most in small classes: so once more without.
    again = run(folder, "average", "-q", "out/run_data.star", "-o", "unfiltered", "--ssnr", 1e7, "--overwrite")
    assert again.status == 0, again.lines
    ours = read_mrcs(folder / "unfiltered/averages.mrcs")
    assert len(ours) == len(filtered)
    for number, (image, smooth) in enumerate(zip(ours, filtered, strict=True), 1):
        call(
            folder, "relion_reconstruct", "--i", "out/run_data.star", "--o", "rec.mrc", "--refdim", 2, "--class",
            number, "--angpix", 4, "--ctf",
        )  # fmt: skip
        wanted = read_mrcs(folder / "rec.mrc")[0]
        assert correlation(image, wanted, RADIUS) >= 0.99, number
        assert 0.97 <= scale(image, wanted, RADIUS) <= 1.03, number
        assert correlation(smooth, wanted, RADIUS) >= 0.97, number


def test_relion_selects_particles_of_chosen_classes(made):
    folder, run_ = made
    call(
        folder, "relion_star_handler", "--i", "out/run_data.star", "--select", "rlnClassNumber", "--minval", 2,
        "--maxval", 3, "--o", "chosen.star",
    )  # fmt: skip
    wanted = int(np.isin(run_.partition.class_of, (1, 2)).sum())
    assert len(table(folder / "chosen.star")) == wanted > 0
    labels = ("rlnReferenceImage", "rlnClassDistribution", "rlnAccuracyRotations", "rlnEstimatedResolution")
    printed = call(folder, "relion_star_printtable", "out/run_model.star", "data_model_classes", *labels).split()
    model = table(folder / "out/run_model.star", "model_classes")
    assert printed == model[list(labels)].to_numpy().ravel().tolist()
    said = call(folder, "relion_image_handler", "--i", "out/run_classes.mrcs", "--stats")
    assert said.count("= 64 x 64 x 1") == len(run_.partition)
