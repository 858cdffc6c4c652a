"""Particle tables: dialects, poses, subsets, joining and writing."""

from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.particles import read_particles, write_particles
from cryoalign.io.stacks import StackSource
from cryoalign.io.star import read_star


def test_relion31_table(project):
    particles = read_particles(["particles.star"])
    assert (len(particles), particles.dialect, particles.path) == (6, "3.1", Path("particles.star"))
    assert particles.stacks == [Path("stack.mrcs")]
    assert particles.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert (particles.stack_index.dtype, particles.frame.dtype, particles.box.dtype) == (np.int32, np.int64, np.int32)
    np.testing.assert_array_equal(particles.pixel_size_angstrom, 2.0)
    np.testing.assert_array_equal(particles.box, 8)
    np.testing.assert_array_equal(particles.optics_index, 0)
    assert particles.warnings == []
    poses = particles.poses()
    np.testing.assert_allclose(poses.psi, 10.0 * np.arange(6) + 0.5)
    np.testing.assert_allclose(poses.dx, np.arange(6))
    np.testing.assert_allclose(poses.dy, -2)
    assert not poses.mirror.any()


def test_written_table_equals_the_input(project):
    write_particles("out.star", read_particles(["particles.star"]))
    before, after = read_star("particles.star"), read_star("out.star")
    assert list(after.blocks) == ["optics", "particles"]
    for name in after.blocks:
        assert before.blocks[name].equals(after.blocks[name])


def test_optics_after_particles_and_odd_group_numbers(here, mrc_file, images):
    mrc_file(here / "a.mrcs", images)
    (here / "p.star").write_text(
        "data_particles\n\nloop_\n_rlnImageName\n_rlnOriginXAngst\n_rlnOpticsGroup\n"
        "1@a.mrcs 3 7\n2@a.mrcs 3 42\n3@a.mrcs 3 7\n\n"
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnImagePixelSize\n"
        "42 b 1.5\n3 unused 9\n7 a 3.0\n\n"
        "data_extra\n\n_note 'keep me'\n"
    )
    particles = read_particles(["p.star"])
    assert particles.optics_index.tolist() == [2, 0, 2]
    assert particles.pixel_size_angstrom.tolist() == [3.0, 1.5, 3.0]
    assert particles.poses().dx.tolist() == [1.0, 2.0, 1.0]
    groups = particles.groups_by_box()
    assert [(g.box, g.pixel_size_angstrom, g.rows.tolist()) for g in groups] == [(8, 3.0, [0, 2]), (8, 1.5, [1])]
    said = write_particles("out.star", particles)
    blocks = read_star("out.star").blocks
    assert list(blocks) == ["optics", "particles", "extra"]
    assert blocks["extra"] == {"note": "keep me"}
    assert blocks["particles"]["rlnOpticsGroup"].tolist() == ["7", "42", "7"]
    assert blocks["optics"]["rlnOpticsGroup"].tolist() == ["42", "3", "7"]
    assert blocks["optics"]["rlnImageSize"].tolist() == ["8", "8", "8"]
    assert blocks["optics"]["rlnImageDimensionality"].tolist() == ["2", "2", "2"]
    assert said == ["RELION needs columns that the input does not have: rlnVoltage, rlnSphericalAberration"]


OLD = [
    "rlnImageName",
    "rlnOriginX",
    "rlnOriginY",
    "rlnAnglePsi",
    "rlnDetectorPixelSize",
    "rlnMagnification",
    "rlnVoltage",
    "x",
]


@pytest.mark.parametrize("block", ["", "images", "particles", "model_class_1"])
def test_older_table_becomes_relion31(here, mrc_file, star_file, images, block):
    mrc_file(here / "a.mrcs", images)
    rows = [
        [f"{i + 1}@a.mrcs", 2.5, -1, 30, "14.000000", mag, 300, f"0{i}"] for i, mag in enumerate((70000, 35000, 70000))
    ]
    star_file(here / "old.star", OLD, rows, block=block)
    particles = read_particles(["old.star"])
    assert particles.dialect == "3.0"
    assert particles.pixel_size_angstrom.tolist() == [2.0, 4.0, 2.0]
    assert particles.poses().dx.tolist() == [2.5, 2.5, 2.5]
    assert list(particles.particles) == OLD
    assert any("RELION 3.0 or older" in warning for warning in particles.warnings)
    write_particles("new.star", particles)
    again = read_particles(["new.star"])
    assert again.dialect == "3.1"
    assert again.optics["rlnImagePixelSize"].tolist() == ["2.000000", "4.000000"]
    assert again.optics["rlnVoltage"].tolist() == ["300", "300"]
    assert again.optics["rlnImageSize"].tolist() == ["8", "8"]
    assert again.particles["rlnOpticsGroup"].tolist() == ["1", "2", "1"]
    assert again.particles["rlnOriginXAngst"].tolist() == ["5.000000", "10.000000", "5.000000"]
    assert "rlnOriginX" not in again.particles
    assert again.particles["x"].tolist() == ["00", "01", "02"]
    for name in ("psi", "dx", "dy"):
        np.testing.assert_allclose(getattr(again.poses(), name), getattr(particles.poses(), name))


def test_group_numbers_without_an_optics_table_are_kept(here, mrc_file, star_file, images):
    mrc_file(here / "a.mrcs", images)
    labels = ["rlnImageName", "rlnOpticsGroup", "rlnPixelSize"]
    star_file(here / "p.star", labels, [["1@a.mrcs", 5, 2.0], ["2@a.mrcs", 3, 2.0]])
    assert read_particles(["p.star"]).optics["rlnOpticsGroup"].tolist() == ["5", "3"]
    star_file(here / "p.star", labels, [["1@a.mrcs", 5, 2.0], ["2@a.mrcs", 5, 3.0]])
    particles = read_particles(["p.star"])
    assert particles.optics["rlnOpticsGroup"].tolist() == ["1", "2"]
    assert any("renumbered" in warning for warning in particles.warnings)
    write_particles("out.star", particles)
    assert read_particles(["out.star"]).particles["rlnOpticsGroup"].tolist() == ["1", "2"]


def test_angstrom_origins_win_and_pixel_origins_beside_optics(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    both = ["rlnImageName", "rlnOriginX", "rlnOriginY", "rlnOriginXAngst", "rlnOriginYAngst"]
    star_file(here / "both.star", both, [["1@a.mrcs", 7, 7, 4, 6]], optics=optics)
    poses = read_particles(["both.star"]).poses()
    assert (poses.dx[0], poses.dy[0]) == (2.0, 3.0)
    star_file(here / "pixel.star", both[:3], [["1@a.mrcs", 7, -8]], optics=optics)
    poses = read_particles(["pixel.star"]).poses()
    assert (poses.dx[0], poses.dy[0]) == (7.0, -8.0)


def test_new_origins_replace_both_kinds(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    star_file(here / "p.star", ["rlnOriginX", "rlnImageName"], [[9, "1@a.mrcs"]], optics=optics)
    changed = read_particles(["p.star"]).with_columns({"rlnOriginXAngst": np.array([1.0])})
    assert list(changed.particles) == ["rlnImageName", "rlnOriginXAngst"]
    assert changed.poses().dx.tolist() == [0.5]


def test_with_columns_keeps_place_and_the_original(project):
    particles = read_particles(["particles.star"])
    psi = np.linspace(-170, 170, 6)
    changed = particles.with_columns(
        {"rlnAnglePsi": psi, "cryoalignScore": psi.astype(np.float32) / 1000, "rlnClassNumber": np.arange(6),
         "name": list("abcdef")},
        drop=["rlnDefocusU", "not there"],
    )  # fmt: skip
    assert list(changed.particles) == [
        "rlnImageName", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup", "cryoalignScore",
        "rlnClassNumber", "name",
    ]  # fmt: skip
    assert changed.particles["rlnAnglePsi"].tolist()[:2] == ["-170.000000", "-102.000000"]
    assert changed.particles["rlnClassNumber"].tolist() == ["0", "1", "2", "3", "4", "5"]
    np.testing.assert_allclose(changed.poses().psi, psi, atol=1e-6)
    assert particles.particles["rlnAnglePsi"].tolist()[0] == "0.500000"
    assert "name" not in particles.particles
    with pytest.raises(ValueError, match="5 values for 6"):
        particles.with_columns({"x": np.zeros(5)})
    with pytest.raises(InputError, match="row 3: x would be written as nan"):
        particles.with_columns({"x": np.array([0, 1, np.nan, 0, 0, 0])})


def test_new_image_names_mean_new_stacks(project, images):
    particles = read_particles(["particles.star"])
    changed = particles.with_columns({"rlnImageName": [f"{6 - i}@aligned.mrcs" for i in range(6)]})
    assert changed.stacks == [Path("aligned.mrcs")]
    assert changed.frame.tolist() == [5, 4, 3, 2, 1, 0]
    (project / "stack.mrcs").rename(project / "aligned.mrcs")
    np.testing.assert_array_equal(StackSource(changed).read(np.arange(6)), images[::-1])


def test_take(project):
    particles = read_particles(["particles.star"])
    some = particles.take([4, 0, 4])
    assert some.image_names() == ["000005@stack.mrcs", "000001@stack.mrcs", "000005@stack.mrcs"]
    assert some.frame.tolist() == [4, 0, 4]
    assert [some.where(i) for i in range(3)] == [(Path("particles.star"), row) for row in (5, 1, 5)]
    assert particles.take(np.arange(6) > 3).source_row.tolist() == [5, 6]
    assert len(particles.take([])) == 0


def test_errors_after_take_speak_of_the_file(project):
    text = (project / "particles.star").read_text().replace("40.500000", "forty")
    (project / "particles.star").write_text(text)
    particles = read_particles(["particles.star"]).take([0, 4])
    with pytest.raises(InputError, match=r"particles\.star, row 5: rlnAnglePsi is not a number \('forty'\)"):
        particles.poses()


def test_prior_halves_flips_and_micrographs(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    labels = ["rlnImageName", "rlnAnglePsi", "rlnAnglePsiPrior", "rlnRandomSubset", "rlnIsFlip", "rlnMicrographName"]
    rows = [["1@a.mrcs", 5, 50, 1, 0, "m1.mrc"], ["2@a.mrcs", 6, 60, 2, 1, "m2.mrc"]]
    star_file(here / "p.star", labels, rows, optics=optics)
    particles = read_particles(["p.star"])
    assert particles.psi_prior().tolist() == [50, 60]
    assert particles.random_subset().tolist() == [1, 2]
    assert particles.random_subset().dtype == np.int8
    assert particles.poses().mirror.tolist() == [False, True]
    assert particles.micrograph_names() == ["m1.mrc", "m2.mrc"]
    bare = particles.with_columns({}, drop=labels[1:])
    assert bare.random_subset() is None
    assert bare.psi_prior() is None
    assert bare.micrograph_names() is None
    without = particles.with_columns({}, drop=["rlnAnglePsiPrior"])
    assert without.psi_prior().tolist() == [5, 6]


@pytest.mark.parametrize(("label", "value"), [("rlnRandomSubset", 3), ("rlnRandomSubset", 0), ("rlnIsFlip", 2)])
def test_choices_outside_their_range(here, mrc_file, star_file, images, optics, label, value):
    mrc_file(here / "a.mrcs", images)
    star_file(here / "p.star", ["rlnImageName", label], [["1@a.mrcs", 1], ["2@a.mrcs", value]], optics=optics)
    particles = read_particles(["p.star"])
    with pytest.raises(InputError, match=rf"p\.star, row 2: {label} is none of .* \({value}\)"):
        particles.random_subset()
        particles.poses()


def test_bare_stack(here, mrc_file, images):
    particles = read_particles([mrc_file(Path("a.mrcs"), images, voxel=1.34)])
    assert particles.dialect == "stack"
    assert particles.image_names()[5] == "000006@a.mrcs"
    assert particles.pixel_size_angstrom[0] == 1.34
    assert any("guessed from the header" in warning for warning in particles.warnings)
    said = write_particles("out.star", particles)
    assert "rlnVoltage, rlnSphericalAberration" in said[0]
    again = read_particles(["out.star"])
    assert (again.dialect, again.pixel_size_angstrom[0], again.box[0]) == ("3.1", 1.34, 8)


def test_volume_is_no_stack(here, mrc_file):
    with pytest.raises(InputError, match=r"v\.mrc: is a 3-D map"):
        read_particles([mrc_file(Path("v.mrc"), np.ones((8, 8, 8)), ispg=1)])


def test_single_image_without_an_index(here, mrc_file, star_file, images, optics):
    mrc_file(here / "one.mrc", images[:1])
    star_file(here / "p.star", ["rlnImageName", "a"], [["one.mrc", 1]], optics=optics)
    particles = read_particles(["p.star"])
    assert particles.frame.tolist() == [0]
    assert any(".mrcs" in warning for warning in write_particles("out.star", particles))
    mrc_file(here / "one.mrc", images)
    with pytest.raises(InputError, match=r"p\.star, row 1: no image index, but the stack \(6 images"):
        read_particles(["p.star"])


def test_limit_needs_only_the_stacks_of_its_rows(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    star_file(
        here / "p.star", ["rlnImageName", "a"], [["1@a.mrcs", 0], ["2@a.mrcs", 1], ["1@gone.mrcs", 2]], optics=optics
    )
    assert len(read_particles(["p.star"], limit=2)) == 2
    assert len(read_particles(["p.star", "p.star"], limit=2)) == 2
    assert len(read_particles(["p.star", "never-opened.star"], limit=2)) == 2
    assert len(read_particles(["a.mrcs", "a.mrcs"], limit=8)) == 8


def test_table_alone(here, star_file, optics):
    star_file(here / "p.star", ["rlnImageName", "a"], [["1@gone.mrcs", 0]], optics=optics)
    particles = read_particles(["p.star"], check_stacks=False)
    assert (particles.box.tolist(), particles.headers) == ([8], None)


def test_stack_found_elsewhere_is_renamed_and_said(here, mrc_file, star_file, images, optics):
    (here / "job").mkdir()
    (here / "raw").mkdir()
    mrc_file(here / "job" / "a.mrcs", images)
    mrc_file(here / "raw" / "b.mrcs", images)
    star_file(here / "job" / "p.star", ["rlnImageName", "x"], [["2@a.mrcs", 0], ["000001@b.mrcs", 1]], optics=optics)
    particles = read_particles(["job/p.star"], datadir=Path("raw"))
    assert particles.image_names() == ["2@job/a.mrcs", "000001@raw/b.mrcs"]
    assert any("a.mrcs found at, and written as, job/a.mrcs (and 1 more)" in warning for warning in particles.warnings)
    np.testing.assert_array_equal(StackSource(particles).read(np.arange(2)), images[[1, 0]])


def test_given_pixel_size_wins_and_keeps_offsets_in_pixels(project):
    particles = read_particles(["particles.star"], angpix=4.0)
    np.testing.assert_array_equal(particles.pixel_size_angstrom, 4.0)
    np.testing.assert_allclose(particles.poses().dx, np.arange(6))
    assert particles.optics["rlnImagePixelSize"].tolist() == ["4.000000"]
    assert any("4 A as given, instead of 2 A" in warning for warning in particles.warnings)
    assert read_particles(["particles.star"], angpix=2.0).warnings == []
    with pytest.raises(InputError, match=r"must be from 0\.01 to 1000 A"):
        read_particles(["particles.star"], angpix=0.0)


def test_particles_without_groups_in_a_table_of_one(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    star_file(here / "p.star", ["rlnImageName", "x"], [["1@a.mrcs", 0]], optics=optics)
    particles = read_particles(["p.star"])
    assert any("all are in group 1" in warning for warning in particles.warnings)
    write_particles("out.star", particles)
    assert read_star("out.star").blocks["particles"]["rlnOpticsGroup"].tolist() == ["1"]


def test_optics_without_pixel_size_take_it_from_the_particles(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    del optics["rlnImagePixelSize"]
    labels = ["rlnImageName", "rlnDetectorPixelSize", "rlnMagnification"]
    star_file(here / "p.star", labels, [["1@a.mrcs", 5, 20000]], optics=optics)
    particles = read_particles(["p.star"])
    assert particles.pixel_size_angstrom.tolist() == [2.5]
    write_particles("out.star", particles)
    assert read_particles(["out.star"]).optics["rlnImagePixelSize"].tolist() == ["2.500000"]


def test_inputs_are_joined(project, mrc_file, star_file, images):
    mrc_file(project / "old.mrcs", images[:2] + 1, voxel=3.0)
    labels = ["rlnImageName", "rlnAnglePsi", "rlnOriginX", "rlnOriginY", "rlnDefocusU", "extra", "rlnPixelSize"]
    labels += ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnOpticsGroupName"]
    row = [1, 1.5, 0, 9000, "kept?", 3.0, 200, 2.7, 0.1, "grid1"]
    star_file(project / "old.star", labels, [[f"{i + 1}@old.mrcs", *row] for i in range(2)], block="")
    joined = read_particles(["particles.star", "old.star", "particles.star"])
    assert (len(joined), joined.dialect, joined.path) == (14, "3.1", None)
    assert joined.optics["rlnOpticsGroup"].tolist() == ["1", "2", "3"]
    assert joined.optics["rlnOpticsGroupName"].tolist() == ["grid1", "grid1_2", "grid1_3"]
    assert joined.particles["rlnOpticsGroup"].tolist() == ["1"] * 6 + ["2"] * 2 + ["3"] * 6
    assert joined.pixel_size_angstrom.tolist() == [2.0] * 6 + [3.0] * 2 + [2.0] * 6
    np.testing.assert_allclose(joined.poses().dx[5:9], [5, 1.5, 1.5, 0])
    assert "extra" not in joined.particles
    assert any("extra" in warning for warning in joined.warnings)
    assert joined.where(7) == (Path("old.star"), 2)
    expected = np.concatenate([images, images[:2] + 1, images])
    np.testing.assert_array_equal(StackSource(joined).read(np.arange(14)), expected)
    write_particles("joined.star", joined)
    again = read_particles(["joined.star"])
    assert again.particles.equals(joined.particles)
    np.testing.assert_array_equal(StackSource(again).read(np.arange(14)), expected)


def test_inputs_that_would_lose_poses_are_not_joined(project):
    with pytest.raises(
        InputError, match=r"stack\.mrcs: cannot be joined .* optics table has no rlnAmplitudeContrast, rln"
    ):
        read_particles(["particles.star", "stack.mrcs"], angpix=2.0)
    text = (project / "particles.star").read_text().replace("rlnAnglePsi", "somethingElse")
    (project / "other.star").write_text(text)
    with pytest.raises(InputError, match=r"other\.star: cannot be joined .* particle table has no rlnAnglePsi"):
        read_particles(["particles.star", "other.star"])


def test_no_input():
    with pytest.raises(InputError, match="no input particles"):
        read_particles([])


def test_same_bytes_each_time(project):
    particles = read_particles(["particles.star"])
    write_particles("a.star", particles)
    write_particles("b.star", particles)
    assert Path("a.star").read_bytes() == Path("b.star").read_bytes()


def test_a_copy_in_the_data_folder_is_read_and_written(here, mrc_file, star_file, images, optics):
    (here / "copy").mkdir()
    mrc_file(here / "a.mrcs", images)
    mrc_file(here / "copy" / "a.mrcs", images + 100)
    star_file(here / "p.star", ["rlnImageName", "x"], [["2@a.mrcs", 0]], optics=optics)
    particles = read_particles(["p.star"], datadir=Path("copy"))
    assert particles.image_names() == ["2@copy/a.mrcs"]
    assert "p.star: a.mrcs found at, and written as, copy/a.mrcs" in particles.warnings
    np.testing.assert_array_equal(StackSource(particles).read(np.array([0]))[0], images[1] + 100)
    assert read_particles(["p.star"], datadir=here).image_names() == ["2@a.mrcs"]


def test_a_project_that_was_moved(here, mrc_file, star_file, images, optics):
    (here / "Extract" / "job3").mkdir(parents=True)
    mrc_file(here / "Extract" / "job3" / "a.mrcs", images)
    star_file(here / "p.star", ["rlnImageName", "x"], [["2@/data/lab/Extract/job3/a.mrcs", 0]], optics=optics)
    assert read_particles(["p.star"], datadir=here).image_names() == ["2@Extract/job3/a.mrcs"]
    with pytest.raises(InputError, match=r"1 stack not found: .*; --datadir \. would find Extract/job3/a\.mrcs"):
        read_particles(["p.star"])
