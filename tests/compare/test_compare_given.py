"""``compare --check-poses`` judges the poses that images came with, and ``--by-class`` lays each on its class."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from helpers.align import results, star, table
from helpers.blobs import Blobs
from helpers.compare import BOX, DX, DY, PIXEL, PSI, compare, copies, particle, record, write
from helpers.distorted import matrix_columns, stored_images, stretched

METRICS = ("ncc", "mutual-information", "rfsw", "absolute-difference")
ASKED = [word for metric in METRICS for word in ("--metric", metric)]


def listed(folder, psi, dx=DX, dy=DY, optics=None, **columns):
    """Write b.star: the images of b.mrcs with poses, origins in A."""
    n = len(psi)
    star(
        folder / "b.star",
        optics={
            "rlnOpticsGroup": 1,
            "rlnImagePixelSize": PIXEL,
            "rlnImageSize": BOX,
            "rlnImageDimensionality": 2,
            **(optics or {}),
        },
        particles={
            "rlnImageName": [f"{i + 1}@b.mrcs" for i in range(n)],
            "rlnOpticsGroup": [1] * n,
            "rlnAnglePsi": list(psi),
            "rlnOriginXAngst": list(PIXEL * np.asarray(dx)),
            "rlnOriginYAngst": list(PIXEL * np.asarray(dy)),
            **columns,
        },
    )


def verdicts(folder):
    """Return compare.star of the run by measure, cells as text."""
    found = table(folder / "out" / "compare.star", "compare")
    return {metric: found[found.cryoalignMetric == metric].reset_index(drop=True) for metric in METRICS}


@pytest.fixture
def folder(tmp_path):
    """Write a particle and three turned and shifted copies."""
    write(tmp_path, "a.mrcs", particle().images(BOX))
    write(tmp_path, "b.mrcs", copies(particle()))
    return tmp_path


def test_poses_near_the_truth_are_the_best_ones(folder):
    listed(folder, PSI + np.array([1.0, -1.5, 2.0]), DX + 0.4)
    compare(folder, "a.mrcs", "b.star", "--check-poses", *ASKED)
    for metric, rows in verdicts(folder).items():
        assert rows.cryoalignGivenVerdict.tolist() == ["best"] * 3, metric
        turned, shifted = (rows[f"cryoalignNearest{of}"].astype(float) for of in ("Angle", "Shift"))
        # The nearest optimum is the truth, as far away as was given.
        np.testing.assert_allclose(turned, [1.0, 1.5, 2.0], atol=0.4)
        np.testing.assert_allclose(shifted, 0.4, atol=0.2)
    assert record(folder)["counts"]["given_best_ncc"] == 3


def test_poses_far_from_the_truth_are_no_optimum_or_a_worse_one(folder):
    listed(folder, PSI + np.array([25.0, 100.0, 180.0]))
    compare(folder, "a.mrcs", "b.star", "--check-poses", *ASKED)
    for metric, rows in verdicts(folder).items():
        assert "best" not in rows.cryoalignGivenVerdict.tolist(), metric


def test_half_a_turn_of_a_nearly_symmetric_particle_is_the_second_best(tmp_path):
    pair = Blobs(np.array([9.0, -9.0]), np.zeros(2), np.array([2.5, 2.5]), np.array([1.0, 0.85]))
    write(tmp_path, "a.mrcs", pair.images(BOX))
    write(tmp_path, "b.mrcs", copies(pair))
    listed(tmp_path, (PSI + 180.0 + 180.0) % 360.0 - 180.0)
    compare(tmp_path, "a.mrcs", "b.star", "--check-poses", "--metric", "ncc", "--metric", "mutual-information")
    assert verdicts(tmp_path)["ncc"].cryoalignGivenVerdict.tolist() == ["second best"] * 3


def test_a_stack_is_judged_as_it_lies(folder):
    compare(folder, "a.mrcs", "a.mrcs", "--check-poses", *ASKED)
    for rows in verdicts(folder).values():
        assert rows.cryoalignGivenVerdict.tolist() == ["best"]
        assert float(rows.cryoalignNearestAngle[0]) < 0.1


def test_each_particle_meets_its_class(tmp_path):
    views = [particle(0), particle(1)]
    write(tmp_path, "a.mrcs", np.concatenate([view.images(BOX) for view in views]))
    write(tmp_path, "b.mrcs", np.concatenate([copies(views[1]), copies(views[0])]))
    poses = [np.tile(v, 2) for v in (PSI, DX, DY)]
    listed(tmp_path, *poses, rlnClassNumber=[2, 2, 2, 1, 1, 1])
    words = ("a.mrcs", "b.star", "--by-class", "--check-poses", "--export", "csv", *ASKED)
    compare(tmp_path, *words)
    for rows in verdicts(tmp_path).values():
        names = [name[:6] for name in rows.cryoalignReferenceName]
        assert names == ["000002"] * 3 + ["000001"] * 3
        assert rows.cryoalignGivenVerdict.tolist() == ["best"] * 6
        assert (rows.cryoalignCorrelation.astype(float) > 0.99).all()
    with (tmp_path / "out" / "compare.csv").open() as handle:
        written = list(csv.DictReader(handle))
    assert len(written) == 24 and {row["given_verdict"] for row in written} == {"best"}
    before = results(tmp_path / "out")
    compare(
        tmp_path, "a.mrcs", "b.star", "--by-class", "--check-poses", "--export", "csv", *ASKED, "--overwrite", "-j", 2
    )
    assert results(tmp_path / "out")["compare.star"] == before["compare.star"]


@pytest.mark.parametrize(
    ("classes", "words", "message"),
    [
        (None, "--by-class", "no rlnClassNumber"),
        ([1, 2, 3], "--by-class", "none of 1 to 1"),
        ([1, 1, 1], "--by-class --all-pairs", "exclude each other"),
        ([1, 1, 1], "--check-poses --scale", "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(folder, classes, words, message):
    listed(folder, PSI, **({} if classes is None else {"rlnClassNumber": classes}))
    status = 2 if "exclude" in message else 1
    ran = compare(folder, "a.mrcs", "b.star", *words.split(), "--metric", "ncc", status=status)
    assert message in "\n".join(ran.lines)
    assert not (folder / "out").exists() or results(folder / "out") == {}


def test_the_report_says_what_was_found(folder, with_report):
    listed(folder, PSI + np.array([0.0, 25.0, 0.0]))
    compare(folder, "a.mrcs", "b.star", "--check-poses", "--metric", "ncc", "--pictures", 2)
    page = (folder / "out" / "report.html").read_text()
    # The bad one is drawn, then the first.
    assert page.index("The given pose: psi -108.00°") < page.index("The given pose: psi 40.00°, shift (2.00, 1.00) px")
    assert "The given pose: psi 170.00°" not in page
    assert "no optimum" in page and "66.7 %" in page


def test_particles_are_corrected_for_anisotropic_magnification(tmp_path):
    matrix, d = stretched(12, 30), np.stack([DX, DY], axis=1)
    write(tmp_path, "a.mrcs", particle().images(BOX))
    write(tmp_path, "b.mrcs", stored_images(particle(), BOX, matrix, PSI, d))
    listed(tmp_path, PSI, optics={label: values[0] for label, values in matrix_columns(matrix).items()})
    asked = ("a.mrcs", "b.star", "--check-poses", "--metric", "ncc", "--overwrite")
    ran = compare(tmp_path, *asked)
    assert any("--apply-mag-matrix" in line for line in ran.lines)
    plain = table(tmp_path / "out" / "compare.star", "compare")
    compare(tmp_path, *asked, "--apply-mag-matrix")
    corrected = table(tmp_path / "out" / "compare.star", "compare")
    assert corrected.cryoalignGivenVerdict.tolist() == ["best"] * 3
    assert (corrected.cryoalignGivenValue.astype(float) > 0.9995).all()
    assert (plain.cryoalignGivenValue.astype(float) < 0.995).all()
