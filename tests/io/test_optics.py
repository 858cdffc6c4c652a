"""Optics groups, matched and built."""

import numpy as np
import pandas as pd
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.optics import build_optics, group_of_particles, pixel_sizes_of_columns, unique_names


def table(**columns):
    return pd.DataFrame({label: [str(v) for v in values] for label, values in columns.items()}, dtype=str)


def test_groups_are_matched_by_number_not_by_text_or_place():
    optics = table(rlnOpticsGroup=[30, 2])
    particles = table(rlnOpticsGroup=["02", "30", "2.0"])
    index, warnings = group_of_particles(particles, optics, path=None, rows=np.arange(1, 4))
    assert (index.tolist(), index.dtype, warnings) == ([1, 0, 1], np.int32, [])


def test_no_group_column_with_several_groups():
    with pytest.raises(InputError, match="particles have no rlnOpticsGroup, but there are 2 optics groups"):
        group_of_particles(table(x=[1]), table(rlnOpticsGroup=[1, 2]), path=None, rows=np.arange(1, 2))
    with pytest.raises(InputError, match="the optics table has no rlnOpticsGroup"):
        group_of_particles(table(x=[1]), table(a=[1, 2]), path=None, rows=np.arange(1, 2))


def test_pixel_size_of_magnification():
    particles = table(rlnDetectorPixelSize=[5.0, 14.0], rlnMagnification=[50000, 39548])
    sizes = pixel_sizes_of_columns(particles, path=None, rows=np.arange(1, 3))
    assert sizes.tolist() == [1.0, 3.540002]
    assert pixel_sizes_of_columns(table(rlnMagnification=[1]), path=None, rows=np.arange(1, 2)) is None
    with pytest.raises(InputError, match="row 2: rlnMagnification must be above 0"):
        bad = table(rlnDetectorPixelSize=[5.0, 14.0], rlnMagnification=[50000, 0])
        pixel_sizes_of_columns(bad, path=None, rows=np.arange(1, 3))


def test_one_group_for_each_combination():
    particles = table(rlnVoltage=[300, 200, 300, 300], rlnBeamTiltX=[0, 0, 0, 1])
    optics, index, _ = build_optics(particles, np.array([1.0, 1.0, 1.0, 1.0]), np.array([64, 64, 32, 64], np.int32))
    assert index.tolist() == [0, 1, 2, 3]
    assert optics["rlnImageSize"].tolist() == ["64", "64", "32", "64"]
    assert optics["rlnOpticsGroupName"].tolist() == [f"opticsGroup{i}" for i in (1, 2, 3, 4)]
    assert "rlnAmplitudeContrast" not in optics
    optics, index, _ = build_optics(particles, np.ones(4), np.zeros(4, np.int32))
    assert index.tolist() == [0, 1, 0, 2]
    assert "rlnImageSize" not in optics


def test_names_are_made_unique():
    assert unique_names(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_2", "a_3"]
    assert unique_names(["a"], {"a", "a_2"}) == ["a_3"]
