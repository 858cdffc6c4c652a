"""What cannot be selected: one clear line, exit status, no result."""

from __future__ import annotations

import pytest

from helpers.select import particle_columns, rows, select, write_particles_star, write_table

N = 40


def drop(columns, *labels):
    """Return columns without some."""
    return {label: cells for label, cells in columns.items() if label not in labels}


def changed(label, row, value):
    """Return the columns with one cell changed (rows from 1)."""
    columns = particle_columns(N)
    columns[label][row - 1] = value
    return columns


@pytest.mark.parametrize(
    ("columns", "words", "said"),
    [
        ({}, ["--where", "rlnDefocsU < 3"], ["p.star: there is no column rlnDefocsU"]),
        ({}, ["--where", "Score > 3"], ["no column Score; did you mean cryoalignScore"]),
        ({}, ["--where", "otherNote > 3"], ["p.star, row ", "otherNote is not a number", "text takes == and !="]),
        (changed("cryoalignScore", 7, "high"), ["--min-score", "0"], ["p.star, row 7: cryoalignScore", "'high'"]),
        (changed("cryoalignScore", 7, "high"), ["--best", "3"], ["p.star, row 7: cryoalignScore is not a number"]),
        (changed("rlnClassNumber", 3, "1.5"), ["--classes", "1"], ["row 3: rlnClassNumber is not a whole number"]),
        (changed("rlnImageName", 3, "0@s.mrcs"), ["--random", "1"], ["p.star, row 3: image index"]),
        (changed("rlnCoordinateX", 5, "x"), ["--min-distance", "9"], ["row 5: rlnCoordinateX is not a number"]),
        (drop(particle_columns(N), "cryoalignScore"), ["--min-score", "0"], ["no column cryoalignScore"]),
        (drop(particle_columns(N), "cryoalignScore"), ["--best", "3"], ["no cryoalignScore", "--rank-by"]),
        (drop(particle_columns(N), "cryoalignFlag"), ["--good-flags"], ["no column cryoalignFlag"]),
        (drop(particle_columns(N), "rlnClassNumber"), ["--classes", "1"], ["p.star: the particles have no rlnClassN"]),
        (drop(particle_columns(N), "rlnCoordinateY"), ["--min-distance", "9"], ["there is no rlnCoordinateY"]),
        (drop(particle_columns(N), "rlnMicrographName"), ["--min-distance", "9"], ["there is no rlnMicrographName"]),
        (drop(particle_columns(N), "rlnImageName"), ["--random", "3"], ["p.star: no table with rlnImageName"]),
        ({}, ["--best", "3", "--rank-by", "cryoalignScor"], ["no column cryoalignScor; did you mean cryoalignScore"]),
        ({}, ["--classes", "9"], ["no particle is left of 40: --classes 9 removed 40"]),
        ({}, ["--classes", "1-2", "--min-score", "2"], ["--classes 1-2 removed ", "--min-score 2 removed "]),
        ({}, ["--min-score", "-2", "--invert-selection"], ["all 40 pass, and --invert-selection keeps the others"]),
        ({}, ["--min-class-quality", "1"], ["p.star: no class table beside the particles (averages.star)"]),
        ({}, ["--class-table", "t.star", "--min-class-quality", "1"], ["t.star: there is no column cryoalignQuality"]),
        ({}, ["--class-table", "t.star", "--class-where", "rlnX > 1"], ["t.star, row 2: rlnX is not a number"]),
        ({}, ["--class-table", "absent.star", "--class-where", "rlnX > 1"], ["absent.star: no such file"]),
        ({}, ["--classes-from", "p.txt"], ["p.txt"]),
        ({}, ["--classes-from", "recentred/class_averages.star"], ["their numbers count the images"]),
    ],
)  # fmt: skip
def test_refused_in_one_line(tmp_path, columns, words, said):
    write_particles_star(tmp_path / "p.star", columns or particle_columns(N))
    table = {"rlnReferenceImage": ["1@c.mrcs", "2@c.mrcs"], "rlnX": [3, "abc"]}
    write_table(tmp_path / "t.star", {"averages": table})
    lost = {"rlnReferenceImage": ["000001@Select/class_averages.mrcs"]}
    write_table(tmp_path / "recentred" / "class_averages.star", {"": lost})
    (tmp_path / "p.txt").write_text("1,2,3\n")
    ran = select(tmp_path, "-q", "p.star", "-o", "out", *words, status=1)
    errors = [line for line in ran.lines if line.startswith("Error: ")]
    assert len(errors) == 1 and ran.lines[-1] == errors[0]
    for text in said:
        assert text in errors[0]
    assert not (tmp_path / "out").exists()  # what wrote nothing leaves nothing


def test_unclear_pixel_size_of_micrographs(tmp_path):
    columns = particle_columns(N)
    write_particles_star(tmp_path / "p.star", columns, rlnMicrographOriginalPixelSize=0.5)
    ran = select(tmp_path, "-q", "p.star", "-o", "out", "--min-distance", "50", status=1)
    assert "rlnMicrographOriginalPixelSize 0.5 A, rlnImagePixelSize 2 A" in ran.lines[-1]
    assert "--coordinate-angpix" in ran.lines[-1]
    kept = []
    for size in ("0.5", "2"):
        select(tmp_path, "-q", "p.star", "-o", f"out{size}", "--min-distance", "50", "--coordinate-angpix", size)
        kept.append((tmp_path / f"out{size}" / "particles.star").read_text().count("@"))
    assert kept[0] < kept[1]
    write_particles_star(tmp_path / "p.star", columns, rlnMicrographPixelSize=2, rlnMicrographOriginalPixelSize=0.5)
    select(tmp_path, "-q", "p.star", "-o", "clear", "--min-distance", "50")
    assert rows(tmp_path / "clear" / "particles.star") == rows(tmp_path / "out2" / "particles.star")


def test_a_zero_pixel_size(tmp_path):
    write_particles_star(tmp_path / "p.star", particle_columns(N), rlnMicrographPixelSize=0)
    ran = select(tmp_path, "-q", "p.star", "-o", "out", "--min-distance", "50", status=1)
    assert "rlnMicrographPixelSize of rlnOpticsGroup 1 must be above 0 (0.0)" in ran.lines[-1]


def test_several_inputs_need_their_table_of_classes(tmp_path):
    for name in "ab":
        write_particles_star(tmp_path / f"{name}.star", particle_columns(N))
    ran = select(tmp_path, "-q", "a.star", "b.star", "-o", "out", "--min-class-quality", "1", status=1)
    assert "several inputs" in ran.lines[-1] and "--class-table" in ran.lines[-1]


def test_finished_runs_are_not_overwritten_unasked(tmp_path):
    write_particles_star(tmp_path / "p.star", particle_columns(N))
    select(tmp_path, "-q", "p.star", "-o", "out", "--random", "5")
    before = (tmp_path / "out" / "particles.star").read_bytes()
    ran = select(tmp_path, "-q", "p.star", "-o", "out", "--random", "6", status=1)
    assert "--overwrite" in ran.lines[-1]
    assert (tmp_path / "out" / "particles.star").read_bytes() == before
    select(tmp_path, "-q", "p.star", "-o", "out", "--min-score", "-1", "--overwrite")
    assert not (tmp_path / "out" / "removed.star").exists()


def test_conditions_see_only_what_is_left(tmp_path):
    write_particles_star(tmp_path / "p.star", changed("cryoalignScore", 7, "none"))
    words = ["--where", "cryoalignScore != none", "--min-score", "0.5"]
    # Short forms come first, so the words decide here.
    select(tmp_path, "-q", "p.star", "-o", "a", *words, status=1)
    select(tmp_path, "-q", "p.star", "-o", "b", *words[:2], "--where", "cryoalignScore >= 0.5")
