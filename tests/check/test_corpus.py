"""`cryoalign check` finds the fault of every file of the corpus, that fault alone, and none in the clean ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus import CLEAN, FAULTS, Case

from cryoalign.jobs.check.job import examine
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.problems import KINDS


@pytest.mark.parametrize("case", [*CLEAN, *FAULTS], ids=lambda case: case.name)
def test_a_check_finds_the_planted_fault_and_nothing_else(case: Case, tmp_path, monkeypatch):
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    told = {name: tuple(map(Path, paths)) for name, paths in case.told.items()}
    report = examine(CheckParameters(**told), lambda text: None)
    assert {problem.kind for problem in report.problems} == ({case.kind} if case.kind else set()), report.lines()
    assert len(report.problems) == (0 if case.kind is None else 1)
    for problem in report.problems:
        assert problem.refused == case.refused
        assert problem.error.path is not None or case.kind == "join"
        assert case.row is None or case.row == problem.error.row
    assert report.exit_status == int(case.kind is not None and case.refused)


def test_the_corpus_is_large_and_every_kind_is_in_it():
    assert len(FAULTS) >= 40
    assert {case.kind for case in FAULTS} == set(KINDS)
