"""`cryoalign merge`: words in, a call of the job out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.runs.cpus import available_cpus


@pytest.fixture
def called(monkeypatch):
    """Stand in for the job; returns its calls."""
    calls = []

    def run_merge(directory, **options):
        calls.append((directory, options))
        return 3

    monkeypatch.setattr("cryoalign.jobs.merge.run_merge", run_merge)
    return calls


def test_the_job_is_called_with_what_was_typed(called):
    assert main(["merge", "out", "-j", "3", "-q"]) == 3
    assert called == [(Path("out"), {"argv": ["merge", "out", "-j", "3", "-q"], "threads": 3, "verbosity": -1})]


def test_threads_default_to_the_cpus_of_the_process(called):
    main(["merge", "out"])
    assert called[0][1]["threads"] == available_cpus() and called[0][1]["verbosity"] == 0


@pytest.mark.parametrize("words", [[], ["a", "b"], ["a", "-j", "0"]])
def test_wrong_usage(called, capsys, words):
    assert main(["merge", *words]) == 2
    assert called == []


def test_a_directory_without_a_run_is_one_line(tmp_path, capsys):
    assert main(["merge", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"Error: {tmp_path}: no run of cryoalign: run.json is missing\n"
