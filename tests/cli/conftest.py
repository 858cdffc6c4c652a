"""A stand-in for the job behind a command, so that only the command line is tested; and a small project for all."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from helpers.small import small_project
from helpers.undrawn import leave_out_drawing


@pytest.fixture
def called(request, monkeypatch):
    """Stand in for the job of the command that the test is given as `name`, or that its module names as JOB.

    Returns the calls (parameters, words, verbosity), and fails or answers as told by `.outcome`.
    """

    class Calls(list):
        outcome = 0

    calls = Calls()

    def run_job(parameters, argv, verbosity):
        calls.append((parameters, list(argv), verbosity))
        if isinstance(calls.outcome, Exception):
            raise calls.outcome
        return calls.outcome

    job = getattr(request.module, "JOB", None) or request.getfixturevalue("name").replace("-", "_")
    name = f"cryoalign.jobs.{job}.job"
    module = types.ModuleType(name)
    setattr(module, f"run_{job}", run_job)
    monkeypatch.setitem(sys.modules, name, module)
    return calls


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """The folder of a small project in which every command has something to do; to be read only."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_drawing(patch, "align")
        leave_out_drawing(patch, "rid_distance")
        return small_project(tmp_path_factory.mktemp("small"))
