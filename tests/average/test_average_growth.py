"""The growth of the largest class in the report of ``average``."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import star, table
from helpers.average import PARTICLES, average, pose_columns
from helpers.undrawn import leave_out_drawing


@pytest.fixture
def told(monkeypatch) -> list:
    """What reports were told."""
    data: list = []
    leave_out_drawing(monkeypatch, "average", data)
    return data


def test_the_largest_class_grows_as_the_square_root(few, told):
    average(few.folder, PARTICLES, "-o", "out")
    growth = told[0].growth
    numbers, sizes = np.unique(few.numbers, return_counts=True)
    assert growth.class_number == numbers[np.argmax(sizes)]
    assert list(growth.counts) == [16, 32, 64, sizes.max()]
    slope = np.polyfit(np.log(growth.counts), np.log(growth.amplitude_snr), 1)[0]
    assert 0.3 < slope < 0.7
    longest, shortest = growth.band_angstrom
    assert longest == 48 * 4.0 and 8.0 <= shortest < longest / 2


def test_memberships_with_the_same_poses_grow_alike(few, told):
    average(few.folder, PARTICLES, "-o", "out")
    names = table(few.folder / PARTICLES, "particles")["rlnImageName"]
    columns = {"rlnImageName": list(names)} | pose_columns(few.made) | {"rlnClassNumber": few.numbers}
    backwards = {label: np.asarray(values)[::-1] for label, values in columns.items()}
    star(few.folder / "members.star", members=columns)
    star(few.folder / "backwards.star", members=backwards)
    for name in ("members", "backwards"):
        average(few.folder, PARTICLES, "--members", f"{name}.star", "-o", name)
    first, second, third = (np.asarray(one.growth.amplitude_snr) for one in told)
    np.testing.assert_array_equal(second, first)
    assert not np.array_equal(third, first)  # other members are drawn for the small averages ...
    assert third[-1] == first[-1]  # ... but the last holds all


def test_weights_count_and_robust_means_do_not_grow(few, told):
    average(few.folder, PARTICLES, "-o", "plain")
    particles = table(few.folder / PARTICLES, "particles")
    half_of_them = np.where(np.arange(len(particles)) % 2, 1.0, 1e-3)
    particles["weight"] = [str(v) for v in half_of_them]
    optics = table(few.folder / PARTICLES, "optics")
    star(few.folder / "weighted.star", optics=optics.to_dict("list"), particles=particles.to_dict("list"))
    average(few.folder, "weighted.star", "-o", "weighted", "--weights", "weight")
    average(few.folder, PARTICLES, "-o", "robust", "--robust", "median")
    plain, weighted, robust = (one.growth for one in told)
    # Half the images carry next to nothing: the amplitude is that of half as many.
    ratio = weighted.amplitude_snr[-1] / plain.amplitude_snr[-1]
    assert 0.5 < ratio < 0.9
    assert robust is None
