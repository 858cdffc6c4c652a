"""``compare`` from files to files, on images whose truth is a formula."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cryoalign.metrics.names import measure_class, measure_names
from helpers.align import results, star
from helpers.compare import BOX, DX, DY, PSI, compare, copies, off, particle, record, rows, smaller, write


@pytest.fixture
def folder(tmp_path):
    """Write a particle, a.mrcs, and three turned and shifted copies, b.mrcs."""
    write(tmp_path, "a.mrcs", particle().images(BOX))
    write(tmp_path, "b.mrcs", copies(particle()))
    return tmp_path


WITHOUT_EXTRA = tuple(name for name in measure_names() if not measure_class(name).needs_extra)


def test_every_default_measure_finds_turned_and_shifted_copies(folder):
    compare(folder, "a.mrcs", "b.mrcs")
    found = rows(folder)
    assert found.cryoalignMetric.tolist() == [*WITHOUT_EXTRA] * 3
    for name in WITHOUT_EXTRA:
        turn, shift = off(rows(folder, name))
        assert turn.max() < 0.5 and shift.max() < 0.1, name
    assert (found.cryoalignCorrelation > 0.99).all() and (found.cryoalignAgreeing == len(WITHOUT_EXTRA)).all()
    assert (found.cryoalignMargin > 0).all() and (found.cryoalignScale == 1).all()
    # Origins are in A, shifts in pixels of 2 A.
    assert np.allclose(found.rlnOriginXAngst, 2 * found.cryoalignShiftX, atol=1e-5)
    counts = record(folder)["counts"]
    assert counts["pairs"] == 3 and counts["pairs_where_all_agree"] == 3


def test_inverted_contrast_is_found_by_mutual_information_and_not_by_correlation(folder):
    images = copies(particle())
    noise = images.std() * np.random.default_rng(0).standard_normal(images.shape)
    write(folder, "b.mrcs", -images + noise)
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "mutual-information", "--metric", "ncc")
    turn, shift = off(rows(folder, "mutual-information"))
    assert turn.max() < 2 and shift.max() < 0.5
    assert (rows(folder, "mutual-information").cryoalignCorrelation < -0.5).all()
    wrong = rows(folder, "ncc")
    turn, shift = off(wrong)
    assert (np.maximum(turn / 10, shift / 2) > 1).all() and (wrong.cryoalignAgreeing == 0).all()
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--invert", "--overwrite")
    assert off(rows(folder))[0].max() < 2


@pytest.mark.parametrize("shift", [4, 0])
@pytest.mark.parametrize("metric", ["ncc", "euclidean", "ssd", "normalised-ssd"])
def test_no_answer_is_said_where_nothing_correlates_and_only_there(folder, metric, shift):
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    disc = np.exp(-((np.hypot(x, y) / 9) ** 4))
    write(folder, "a.mrcs", disc[None])
    write(folder, "b.mrcs", np.stack([disc, -disc, -particle().images(BOX, [20])[0]]))
    compare(folder, "a.mrcs", "b.mrcs", "--metric", metric, "--max-shift-px", shift, "--mirror")
    # The disc fits itself at angle 0 with no margin at all, and is an answer for all that.
    assert rows(folder).cryoalignAgreeing.tolist() == [1, 0, 0]


@pytest.mark.parametrize(("true", "metrics"), [(1.1, ("ncc", "rfsw", "euclidean")), (0.87, ("ncc", "normalised-ssd"))])
def test_scale_is_found_within_one_percent(folder, true, metrics):
    write(folder, "b.mrcs", copies(particle(), true))
    compare(folder, "a.mrcs", "b.mrcs", "--scale", *(word for name in metrics for word in ("--metric", name)))
    for name in metrics:
        found = rows(folder, name)
        turn, shift = off(found)
        assert np.abs(found.cryoalignScale / true - 1).max() < 0.01, name
        assert turn.max() < 0.5 and shift.max() < 0.15, name


def test_scale_between_opposite_contrasts(folder):
    write(folder, "b.mrcs", -copies(particle(), 1.1))
    compare(folder, "a.mrcs", "b.mrcs", "--scale", "--metric", "mutual-information")
    found = rows(folder)
    # Information itself is largest 1.2 % above the truth, its normalised form 0.4 %.
    assert np.abs(found.cryoalignScale / 1.1 - 1).max() < 0.008
    assert off(found)[0].max() < 0.5


def test_scale_is_searched_round_the_ratio_of_the_pixel_sizes(folder):
    write(folder, "b.mrcs", copies(particle(), 1.4), pixel=2.8)
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--scale", "--scale-limit", 1.1)
    assert np.abs(rows(folder).cryoalignScale / 1.4 - 1).max() < 0.01


def test_scales_beyond_the_limit_are_a_warning(folder):
    write(folder, "b.mrcs", copies(particle(), 1.2))
    ran = compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--scale", "--scale-limit", 1.05)
    assert len(ran.lines) == 1 and "try a larger --scale-limit" in ran.lines[0]
    assert rows(folder).cryoalignScale.max() <= 1.05 * (1 + 1e-9)


def test_mirrored_copies(folder):
    write(folder, "b.mrcs", copies(particle(), mirror=True))
    compare(folder, "a.mrcs", "b.mrcs", "--mirror", "--metric", "ncc", "--metric", "sw")
    found = rows(folder)
    assert (found.rlnIsFlip == 1).all()
    turn, shift = off(found, *(np.repeat(v, 2) for v in (PSI, DX, DY)))
    assert turn.max() < 0.5 and shift.max() < 0.1


def test_shifts_stay_within_the_limit_and_rotations_alone_are_possible(folder):
    ran = compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "rfsw", "--max-shift", 2)
    assert len(ran.lines) == 1 and "3 pairs; try a larger --max-shift-px" in ran.lines[0]
    found = rows(folder)
    assert (np.hypot(found.cryoalignShiftX, found.cryoalignShiftY) <= 1 + 1e-5).all()
    write(folder, "b.mrcs", particle().images(BOX, PSI))
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "rfsw", "--max-shift-px", 0, "--overwrite")
    found = rows(folder)
    assert (found.cryoalignShiftX == 0).all() and off(found, np.repeat(PSI, 2), 0, 0)[0].max() < 0.5


def test_pairs_row_by_row_or_all_with_ranks(folder):
    write(folder, "a.mrcs", np.concatenate([particle(seed).images(BOX) for seed in range(3)]))
    write(folder, "b.mrcs", np.stack([copies(particle(seed))[seed] for seed in range(3)]))
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc")
    found = rows(folder)
    assert found.rlnImageName.tolist() == [f"{i:06d}@b.mrcs" for i in (1, 2, 3)]
    assert off(found)[0].max() < 0.5 and sorted(found.cryoalignRank) == [1, 2, 3]
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "sw", "--all-pairs", "--overwrite")
    for name in ("ncc", "sw"):
        found = rows(folder, name)
        assert len(found) == 9
        best = found[found.cryoalignRank == 1]
        assert best.cryoalignReferenceName.tolist() == [f"{i:06d}@a.mrcs" for i in (1, 2, 3)]
        assert [sorted(g.cryoalignRank) for _, g in found.groupby("rlnImageName")] == [[1, 2, 3]] * 3


def test_one_image_of_a_stack_and_of_a_star_file(folder):
    star(folder / "b.star", particles={
        "rlnImageName": [f"{i:06d}@b.mrcs" for i in (3, 1)], "rlnImagePixelSize": [2.0, 2.0],
    })  # fmt: skip
    compare(folder, "1@a.mrcs", "2@b.star", "--metric", "ncc")
    found = rows(folder)
    assert found.rlnImageName.tolist() == ["000001@b.mrcs"] and off(found, PSI[:1], DX[:1], DY[:1])[0].max() < 0.5
    star(folder / "model.star", model_classes={"rlnReferenceImage": ["000001@a.mrcs"]})
    compare(folder, "model.star", "3@b.mrcs", "--metric", "ncc", "--angpix", 2, "--overwrite")
    assert rows(folder).cryoalignReferenceName.tolist() == ["000001@a.mrcs"]
    assert off(rows(folder), PSI[2:], DX[2:], DY[2:])[0].max() < 0.5


def test_references_of_another_box_and_pixel_size_are_brought_to_the_images(folder):
    # The same particle in A, on a coarser grid and in a larger field of view.
    from cryoalign.core.filters import reframe

    wide = reframe(smaller(particle(), 1.25).images(BOX), 52, np.zeros(1))
    write(folder, "a.mrcs", wide, pixel=2.5)
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--resize-reference")
    turn, shift = off(rows(folder))
    assert turn.max() < 0.5 and shift.max() < 0.1 and (rows(folder).cryoalignValue > 0.99).all()


def test_same_bytes_for_any_number_of_threads(folder):
    images = np.concatenate([copies(particle(seed), 1.05) for seed in range(3)])
    noise = images.std() * np.random.default_rng(0).standard_normal(images.shape)
    write(folder, "b.mrcs", images + noise)
    words = ("a.mrcs", "b.mrcs", "--export", "csv")
    compare(folder, *words)
    one = results(folder / "out")
    assert set(one) >= {"compare.star", "compare.csv"}
    compare(folder, *words, "-j", 3, "--overwrite")
    assert results(folder / "out") == one
    scaled = (*words, "--scale", "--metric", "ncc", "--metric", "rfsw")
    compare(folder, *scaled, "--overwrite")
    one = results(folder / "out")
    compare(folder, *scaled, "-j", 3, "--overwrite")
    assert results(folder / "out") == one


def test_csv_says_what_the_star_file_says(folder):
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "sw", "--export", "csv")
    with (folder / "out" / "compare.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    found = rows(folder)
    assert [line["metric"] for line in lines] == found.cryoalignMetric.tolist()
    assert [float(line["psi_deg"]) for line in lines] == found.rlnAnglePsi.tolist()
    assert set(lines[0]) >= {"reference", "image", "value", "rank", "scale", "mirror", "shift_x_px"}


def test_results_are_on_stdout_and_quiet_is_quiet(folder):
    from helpers.align import run

    ran = run(folder, "compare", "a.mrcs", "b.mrcs", "--metric", "ncc", "-j", 1, "-o", "loud")
    said = [line.split() for line in ran.out if line.startswith("  ncc")]
    assert [float(words[4]) for words in said] == pytest.approx(PSI, abs=0.05)
    assert not any(line.startswith("  ncc") for line in ran.lines)
    assert any("  ncc" in line for line in (folder / "loud" / "run.log").read_text().splitlines())
    quiet = compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc")
    assert quiet.lines == quiet.out == []


def test_results_for_a_program(folder):
    ran = compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "ssd", "--json")
    found = json.loads("\n".join(ran.out))
    assert found["counts"] == record(folder)["counts"]
    assert len(found["pairs"]) == len(rows(folder))
    assert [row["psi_deg"] for row in found["pairs"]] == pytest.approx(rows(folder).rlnAnglePsi.tolist(), abs=1e-5)
    assert {row["metric"] for row in found["pairs"]} == {"ncc", "ssd"}
    assert ran.lines == []


def test_pixel_size_of_one_serves_the_other_and_none_is_a_warning(folder):
    write(folder, "b.mrcs", copies(particle()), pixel=1.0)  # 1 A is what programs write that do not know
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc")
    assert np.allclose(rows(folder).rlnOriginXAngst, 2 * rows(folder).cryoalignShiftX, atol=1e-5)
    write(folder, "a.mrcs", particle().images(BOX), pixel=1.0)
    ran = compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--overwrite")
    assert len(ran.lines) == 1 and "--angpix" in ran.lines[0]


def test_the_report_is_drawn(folder, with_report):
    compare(folder, "a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "rfsw", "--pictures", 1)
    text = (folder / "out" / "report.html").read_text()
    assert "all find the same registration" in text and text.count("<h4>") == 2


def test_a_run_that_is_stopped_leaves_the_one_before_and_is_done_again(folder, monkeypatch):
    from cryoalign.jobs.compare.search import PairSearch

    words = ("a.mrcs", "b.mrcs", "--metric", "ncc", "--metric", "rfsw", "--export", "csv")
    compare(folder, *words)
    whole = results(folder / "out")
    kept, calls = PairSearch.run, []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return kept(self, *arguments)

    monkeypatch.setattr(PairSearch, "run", stop)
    compare(folder, *words, "--overwrite", status=130)
    assert results(folder / "out") in ({}, whole)  # nothing, or all of the run before
    monkeypatch.setattr(PairSearch, "run", kept)
    compare(folder, *words, "--overwrite")
    assert results(folder / "out") == whole


def test_stacks_row_by_row_under_ten_measures(folder):
    ten = WITHOUT_EXTRA[:10]
    write(folder, "a.mrcs", np.concatenate([particle(seed).images(BOX) for seed in range(3)]))
    write(folder, "b.mrcs", np.stack([copies(particle(seed))[seed] for seed in range(3)]), pixel=2.001)
    compare(folder, "a.mrcs", "b.mrcs", *(word for name in ten for word in ("--metric", name)))
    found = rows(folder)
    assert len(ten) == 10 and len(found) == 30
    turn, shift = off(found, *(np.repeat(v, 10) for v in (PSI, DX, DY)))
    assert turn.max() < 1 and shift.max() < 0.2
    # One name for one image, however its number is written.
    compare(folder, "2@a.mrcs", "000002@b.mrcs", "--metric", "ncc", "--overwrite")
    assert rows(folder).rlnImageName.tolist() == ["000002@b.mrcs"] and off(rows(folder), PSI[1], DX[1], DY[1])[0] < 1
