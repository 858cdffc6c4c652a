"""``align --apply-mag-matrix``: particles that a formula distorts are aligned as if they had not been distorted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.passes.align.part import AlignPart
from helpers.align import align, correlation, numbers, read_mrcs, results, rms, run, star, table, write_mrcs
from helpers.align import optics as one_group
from helpers.distorted import PIXEL, matrix_columns, stored_images, stretched
from helpers.distorted_particles import FLAG, IGNORED, MATRIX, distorted

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.mark.parametrize(("box", "ctf"), [(64, True), (65, False)])
def test_poses_are_as_good_as_without_distortion(tmp_path, box, ctf):
    errors = {}
    for name, matrix, words in (("plain", np.eye(2), []), ("with", MATRIX, [FLAG]), ("without", MATRIX, [])):
        (tmp_path / name).mkdir()
        truth = distorted(tmp_path / name, box=box, ctf=ctf, groups=(matrix,), snr=1.0)
        quick = "--no-write-stack", "--no-guard"
        align(tmp_path / name, "particles.star", "--reference", "ref.mrcs", "-o", "out", *quick, *words)
        errors[name] = truth.errors(tmp_path / name / "out/particles.star")
    assert errors["with"][0] < 1.1 * errors["plain"][0]
    assert errors["with"][1] < 1.1 * errors["plain"][1]
    assert errors["without"][0] > 1.2 * errors["plain"][0]


def test_tables_speak_of_stored_images_and_stacks_of_corrected_ones(tmp_path):
    truth = distorted(tmp_path, ctf=True, snr=2.0)
    align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", FLAG)
    out = tmp_path / "out"
    given, kept = table(tmp_path / "particles.star", "optics"), table(out / "particles.star", "optics")
    labels = list(matrix_columns(MATRIX))
    assert (kept[labels] == given[labels]).all(axis=None)
    corrected = table(out / "aligned.star", "optics")[labels].astype(float).to_numpy()[0]
    np.testing.assert_array_equal(corrected, [1, 0, 0, 1])
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["apply_mag_matrix"] is True
    assert not [text for text in record["warnings"] if "magnification" in text]
    # Phases flipped with the angles of the table, aligned images add up to the blobs.
    flips = run(tmp_path, "average", "-q", "-j", 1, "out/aligned.star", "-o", "avg", "--all")
    assert flips.status == 0
    assert correlation(read_mrcs(tmp_path / "avg/averages.mrcs")[0], truth.blobs.image(64), 24) > 0.98
    # The poses of the table make the very averages again: it holds them to six decimals of A.
    words = ["average", "-q", "-j", 1, "out/particles.star", "-o", "again", "--all", FLAG]
    assert run(tmp_path, *words).status == 0
    first, again = read_mrcs(out / "averages.mrcs")[0], read_mrcs(tmp_path / "again/averages.mrcs")[0]
    np.testing.assert_allclose(again, first, atol=1e-5 * np.abs(first).max())


def test_input_origins_are_those_of_stored_images(tmp_path):
    """Searched within half a pixel only, round origins of 7 pixels: 3 % of that would be at the limit."""
    matrix = stretched(10, 45)
    shift = np.random.default_rng(5).choice([-7.0, 7.0], (64, 2))
    truth = distorted(tmp_path, n=64, groups=(matrix,), snr=4.0)
    images = stored_images(truth.blobs, 64, matrix, truth.psi, shift)
    images += 0.3 * images.std() * np.random.default_rng(6).standard_normal(images.shape)
    write_mrcs(tmp_path / "particles.mrcs", images.astype(np.float32), PIXEL)
    columns = {"rlnOriginXAngst": shift[:, 0] * PIXEL, "rlnOriginYAngst": shift[:, 1] * PIXEL}
    particles = table(tmp_path / "particles.star").to_dict("list") | columns
    star(tmp_path / "particles.star", optics=one_group(64, PIXEL, **matrix_columns(matrix)), particles=particles)
    align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", FLAG, "--max-shift-px", 0.4, "--no-guard")
    x, y = numbers(tmp_path / "out/particles.star", "rlnOriginXAngst", "rlnOriginYAngst")
    assert rms(np.hypot(x / PIXEL - shift[:, 0], y / PIXEL - shift[:, 1])) < 0.1


def test_mirrored_particles_and_the_files_for_relion(tmp_path):
    matrix = stretched(6, 45)  # its off-diagonal elements are 0.03: a mirror that is forgotten is seen
    truth = distorted(tmp_path, groups=(matrix,), mirrors=True, snr=3.0, spread=3)
    align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", FLAG, "--mirror", "--no-guard")
    out = tmp_path / "out"
    (flip,) = numbers(out / "particles.star", "rlnIsFlip")
    np.testing.assert_array_equal(flip, truth.mirror)
    psi_error, shift_error = truth.errors(out / "particles.star")
    assert psi_error < 0.5 and shift_error < 0.08
    # flipped.star: corrected pixels, their own origins, no mirrors.
    np.testing.assert_array_equal(
        table(out / "flipped.star", "optics")[list(matrix_columns(matrix))].astype(float).to_numpy()[0], [1, 0, 0, 1]
    )
    images, (psi, x, y) = read_mrcs(out / "flipped.mrcs"), numbers(
        out / "flipped.star", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"
    )  # fmt: skip
    clean = truth.blobs.images(64, psi, x / PIXEL, y / PIXEL)
    assert np.mean([correlation(a, b, 24) for a, b in zip(images, clean, strict=True)]) > 0.9


def test_a_group_with_the_identity_is_left_alone(tmp_path):
    """Its rows come out as they do on their own without the option."""
    distorted(tmp_path, n=64, groups=(np.eye(2), MATRIX))
    align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", FLAG, "--interpolation", "nearest")
    raw, mixed = read_mrcs(tmp_path / "particles.mrcs"), read_mrcs(tmp_path / "out/aligned.mrcs")
    for row in range(6):
        kept = np.isin(mixed[row], raw[row]).mean()  # nearest pixels are pixels of the stored image
        assert kept == 1 if row % 2 == 0 else kept < 0.1


def test_identities_change_nothing(tmp_path):
    distorted(tmp_path, n=64, box=32, groups=(np.eye(2),))
    found = []
    for words in ([FLAG], ["--no-apply-mag-matrix", "--overwrite"]):
        align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", *words)
        found.append(results(tmp_path / "out"))
    assert found[0] == found[1]


def test_the_same_bytes_for_any_threads_and_blocks_and_for_a_job_array(tmp_path):
    distorted(tmp_path, n=150, box=32, groups=(MATRIX, np.eye(2), stretched(2, 100)))
    words = ["align", "-q", "particles.star", "--reference", "ref.mrcs", FLAG, "--no-guard", "-o"]
    found = {}
    for name, more in (("a", ["-j", 1]), ("b", ["-j", 2, "--block-size", 64])):
        (tmp_path / name).mkdir()
        for file in ("particles.star", "particles.mrcs", "ref.mrcs"):
            (tmp_path / name / file).symlink_to(tmp_path / file)
        assert run(tmp_path / name, *words, "out", *more).status == 0
        found[name] = results(tmp_path / name / "out")
    for part in ("1/2", "2/2"):
        assert run(tmp_path, *words, "out", "-j", 1, "--block-size", 64, "--part", part).status == 0
    assert run(tmp_path, "merge", "-q", "out").status == 0
    assert found["a"] == found["b"] == results(tmp_path / "out")


def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    distorted(tmp_path, n=150, box=32)
    words = ["particles.star", "--reference", "ref.mrcs", FLAG, "--no-guard", "--block-size", 64, "-o", "out"]
    align(tmp_path, *words)
    expected, whole, calls = results(tmp_path / "out"), AlignPart.__call__, []

    def stopped(self, part):
        calls.append(part)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(AlignPart, "__call__", stopped)
        align(tmp_path, *words, "--overwrite", status=130)
    assert results(tmp_path / "out") == {}
    # Another treatment of the pixels is another run.
    other = [word for word in words if word != FLAG]
    assert "apply_mag_matrix was true" in align(tmp_path, *other, "--resume", status=1).errors[0]
    align(tmp_path, *words, "--resume")
    assert results(tmp_path / "out") == expected


def test_without_the_option_a_warning_names_it(tmp_path):
    distorted(tmp_path, n=64, box=32)
    ran = align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-guard")
    assert any(IGNORED in line and FLAG in line for line in ran.lines)


def test_a_table_without_matrices_is_said(tmp_path):
    distorted(tmp_path, n=64, box=32)
    particles = table(tmp_path / "particles.star").to_dict("list")
    star(tmp_path / "particles.star", optics=one_group(32, PIXEL), particles=particles)
    ran = align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-guard", FLAG)
    assert any("has no magnification matrices" in line for line in ran.lines)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"rlnMagMat01": None}, "particles.star: the optics table has rlnMagMat00, but no rlnMagMat01;"),
        ({"rlnMagMat10": "nan"}, "rlnMagMat10 is not a number in optics group 1 ('nan')"),
        ({"rlnMagMat11": "inf"}, "rlnMagMat11 is not a number in optics group 1 ('inf')"),
        ({"rlnMagMat00": "much"}, "rlnMagMat00 is not a number in optics group 1 ('much')"),
        ({"rlnMagMat00": 0, "rlnMagMat01": 0}, "optics group 1 scales by 0 to "),
        ({"rlnMagMat00": 2.5}, "optics group 1 scales by 0.9924 to 2.5001 ('2.5 0.0129904 0.0129904 0.9925')"),
        ({"rlnMagMat11": -1}, "optics group 1 mirrors the image"),
    ],
)
def test_matrices_that_cannot_be_meant_are_errors(tmp_path, cells, said):
    distorted(tmp_path, n=64, box=32)
    particles = table(tmp_path / "particles.star").to_dict("list")
    columns = {label: values[0] for label, values in matrix_columns(MATRIX).items()} | cells
    columns = {label: value for label, value in columns.items() if value is not None}
    star(tmp_path / "particles.star", optics=one_group(32, PIXEL, **columns), particles=particles)
    ran = align(tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-guard", FLAG, status=1)
    assert len(ran.errors) == 1 and said in ran.errors[0], ran.errors
    assert "--no-apply-mag-matrix" in ran.errors[0]


def test_of_several_inputs_the_one_with_the_error_is_named(tmp_path):
    distorted(tmp_path, n=64, box=32)
    particles = table(tmp_path / "particles.star").to_dict("list")
    columns = {label: values[0] for label, values in matrix_columns(MATRIX).items()} | {"rlnMagMat00": 3}
    star(tmp_path / "other.star", optics=one_group(32, PIXEL, **columns), particles=particles)
    words = ["particles.star", "other.star", "--reference", "ref.mrcs", "-o", "out", FLAG]
    ran = align(tmp_path, *words, status=1)
    assert ran.errors[0].startswith("Error: other.star: the magnification matrix of optics group 1 scales by")


def test_a_bad_image_is_still_told_for_what_it_is(tmp_path):
    distorted(tmp_path, n=64, box=32)
    images = read_mrcs(tmp_path / "particles.mrcs").copy()
    images[3], images[5, 2, 2] = 1.0, np.nan
    with pytest.warns(RuntimeWarning, match="NaN"):
        write_mrcs(tmp_path / "particles.mrcs", images, PIXEL)
    align(
        tmp_path, "particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-guard", FLAG, "--on-bad-image", "skip"
    )
    reasons = table(tmp_path / "out/skipped.star")["cryoalignReason"].tolist()
    assert reasons == ["constant image", "NaN or infinite"]
