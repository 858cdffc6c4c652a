"""``classavg --apply-mag-matrix`` makes the averages of corrected images; its tables speak of the stored ones."""

from __future__ import annotations

import numpy as np

from cryoalign.core.magnification import correct_magnification
from helpers.align import numbers, read_mrcs, run, star, table, write_mrcs
from helpers.align import optics as one_group
from helpers.distorted import PIXEL, matrix_columns, stretched
from helpers.distorted_particles import FLAG, distorted
from helpers.undrawn import leave_out_drawing

MATRIX = stretched(6, 45)


def test_views_classes_and_tables(tmp_path, monkeypatch):
    leave_out_drawing(monkeypatch, "classavg")
    distorted(tmp_path, n=90, box=48, groups=(MATRIX,), snr=2.0)
    corrected = correct_magnification(read_mrcs(tmp_path / "particles.mrcs"), MATRIX)
    (tmp_path / "corrected").mkdir()  # the same file name, and so the same halves
    write_mrcs(tmp_path / "corrected/particles.mrcs", corrected, PIXEL)
    rows = {"rlnImageName": [f"{i + 1:06d}@corrected/particles.mrcs" for i in range(90)], "rlnOpticsGroup": [1] * 90}
    star(tmp_path / "corrected.star", optics=one_group(48, PIXEL), particles=rows)
    for name, words in (("Wanted", ("corrected.star",)), ("Found", ("particles.star", FLAG))):
        basic = ("classavg", "-q", "-j", 1, "-k", 10, "--classes", 2, "--allow-no-signal")
        ran = run(tmp_path, *basic, *words, "-o", name)
        assert ran.status == 0, ran.lines
    for name in ("averages.mrcs", "run_classes.mrcs"):
        # Poses are rounded to six decimals of A in one frame or the other.
        wanted, found = (read_mrcs(tmp_path / out / name) for out in ("Wanted", "Found"))
        np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
    labels = "rlnOriginXAngst", "rlnOriginYAngst"
    wanted, found = (np.stack(numbers(tmp_path / out / "run_data.star", *labels)) for out in ("Wanted", "Found"))
    np.testing.assert_allclose(found, MATRIX.T @ wanted, atol=1e-4)
    assert np.abs(found - wanted).max() > 0.1
    assert set(matrix_columns(MATRIX)) <= set(table(tmp_path / "Found/run_data.star", "optics"))
    # members.star and `average` with the option make the very views again.
    given = ("average", "-q", "-j", 1, "particles.star", FLAG, "--members", "Found/members.star", "-o", "Again")
    assert run(tmp_path, *given).status == 0
    first, again = (read_mrcs(tmp_path / out / "averages.mrcs") for out in ("Found", "Again"))
    np.testing.assert_allclose(again, first, atol=1e-5 * np.abs(first).max())
