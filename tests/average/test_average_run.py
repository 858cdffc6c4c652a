"""What `average` makes: the right pictures, on the right scale, by every way of choosing classes."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.core.ctf import ctf_images
from helpers.align import (
    MARKERS,
    correlation,
    disc,
    phantom_set,
    read_mrcs,
    run,
    scale,
    star,
    table,
    write_mrcs,
)
from helpers.average import CLASS_NUMBERS, PARTICLES, average, averages, class_set, pose_columns, set_cells

RADIUS = 18


def agreement(images, references, radius=RADIUS):
    return [correlation(a, b, radius) for a, b in zip(images, references, strict=True)]


def test_averages_are_the_views_on_their_own_scale(few):
    average(few.folder, PARTICLES, "-o", "out")
    found = averages(few.folder)
    assert min(agreement(found, few.references)) > 0.98
    for a, b in zip(found, few.references, strict=True):
        assert 0.9 < scale(a, b, RADIUS) < 1.05
    rows = table(few.folder / "out/averages.star", "averages")
    assert rows["rlnClassNumber"].astype(int).tolist() == CLASS_NUMBERS.tolist()
    counts = [int((few.numbers == number).sum()) for number in CLASS_NUMBERS]
    assert rows["cryoalignCount"].astype(int).tolist() == counts
    assert set(rows["rlnEstimatedResolution"].astype(float)) == {999.0}
    assert set(rows["cryoalignFrcKind"]) == {"frc_common_reference"}
    assert "cryoalignScoreMean" not in rows


def test_the_files_of_a_run(few):
    average(few.folder, PARTICLES, "-o", "out")
    names = {path.name for path in (few.folder / "out").iterdir()}
    assert names == {
        "averages.mrcs", "averages.star", "averages_half1.mrcs", "averages_half2.mrcs", "frc.star", "report.html",
        "montage.png", "run.json", "run.log", "RELION_JOB_EXIT_SUCCESS", "RELION_OUTPUT_NODES.star",
    }  # fmt: skip
    assert [name for name in MARKERS if (few.folder / "out" / name).exists()] == ["RELION_JOB_EXIT_SUCCESS"]
    record = json.loads((few.folder / "out/run.json").read_text())
    assert record["status"] == "finished" and record["command"] == "average"
    assert record["counts"]["averaged"] == 260 and record["counts"]["classes"] == 3
    nodes = table(few.folder / "out/RELION_OUTPUT_NODES.star", "output_nodes")
    assert nodes["rlnPipeLineNodeName"].tolist() == ["out/averages.star"]
    blocks = starfile.read(few.folder / "out/frc.star", always_dict=True)
    assert list(blocks) == ["class_000002", "class_000005", "class_000006"]
    assert all(block["cryoalignFrc"][1:4].min() > 0.8 for block in blocks.values())


def test_the_treatment_of_the_ctf_matters_as_it_should(few):
    """Weighted beats phases only, which beats nothing: all of them right way up."""
    found = {}
    for name, words in {"wiener": [], "flip": ["--phase-flip"], "plain": ["--plain"]}.items():
        average(few.folder, PARTICLES, "-o", "out", "--overwrite", *words)
        found[name] = np.mean(agreement(averages(few.folder), few.references))
    assert 0.3 < found["plain"] < found["flip"] < found["wiener"]


def test_plain_means_of_noiseless_images_are_the_images(tmp_path):
    """No CTF, no noise: every mean is the clean view, at its own level."""
    made = class_set(tmp_path, 90, 49, 4.0, snr=1e6, seed=4, mirror=True)
    average(tmp_path, PARTICLES, "-o", "out", "--plain")
    for a, b in zip(averages(tmp_path), made.references, strict=True):
        assert correlation(a, b, 20) > 0.9995 and 0.99 < scale(a, b, 20) < 1.01
        assert abs(a.mean() - b.mean()) < 0.02 * b.std()


def test_a_mirror_that_is_ignored_would_be_seen(tmp_path):
    made = class_set(tmp_path, 90, 48, 4.0, snr=10, seed=4, mirror=True)
    set_cells(tmp_path / PARTICLES, "rlnIsFlip", np.zeros(90, int))
    average(tmp_path, PARTICLES, "-o", "out", "--plain")
    assert max(agreement(averages(tmp_path), made.references)) < 0.97


def test_without_ctf_columns_one_warning(few):
    for label in ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"):
        set_cells(few.folder / PARTICLES, label, None)
    ran = average(few.folder, PARTICLES, "-o", "out")
    assert len(ran.lines) == 1 and "the CTF is not corrected" in ran.lines[0] and "rlnDefocusU" in ran.lines[0]
    assert average(few.folder, PARTICLES, "-o", "plain", "--plain").lines == []


def test_a_flat_ssnr_that_is_large_is_least_squares(few):
    average(few.folder, PARTICLES, "-o", "out", "--ssnr", "1e7")
    free = averages(few.folder)
    average(few.folder, PARTICLES, "-o", "out", "--ssnr", "0.05", "--overwrite")
    damped = averages(few.folder)
    inside = disc(48, RADIUS)
    for a, b in zip(free, damped, strict=True):
        assert a[inside].std() > 1.05 * b[inside].std()


def test_half_averages_share_the_members(few):
    average(few.folder, PARTICLES, "-o", "out", "--plain")
    halves = [averages(few.folder, f"averages_half{k}.mrcs") for k in (1, 2)]
    whole = averages(few.folder)
    for c in range(3):
        # Some share between 0 and 1 of either half makes the whole.
        a, b, w = (v[c].astype(np.float64).ravel() for v in (*halves, whole))
        share = float((w - b) @ (a - b) / ((a - b) @ (a - b)))
        assert 0.3 < share < 0.7
        np.testing.assert_allclose(share * a + (1 - share) * b, w, atol=2e-6)


def test_random_subsets_are_the_halves(few):
    subset = 1 + (np.arange(260) % 3 == 0)
    set_cells(few.folder / PARTICLES, "rlnRandomSubset", subset)
    average(few.folder, PARTICLES, "-o", "out", "--plain")
    set_cells(few.folder / PARTICLES, "rlnClassNumber", np.where(subset == 2, few.numbers, 99))
    average(few.folder, PARTICLES, "-o", "one", "--plain", "--classes", "1-10")
    second = averages(few.folder, "averages_half2.mrcs")
    (few.folder / "one").rename(few.folder / "two")
    (few.folder / "out").rename(few.folder / "one")
    (few.folder / "two").rename(few.folder / "out")
    np.testing.assert_allclose(averages(few.folder), second, atol=1e-6)


@pytest.mark.parametrize(("words", "said"), [(["--independent-halves"], 0), ([], 24)], ids=["told", "not told"])
def test_resolution_is_given_for_independent_halves_only(few, words, said):
    set_cells(few.folder / PARTICLES, "rlnRandomSubset", 1 + np.arange(260) % 2)
    average(few.folder, PARTICLES, "-o", "out", *words)
    rows = table(few.folder / "out/averages.star", "averages")
    if said == 0:
        assert set(rows["cryoalignFrcKind"]) == {"independent"}
        assert rows["rlnEstimatedResolution"].astype(float).between(8, 40).all()
    else:
        assert set(rows["rlnEstimatedResolution"].astype(float)) == {999.0}


def test_a_shared_resolution_is_the_border_between_the_kinds(few):
    set_cells(few.folder / PARTICLES, "rlnRandomSubset", 1 + np.arange(260) % 2)
    set_cells(few.folder / PARTICLES, "cryoalignSharedResolution", np.full(260, 48 * 4.0 / 7))
    average(few.folder, PARTICLES, "-o", "out")
    for block in starfile.read(few.folder / "out/frc.star", always_dict=True).values():
        assert block["cryoalignFrcKind"].tolist() == ["frc_common_reference"] * 8 + ["independent"] * 17


# ---- which classes -------------------------------------------------------------------------------------------------


def test_chosen_classes_are_those_of_the_whole_run(few):
    average(few.folder, PARTICLES, "-o", "out", "--plain")
    whole = averages(few.folder)
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--plain", "--classes", "1,3,5-8")
    np.testing.assert_array_equal(averages(few.folder), whole[1:])
    numbers = table(few.folder / "out/averages.star", "averages")["rlnClassNumber"]
    assert numbers.tolist() == ["5", "6"]


def test_all_in_one(few):
    set_cells(few.folder / PARTICLES, "rlnClassNumber", None)
    average(few.folder, PARTICLES, "-o", "out", "--all", "--plain")
    assert averages(few.folder).shape == (1, 48, 48)
    assert table(few.folder / "out/averages.star", "averages")["cryoalignCount"].tolist() == ["260"]


def test_by_a_column_of_words_and_by_one_of_numbers(few):
    average(few.folder, PARTICLES, "-o", "out", "--plain")
    whole = averages(few.folder)
    words = {2: "one.mrc", 5: "a.mrc", 6: "b.mrc"}
    set_cells(few.folder / PARTICLES, "rlnMicrographName", [words[int(n)] for n in few.numbers])
    set_cells(few.folder / PARTICLES, "rlnGroupNumber", 10 * few.numbers)
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--plain", "--by", "rlnMicrographName")
    rows = table(few.folder / "out/averages.star", "averages")
    assert rows["cryoalignGroup"].tolist() == ["a.mrc", "b.mrc", "one.mrc"]
    assert rows["rlnClassNumber"].tolist() == ["1", "2", "3"]
    np.testing.assert_array_equal(averages(few.folder), whole[[1, 2, 0]])
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--plain", "--by", "rlnGroupNumber")
    assert table(few.folder / "out/averages.star", "averages")["rlnClassNumber"].tolist() == ["20", "50", "60"]
    np.testing.assert_array_equal(averages(few.folder), whole)


def test_mean_scores_where_there_are_scores(few):
    scores = np.arange(260) / 260
    set_cells(few.folder / PARTICLES, "cryoalignScore", scores)
    average(few.folder, PARTICLES, "-o", "out", "--plain")
    rows = table(few.folder / "out/averages.star", "averages")
    wanted = [scores[few.numbers == number].mean() for number in CLASS_NUMBERS]
    np.testing.assert_allclose(rows["cryoalignScoreMean"].astype(float), wanted, atol=1e-6)


def test_weights(few):
    """A weight of 0 leaves a particle out; equal weights change nothing; a weight is a share."""
    average(few.folder, PARTICLES, "-o", "out", "--plain", "--classes", "2")
    whole = averages(few.folder)
    inside = few.numbers == 2
    first = inside & (np.arange(260) < 130)
    for name, weight in {"equal": np.full(260, 3.5), "first": first * 1.0, "second": (inside & ~first) * 1.0}.items():
        set_cells(few.folder / PARTICLES, name, weight)
    found = {}
    for name in ("equal", "first", "second"):
        average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--plain", "--classes", "2", "--weights", name)
        found[name] = averages(few.folder)
    np.testing.assert_allclose(found["equal"], whole, atol=1e-5)
    share = first.sum() / inside.sum()
    np.testing.assert_allclose(share * found["first"] + (1 - share) * found["second"], whole, atol=1e-5)
    assert np.abs(found["first"] - whole).max() > 0.05


# ---- the input -----------------------------------------------------------------------------------------------------


def test_boxes_and_pixel_sizes_may_differ(tmp_path):
    """Two geometries of the same views: averaged together at that of the larger group."""
    optics = {
        "rlnOpticsGroup": [1, 2], "rlnImagePixelSize": [4.0, 3.0], "rlnImageSize": [48, 64],
        "rlnImageDimensionality": 2, "rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
    }  # fmt: skip
    parts = []
    for group, (n, box, pixel) in enumerate([(120, 48, 4.0), (60, 64, 3.0)], 1):
        made = phantom_set(n, box, pixel, views=3, snr=2, seed=group, ctf=True, diameter=120.0)
        write_mrcs(tmp_path / f"g{group}.mrcs", made.images, pixel)
        names = [f"{i + 1:06d}@g{group}.mrcs" for i in range(n)]
        columns = {"rlnImageName": names, "rlnOpticsGroup": np.full(n, group), "rlnClassNumber": made.view + 1}
        parts.append((made, columns | made.columns | pose_columns(made)))
    joined = {label: np.concatenate([one[label] for _, one in parts]) for label in parts[0][1]}
    order = np.random.default_rng(0).permutation(180)
    star(tmp_path / PARTICLES, optics=optics, particles={k: v[order] for k, v in joined.items()})
    ran = average(tmp_path, PARTICLES, "-o", "out")
    assert any("2 geometries" in line for line in ran.lines)
    assert min(agreement(averages(tmp_path), parts[0][0].references)) > 0.99
    average(tmp_path, PARTICLES, "-o", "out", "--robust", "median", "--overwrite")
    assert min(agreement(averages(tmp_path), parts[0][0].references)) > 0.98
    # Each group alone has less: both are in.
    counts = table(tmp_path / "out/averages.star", "averages")["cryoalignCount"].astype(int)
    assert counts.sum() == 180


def test_particles_of_cryosparc(few):
    """Poses in radians, shifts in pixels, classes and images from 0."""
    made = few.made
    fields = [("blob/path", "S32"), ("blob/idx", "u4"), ("blob/psize_A", "f4"), ("blob/shape", "u4", 2)]
    fields += [("ctf/accel_kv", "f4"), ("ctf/cs_mm", "f4"), ("ctf/amp_contrast", "f4")]
    fields += [("ctf/df1_A", "f4"), ("ctf/df2_A", "f4"), ("ctf/df_angle_rad", "f4")]
    fields += [("alignments2D/pose", "f4"), ("alignments2D/shift", "f4", 2), ("alignments2D/psize_A", "f4")]
    fields += [("alignments2D/class", "u4")]
    data = np.zeros(260, fields)
    data["blob/path"], data["blob/idx"], data["blob/psize_A"] = b">particles.mrcs", np.arange(260), 4.0
    data["blob/shape"] = 48
    data["ctf/accel_kv"], data["ctf/cs_mm"], data["ctf/amp_contrast"] = 300, 2.7, 0.1
    data["ctf/df1_A"], data["ctf/df2_A"] = made.ctf.defocus_u_angstrom, made.ctf.defocus_v_angstrom
    data["ctf/df_angle_rad"] = np.deg2rad(made.ctf.defocus_angle_deg)
    data["alignments2D/pose"] = np.deg2rad(made.poses.psi)
    data["alignments2D/shift"] = np.stack([made.poses.dx, made.poses.dy], axis=1)
    data["alignments2D/psize_A"], data["alignments2D/class"] = 4.0, few.numbers - 1
    with (few.folder / "particles.cs").open("wb") as handle:
        np.save(handle, data)
    average(few.folder, "particles.cs", "-o", "cs")
    average(few.folder, PARTICLES, "-o", "out")
    (few.folder / "cs").rename(few.folder / "from_cs")
    np.testing.assert_allclose(read_mrcs(few.folder / "from_cs/averages.mrcs"), averages(few.folder), atol=0.02)
    numbers = table(few.folder / "from_cs/averages.star", "averages")["rlnClassNumber"]
    assert numbers.tolist() == ["2", "5", "6"]


def test_data_that_were_multiplied_by_their_ctf(few):
    raw = ("-o", "out", "--no-normalize")  # a plane that is taken off before the CTF is another one
    average(few.folder, PARTICLES, *raw, "--ssnr", "1")
    wanted = averages(few.folder)
    values = ctf_images(few.made.ctf, 48, 4.0)
    images = np.fft.irfft2(np.fft.rfft2(few.made.images) * values, s=(48, 48)).astype(np.float32)
    write_mrcs(few.folder / "particles.mrcs", images, 4.0)
    set_cells(few.folder / PARTICLES, "rlnCtfDataAreCtfPremultiplied", [1], "optics")
    average(few.folder, PARTICLES, *raw, "--overwrite", "--ssnr", "1", "--scale", "--variance")
    found = averages(few.folder)
    assert min(agreement(found, wanted)) > 0.995
    average(few.folder, PARTICLES, *raw, "--overwrite", "--ssnr", "1")
    np.testing.assert_allclose(averages(few.folder), wanted, atol=1e-4)
    average(few.folder, PARTICLES, "-o", "out", "--overwrite", "--robust", "median")
    assert min(agreement(averages(few.folder), few.references)) > 0.95


def test_dark_particles_and_backgrounds(few):
    average(few.folder, PARTICLES, "-o", "out", "--invert")
    for a, b in zip(averages(few.folder), few.references, strict=True):
        assert correlation(a, b, RADIUS) < -0.98


def test_bad_images_are_skipped_and_listed(few):
    with mrcfile.mmap(few.folder / "particles.mrcs", "r+") as mrc:
        mrc.data[7], mrc.data[11, 3, 3] = 1.0, np.nan
    average(few.folder, PARTICLES, "-o", "out", "--on-bad-image", "skip", "--plain")
    rows = table(few.folder / "out/skipped.star")
    assert rows["rlnImageName"].tolist() == ["000008@particles.mrcs", "000012@particles.mrcs"]
    assert rows["cryoalignReason"].tolist() == ["constant image", "NaN or infinite"]
    counts = table(few.folder / "out/averages.star", "averages")["cryoalignCount"].astype(int)
    assert counts.sum() == 258
    record = json.loads((few.folder / "out/run.json").read_text())
    assert record["counts"]["skipped"] == 2


def test_a_limit(few):
    average(few.folder, PARTICLES, "-o", "out", "--limit", 100, "--plain")
    assert table(few.folder / "out/averages.star", "averages")["cryoalignCount"].astype(int).sum() == 100


def test_images_without_angles_are_averaged_as_they_lie(few):
    for label in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"):
        set_cells(few.folder / PARTICLES, label, None)
    ran = average(few.folder, PARTICLES, "-o", "out", "--plain", "--interpolation", "nearest", "--no-normalize")
    assert any("rlnAnglePsi" in line for line in ran.lines)
    for number, image in zip(CLASS_NUMBERS, averages(few.folder), strict=True):
        np.testing.assert_allclose(image, few.made.images[few.numbers == number].mean(axis=0), atol=1e-5)


def test_as_an_external_job_of_relion(few):
    job = few.folder / "External/job001"
    job.mkdir(parents=True)
    (job / "RELION_JOB_EXIT_FAILURE").touch()  # stale
    words = "average --o External/job001/ --in_parts particles.star --recenter Yes --mask_diameter 150 --j 1"
    assert run(few.folder, *words.split()).status == 0
    assert [name for name in MARKERS if (job / name).exists()] == ["RELION_JOB_EXIT_SUCCESS"]
    nodes = table(job / "RELION_OUTPUT_NODES.star", "output_nodes")
    assert dict(zip(nodes["rlnPipeLineNodeName"], nodes["rlnPipeLineNodeType"], strict=True)) == {
        "External/job001/averages.star": "5", "External/job001/particles.star": "3"
    }  # fmt: skip
    assert table(job / "averages.star", "averages")["rlnReferenceImage"][0] == "000001@External/job001/averages.mrcs"


def test_the_report_is_drawn(few, with_report):
    average(few.folder, PARTICLES, "-o", "out", "--variance", "--scale", "--recenter")
    page = (few.folder / "out/report.html").read_text()
    assert "cryoalign average" in page and "CTF-weighted" in page
    assert (few.folder / "out/montage.png").stat().st_size > 10_000
