"""Particles that others made: RELION 3.1 and 3.0 tables, filaments, an odd box."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import read_mrcs, run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("aspire/sample_particles_relion31.star", "--variance"),
        ("aspire/sample_particles_relion30.star", "--all --scale"),
        ("cryodrgn/relion31.v2.star", "--robust winsorised --recenter"),
        ("aspire/rln_proj_65_shifted.star", "--all --plain"),
    ],
)
def test_real_particles(real_data, tmp_path, name, words):
    ran = run(tmp_path, "average", "-q", "-j", 1, real_data / name, "-o", "out", *words.split())
    assert ran.status == 0, ran.lines
    for stack in ("averages.mrcs", "averages_half1.mrcs", "averages_half2.mrcs"):
        assert np.isfinite(read_mrcs(tmp_path / "out" / stack)).all()
    assert (read_mrcs(tmp_path / "out/averages.mrcs").std(axis=(1, 2)) > 0).all()
