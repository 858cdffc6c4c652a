"""`cryoalign check` as users call it: several problems at once, what goes to which stream, JSON, other files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from corpus import COUNT, FAULTS, Made, cell, cs, graph, line, mrc, references
from corpus import images as noisy

from cryoalign.cli.main import main
from cryoalign.core.errors import InputError
from cryoalign.core.refusals import collected, collecting, refuse, told_as
from cryoalign.io.particles import read_particles
from cryoalign.jobs.check.job import examine
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.problems import KINDS, Problems

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(tmp_path, monkeypatch) -> Made:
    """A clean set, not written yet, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Made.clean(tmp_path)


def found(**told) -> list[tuple[str, int | None]]:
    """Return kind and row of every problem."""
    report = examine(CheckParameters(**({"inputs": (Path("p.star"),)} | told)), lambda text: None)
    return [(problem.kind, problem.error.row) for problem in report.problems]


def test_everything_is_named_at_once_and_by_its_row(made):
    for label, row, value in (
        ("rlnAnglePsi", 3, "north"), ("rlnDefocusU", 4, "nan"), ("rlnImageName", 5, "000000@a.mrcs"),
        ("rlnImageName", 6, "000099@a.mrcs"), ("rlnOpticsGroup", 7, 4), ("rlnRandomSubset", 8, 9),
    ):  # fmt: skip
        cell(label, row, value)(made)
    made.stacks["b.mrcs"][2, 4, 4] = np.nan
    made.write()
    assert sorted(found(), key=lambda one: (one[1] or 0, one[0])) == [
        ("value", 3), ("value", 4), ("image-name", 5), ("image-index", 6), ("optics", 7),
        ("value", 8), ("bad-image", COUNT // 2 + 3),
    ]  # fmt: skip


def test_rows_after_a_short_one_keep_their_numbers(made):
    cell("rlnAnglePsi", 9, "north")(made)
    line(5, lambda words: words.split()[0])(made)
    made.write()
    assert sorted(found(), key=str) == [("table", None), ("value", 9)]


def test_every_stack_that_is_broken_is_named(made):
    made.write()
    for stack in "ab":
        (made.folder / f"{stack}.mrcs").write_bytes(b"no stack" * 400)
    report = examine(CheckParameters(inputs=(Path("p.star"),)), lambda text: None)
    assert [str(problem.error.path) for problem in report.problems] == ["a.mrcs", "b.mrcs"]


def test_rows_with_the_same_problem_are_one_and_all_are_listed(made):
    for row in (2, 5, 9):
        cell("rlnImageName", row, "x@a.mrcs")(made)
    made.write()
    report = examine(CheckParameters(inputs=(Path("p.star"),)), lambda text: None)
    (problem,) = report.problems
    assert problem.rows == (2, 5, 9)


@pytest.mark.parametrize("case", [case for case in FAULTS if case.refused], ids=lambda case: case.name)
def test_a_run_refuses_what_a_check_says_it_would_and_with_the_same_words(case, tmp_path, monkeypatch):
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    told = {name: tuple(map(Path, paths)) for name, paths in case.told.items()}
    problems = [p for p in examine(CheckParameters(**told), lambda text: None).problems if p.refused]
    try:
        read_particles(told["inputs"])
    except InputError as error:
        assert problems[0].error.what in str(error)
    else:  # what a reader of tables alone does not meet: pixels, cells that are asked for later, other files
        assert problems[0].kind in ("value", "ctf", "pose", "bad-image", "reference", "graph", "file", "cs")


def test_results_are_on_stdout_and_talk_on_stderr(made, capsys):
    made.write()
    assert main(["check", "p.star"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"p.star: {COUNT} particles in 2 stacks (3.1), 1 optics group"
    assert out.splitlines()[-1] == "no problem found" and "reading" in err and "reading" not in out
    assert main(["check", "p.star", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_json_holds_all_and_the_exit_status_says_whether_a_run_would_refuse(made, capsys):
    cell("rlnAnglePsi", 3, "north")(made)
    made.stacks["a.mrcs"] = 4 * made.stacks["a.mrcs"]
    made.write()
    assert main(["check", "p.star", "--json", "-q"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] is True
    first = told["problems"][0]
    assert (first["kind"], first["path"], first["row"], first["value"]) == ("value", "p.star", 3, "north")
    assert first["what"] and first["hint"]
    assert told["particles"]["images"][0]["normalised"] is False
    assert told["particles"]["images"][0]["contrast"] == "bright"
    assert {problem["kind"] for problem in told["problems"]} <= set(KINDS)


def test_pixels_all_sample_and_none(made):
    made.stacks["a.mrcs"][5, 3, 3] = np.inf
    made.write()
    assert found(pixels="all") == found(pixels="sample") == [("bad-image", 6)]
    assert found(pixels="none") == []


def test_references_and_graphs_can_be_checked_alone_and_beside_a_cs_file(made, capsys):
    made.write()
    references(made.folder)
    graph(made.folder)
    cs(made.folder)
    assert main(["check", "--reference", "refs.mrcs", "-q"]) == 0
    assert main(["check", "graph.npz", "-q"]) == 0
    assert main(["check", "p.cs", "--reference", "refs.mrcs", "-q"]) == 0
    assert "2 references of 32 px at 4 A" in capsys.readouterr().out
    Path("edges.csv").write_text("i,j,angle_deg\n1,2,30\n2,3,x\n")
    assert main(["check", "--graph", "edges.csv", "-q"]) == 1


def test_files_that_cannot_be_joined_are_told_of(made):
    made.write()
    mrc(made.folder / "c.mrcs", noisy(8, 5))
    assert ("join", None) in found(inputs=(Path("p.star"), Path("c.mrcs")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to check"), (["p.star", "--angpix", "-1"], "--angpix"),
        (["p.star", "--amplitude-contrast", "7"], "amplitude"), (["p.star", "--overwrite"], "--fix"),
        (["p.star", "--fix", "d", "--pixels", "none"], "pixels"), (["--reference", "r.mrcs", "--fix", "d"], "--fix"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_usage_errors(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *words]) == 2
    assert said in capsys.readouterr().err


def test_dark_particles_are_told_and_the_odd_ones_among_others_named(made, capsys):
    made.stacks = {name: -data for name, data in made.stacks.items()}
    made.stacks["a.mrcs"][3] *= 25
    made.write()
    assert main(["check", "p.star", "-q"]) == 0
    out = capsys.readouterr().out
    assert "--invert" in out and "row 4 (z = " in out and "particles dark" in out


def test_the_page_names_every_kind():
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| {kind} |" not in page] == []


def test_mistakes_are_raised_unless_they_are_collected():
    error, noted = InputError("wrong", row=2), []
    with pytest.raises(InputError, match="wrong"):
        refuse(error)
    with collecting(noted.append):
        assert collected()
        with told_as(lambda e: InputError(e.what, path="f", row=e.row + 5)):
            refuse(error)
            raise InputError("worse", row=1)
    assert [str(e) for e in noted] == ["f, row 7: wrong", "f, row 6: worse"] and not collected()
    with pytest.raises(InputError, match="row 7"), told_as(lambda e: InputError(e.what, row=e.row + 5)):
        refuse(error)


def test_a_problem_is_kept_once_and_refusal_wins():
    problems = Problems()
    problems.add("ctf", "odd", path=Path("f"), row=3)
    with problems.reading("ctf"):
        raise InputError("odd", path=Path("f"), row=3)
    (problem,) = problems
    assert problem.refused and len(problems) == 1 and problems.touches(Path("f"))
