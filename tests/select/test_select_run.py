"""``select`` from end to end: what is kept, in which words the rest is removed, what the files hold."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.select import REASON, blocks, names, particle_columns, rows, select, write_particles_star, write_table

N = 200


@pytest.fixture
def project(tmp_path):
    """Return a folder with particles.star, and its columns as arrays."""
    columns = particle_columns(N)
    write_particles_star(tmp_path / "particles.star", columns)
    return tmp_path, {label: np.array(cells) for label, cells in columns.items()}


def kept(folder, *words):
    """Run select on particles.star and return the rows kept; hold that the others are in removed.star."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    select(folder, "-q", "particles.star", "-o", "out", *words)
    found = rows(folder / "out" / "particles.star")
    removed = rows(folder / "out" / "removed.star") if (folder / "out" / "removed.star").exists() else []
    assert sorted(found + removed) == list(range(N))
    assert found == sorted(found) and removed == sorted(removed)
    return found


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["--classes", "1,3-4"], lambda c: np.isin(c["rlnClassNumber"], [1, 3, 4])),
        (["--exclude-classes", "2"], lambda c: c["rlnClassNumber"] != 2),
        (["--classes", "1-3", "--exclude-classes", "2"], lambda c: np.isin(c["rlnClassNumber"], [1, 3])),
        (["--where", "cryoalignScore >= 0.5"], lambda c: c["cryoalignScore"] >= 0.5),
        (["--where", "_cryoalignScore<0.5"], lambda c: c["cryoalignScore"] < 0.5),
        (["--where", "otherNote == one"], lambda c: c["otherNote"] == "one"),
        (["--where", "otherNote != 'two|three'"], lambda c: c["otherNote"] != "two|three"),
        (["--where", "otherNote == 4"], lambda c: c["otherNote"] == "4"),
        (["--where", "rlnCoordinateX > 100", "--where", "rlnCoordinateY <= 300"],
         lambda c: (c["rlnCoordinateX"] > 100) & (c["rlnCoordinateY"] <= 300)),
        (["--where", "rlnVoltage == 300", "--where", "rlnClassNumber != 4"], lambda c: c["rlnClassNumber"] != 4),
        (["--min-score", "0.25"], lambda c: c["cryoalignScore"] >= 0.25),
        (["--max-psi-error", "2"], lambda c: c["cryoalignPsiError"] <= 2),
        (["--max-shift-error", "1.5"], lambda c: c["cryoalignShiftError"] <= 1.5),
        (["--good-flags"], lambda c: c["cryoalignFlag"] == 0),
        (["--min-class-size", "50"], lambda c: np.bincount(c["rlnClassNumber"])[c["rlnClassNumber"]] >= 50),
        (["--best", "20"], lambda c: c["cryoalignScore"] >= 0.9),
        (["--best", "12.5%"], lambda c: c["cryoalignScore"] >= 0.875),
        (["--best", "5%", "--rank-by", "cryoalignScore", "--rank-lowest"], lambda c: c["cryoalignScore"] < 0.05),
    ],
)  # fmt: skip
def test_criteria_keep_what_they_say(project, words, holds):
    folder, columns = project
    expected = np.flatnonzero(holds(columns)).tolist()
    assert 0 < len(expected) < N
    assert kept(folder, *words) == expected
    assert kept(folder, *words, "--invert-selection") == sorted(set(range(N)) - set(expected))
    assert set(blocks(folder / "out" / "removed.star")["particles"][REASON]) == {"passes all (--invert-selection)"}


def test_rows_and_other_blocks_stay_to_the_letter(tmp_path):
    columns = particle_columns(20) | {
        "rlnImageName": [f"{i + 1}@Extract/./job1/stack.mrcs" for i in range(20)],
        "strange": [("0.10", "1e-3", "'a b'", "#7", "nan")[i % 5] for i in range(20)],
    }
    path = write_particles_star(tmp_path / "particles.star", columns, rlnMtfFileName="mtf.star")
    path.write_text(path.read_text().replace("#7", "'#7'") + "\ndata_extra\n\n_note 'keep me'\n")
    select(tmp_path, "-q", path, "-o", "out", "--where", "rlnCoordinateX < 200")
    before, after = blocks(path), blocks(tmp_path / "out" / "particles.star")
    assert list(after) == ["optics", "particles", "extra"] and after["extra"] == before["extra"]
    assert after["optics"].equals(before["optics"])
    mine = before["particles"]["rlnCoordinateX"].astype(int) < 200
    assert after["particles"].equals(before["particles"][mine].reset_index(drop=True))
    removed = blocks(tmp_path / "out" / "removed.star")["particles"]
    assert removed.drop(columns=REASON).equals(before["particles"][~mine].reset_index(drop=True))
    assert set(removed[REASON]) == {"--where rlnCoordinateX < 200"}


def test_each_row_is_removed_by_the_first_criterion_and_the_record_counts_them(project):
    folder, columns = project
    ran = select(folder, "particles.star", "-o", "out", "--classes", "1,2", "--min-score", "0.3", "--random", "10")
    removed = blocks(folder / "out" / "removed.star")["particles"]
    inside = np.isin(columns["rlnClassNumber"], [1, 2])
    low = inside & (columns["cryoalignScore"] < 0.3)
    good = inside & ~low
    counts = {"--classes 1,2": int((~inside).sum()), "--min-score 0.3": int(low.sum()),
              "--random 10": int(good.sum()) - 10}  # fmt: skip
    assert removed[REASON].value_counts().to_dict() == counts
    record = json.loads((folder / "out" / "run.json").read_text())
    assert record["status"] == "finished" and record["exit_status"] == 0
    assert (record["counts"]["read"], record["counts"]["kept"], record["counts"]["removed"]) == (N, 10, N - 10)
    assert {c["criterion"]: c["rows"] for c in record["counts"]["removed_by"]} == counts
    left = N
    for name, count in counts.items():
        left -= count
        assert f"{count:10d} {left:10d}  {name}" in ran.out
    assert ran.out[-1] == f"kept 10 of {N} particles"
    assert not set(ran.out) & set(ran.lines)
    assert (folder / "out" / "RELION_JOB_EXIT_SUCCESS").exists()
    assert "out/particles.star 3 " in (folder / "out" / "RELION_OUTPUT_NODES.star").read_text()


def test_results_for_a_program(project):
    ran = select(project[0], "-q", "particles.star", "-o", "out", "--classes", "1,2", "--json")
    assert json.loads("\n".join(ran.out)) == json.loads((project[0] / "out" / "run.json").read_text())["counts"]
    assert all(line.startswith("Warning: stack.mrcs not found") for line in ran.lines)


def test_nothing_removed_leaves_no_second_file(project):
    folder, _ = project
    assert kept(folder, "--min-score", "-1") == list(range(N))
    assert not (folder / "out" / "removed.star").exists()


def test_classes_by_a_table_beside_the_particles(project):
    folder, columns = project
    write_table(
        folder / "averages.star",
        {
            "averages": {
                "rlnReferenceImage": [f"{i}@averages.mrcs" for i in (1, 2, 3)],
                "rlnClassNumber": [1, 2, 4],
                "cryoalignQuality": [0.9, 0.2, 0.8],
                "rlnEstimatedResolution": [9.5, 8, 999],
                "cryoalignCount": [50, 5, 60],
            }
        },
    )
    assert (
        kept(folder, "--min-class-quality", "0.5")
        == np.flatnonzero(np.isin(columns["rlnClassNumber"], [1, 4])).tolist()
    )
    assert "averages.star does not list class 3" in json.loads((folder / "out" / "run.json").read_text())["warnings"][1]
    assert kept(folder, "--max-class-resolution", "10") == np.flatnonzero(columns["rlnClassNumber"] <= 2).tolist()
    both = ["--min-class-quality", "0.5", "--class-where", "cryoalignCount < 55"]
    assert kept(folder, *both) == np.flatnonzero(columns["rlnClassNumber"] == 1).tolist()
    (folder / "averages.star").rename(folder / "elsewhere.star")
    assert (
        kept(folder, *both, "--class-table", "elsewhere.star")
        == np.flatnonzero(columns["rlnClassNumber"] == 1).tolist()
    )
    paths = [entry["path"] for entry in json.loads((folder / "out" / "run.json").read_text())["inputs"]]
    assert paths == ["particles.star", "elsewhere.star"]


def test_relion_model_beside_its_data(project):
    folder, columns = project
    (folder / "particles.star").rename(folder / "run_it025_data.star")
    write_table(folder / "run_it025_model.star", {"model_classes": {
        "rlnReferenceImage": [f"{k:06d}@run_it025_classes.mrcs" for k in (1, 2, 3, 4)],
        "rlnEstimatedResolution": [20, 8.5, "inf", 9]}})  # fmt: skip
    select(folder, "-q", "run_it025_data.star", "-o", "out", "--max-class-resolution", "10")
    assert rows(folder / "out" / "particles.star") == np.flatnonzero(columns["rlnClassNumber"] % 2 == 0).tolist()


def test_classes_that_somebody_chose(project):
    folder, columns = project
    write_table(folder / "backup_selection.star", {"": {"rlnSelected": [0, 1, 0, 1]}})
    expected = np.flatnonzero(columns["rlnClassNumber"] % 2 == 0).tolist()
    assert kept(folder, "--classes-from", "backup_selection.star") == expected


def test_one_row_of_each_image_however_its_name_is_written(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.mrcs").touch()
    (tmp_path / "link.mrcs").symlink_to(tmp_path / "data" / "a.mrcs")
    images = ["1@data/a.mrcs", "000001@data/../data//a.mrcs", "2@data/a.mrcs", "01@link.mrcs",
              f"2@{tmp_path}/data/a.mrcs", "1@gone/b.mrcs", "1@./gone/b.mrcs:mrcs", "1@gone/c.mrcs"]  # fmt: skip
    write_particles_star(tmp_path / "p.star", {"rlnImageName": images, "rlnOpticsGroup": [1] * 8})
    select(tmp_path, "-q", "p.star", "-o", "first", "--unique")
    assert names(tmp_path / "first" / "particles.star") == [images[i] for i in (0, 2, 5, 7)]
    scores = {"cryoalignScore": [1, 2, 3, 9, 4, 0, 7, 0]}
    write_particles_star(tmp_path / "p.star", {"rlnImageName": images, "rlnOpticsGroup": [1] * 8} | scores)
    select(tmp_path, "-q", "p.star", "-o", "best", "--unique")
    assert names(tmp_path / "best" / "particles.star") == [images[i] for i in (3, 4, 6, 7)]
    select(tmp_path, "-q", "p.star", "-o", "low", "--unique", "--rank-by", "cryoalignScore", "--rank-lowest")
    assert names(tmp_path / "low" / "particles.star") == [images[i] for i in (0, 2, 5, 7)]


def brute_force(columns, pixel, distance):
    """Take particles by score; each removes the worse ones within the distance on its micrograph."""
    centre = [(x * pixel - ox, y * pixel - oy) for x, y, ox, oy in zip(
        *(np.asarray(columns[label], float) for label in (
            "rlnCoordinateX", "rlnCoordinateY", "rlnOriginXAngst", "rlnOriginYAngst")), strict=True)]  # fmt: skip
    mic, alive = columns["rlnMicrographName"], [True] * len(centre)
    order = sorted(range(len(centre)), key=lambda i: (-float(columns["cryoalignScore"][i]), i))
    for place, i in enumerate(order):
        for j in order[place + 1 :] if alive[i] else []:
            if mic[i] == mic[j] and np.hypot(centre[i][0] - centre[j][0], centre[i][1] - centre[j][1]) <= distance:
                alive[j] = False
    return [i for i, good in enumerate(alive) if good]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), distance=st.floats(1, 300), pixel=st.sampled_from([0.5, 2.0]))
def test_distances_against_brute_force(tmp_path, seed, n, distance, pixel):
    columns = particle_columns(n, seed)
    write_particles_star(tmp_path / "p.star", columns, rlnMicrographPixelSize=pixel)
    select(tmp_path, "-q", "p.star", "-o", "out", "--overwrite", "--min-distance", distance)
    assert rows(tmp_path / "out" / "particles.star") == brute_force(columns, pixel, distance)


def test_which_duplicates_stay_does_not_depend_on_the_order_of_rows(tmp_path):
    columns = particle_columns(150)
    columns["rlnImageName"][100:] = columns["rlnImageName"][:50]  # scores differ
    order = np.random.default_rng(5).permutation(150)
    write_particles_star(tmp_path / "a.star", columns)
    write_particles_star(tmp_path / "b.star", {label: [cells[i] for i in order] for label, cells in columns.items()})
    scores = []
    for name in ("a", "b"):
        select(tmp_path, "-q", f"{name}.star", "-o", name, "--unique", "--min-distance", "80", "--best", "30")
        scores.append(sorted(blocks(tmp_path / name / "particles.star")["particles"]["cryoalignScore"]))
    assert scores[0] == scores[1] and len(scores[0]) == 30


def test_a_sample_belongs_to_the_images_and_the_seed(project, tmp_path):
    folder, columns = project
    sample = kept(folder, "--random", "40", "--seed", "7")
    assert len(sample) == 40 and kept(folder, "--random", "40", "--seed", "7") == sample
    assert kept(folder, "--random", "40") != sample
    assert len(kept(folder, "--random", "10%")) == 20
    # Part of a larger sample, and the same whatever the order of the rows or a row more or less.
    assert set(sample) < set(kept(folder, "--random", "60", "--seed", "7"))
    order = np.random.default_rng(0).permutation(N)
    write_particles_star(folder / "particles.star", {label: cells[order] for label, cells in columns.items()})
    shutil.rmtree(folder / "out")
    select(folder, "-q", "particles.star", "-o", "out", "--random", "40", "--seed", "7")
    assert sorted(rows(folder / "out" / "particles.star")) == sample
    assert rows(folder / "out" / "particles.star") == [i for i in order if i in set(sample)]


def test_samples_are_even(tmp_path):
    n = 2000
    columns = {"rlnImageName": [f"{i % 500 + 1:06d}@s{i // 500}.mrcs" for i in range(n)], "rlnOpticsGroup": [1] * n}
    write_particles_star(tmp_path / "p.star", columns)
    taken = np.zeros(n)
    for seed in range(20):
        select(tmp_path, "-q", "p.star", "-o", "out", "--overwrite", "--random", "25%", "--seed", seed)
        for name in names(tmp_path / "out" / "particles.star"):
            frame, stack = name.split("@")
            taken[int(frame) - 1 + 500 * int(stack[1])] += 1
    # Binomial (20, 1/4): the counts have mean 5, variance 3.75; each stack and each half of a stack has its share.
    assert taken.var() == pytest.approx(3.75, rel=0.15)
    for part in taken.reshape(8, 250):
        assert part.mean() == pytest.approx(5, abs=5 * np.sqrt(3.75 / 250))
    assert abs(np.corrcoef(taken[:-1], taken[1:])[0, 1]) < 0.1


def test_older_tables_and_cryosparc(tmp_path, real_data):
    old = real_data / "jianglab_relion" / "ap_s_c2d.star"
    select(
        tmp_path, "-q", old, "-o", "old", "--classes", "1-10", "--best", "50", "--rank-by", "rlnAutopickFigureOfMerit"
    )
    table = blocks(tmp_path / "old" / "particles.star")["particles"]
    assert len(table) == 50 and (table["rlnClassNumber"].astype(int) <= 10).all()
    fom = blocks(old)[""]
    inside = fom[fom["rlnClassNumber"].astype(int) <= 10]["rlnAutopickFigureOfMerit"].astype(float)
    assert table["rlnAutopickFigureOfMerit"].astype(float).min() >= inside.sort_values().iloc[-50]
    cs = real_data / "cryodrgn" / "cryosparc_J2_particles_exported.cs"
    select(tmp_path, "-q", cs, "-o", "cs", "--random", "5")
    assert len(names(tmp_path / "cs" / "particles.star")) == 5


def test_a_bare_stack_and_several_files(tmp_path):
    from cryoalign.io.stack_writer import write_stack

    write_stack(tmp_path / "s.mrcs", np.ones((9, 8, 8), np.float32), 3.0)
    select(tmp_path, "-q", "s.mrcs", "-o", "out", "--random", "4")
    assert len(names(tmp_path / "out" / "particles.star")) == 4
    for name in "ab":
        columns = particle_columns(10) | {"rlnImageName": [f"{i + 1}@{name}.mrcs" for i in range(10)]}
        write_particles_star(tmp_path / f"{name}.star", columns)
    select(tmp_path, "-q", "a.star", "--i", "b.star", "-o", "both", "--min-score", "0.45")
    assert {name.split("@")[1] for name in names(tmp_path / "both" / "particles.star")} == {"a.mrcs", "b.mrcs"}
    assert len(names(tmp_path / "both" / "particles.star")) == 10


def test_same_bytes_for_any_threads_and_any_day(project):
    folder, _ = project
    words = ["--classes", "1-3", "--min-distance", "60", "--random", "50"]
    results = []
    for threads in (1, 3):
        kept(folder, *words, "-j", threads)
        results.append([(folder / "out" / name).read_bytes() for name in ("particles.star", "removed.star")])
    assert results[0] == results[1]
