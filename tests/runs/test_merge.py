"""Merging: what has to be there, and who finishes the run."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.merge import run_merge
from cryoalign.runs.parts import plan_parts
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import run_parts
from helpers.parts import Plain
from helpers.toyjob import toy


def run_part(out: Path, source: Path, part: tuple[int, int]) -> AlignParameters:
    """Do one task of an alignment whose parts are squares."""
    parameters = AlignParameters(inputs=(source,), output=out, reference=source, part=part, seed=5)
    with RunDirectory.begin(
        out,
        command="align",
        argv=["align"],
        parameters=parameters.to_json(),
        reads=Reads(files=(source,)),
        part=part,
        verbosity=-1,
    ) as run:
        ranges = plan_parts(640, 64)
        run_parts(ranges, Plain(lambda one: {"x": np.arange(one.start, one.stop)}), run.parts(), workers=1, which=part)
        run.leave_partial()
    return parameters


@pytest.fixture
def finishing(monkeypatch) -> list[tuple]:
    """Stand in for the command that finishes the run; collects its calls."""
    calls = []
    module = types.ModuleType("cryoalign.jobs.align.job")

    def run_align(parameters, argv, verbosity):
        calls.append((parameters, list(argv), verbosity))
        return 3

    module.run_align = run_align
    monkeypatch.setitem(sys.modules, "cryoalign.jobs.align.job", module)
    return calls


def test_the_command_of_the_run_finishes_it(tmp_path, source, finishing):
    out = tmp_path / "out"
    run_part(out, source, (1, 2))
    run_part(out, source, (2, 2))
    assert run_merge(out, argv=["merge", str(out)], threads=4, verbosity=1) == 3
    expected = AlignParameters(inputs=(source,), output=out, reference=source, resume=True, threads=4, seed=5)
    assert finishing == [(expected, ["merge", str(out)], 1)]


def test_missing_parts_are_named_with_rows_and_tasks(tmp_path, source, finishing):
    out = tmp_path / "out"
    run_part(out, source, (2, 3))
    with pytest.raises(InputError, match=r"rows 1-64, 65-128, 129-192, 385-448.*--part 1/3, 3/3"):
        run_merge(out, argv=[], threads=1)
    run_part(out, source, (1, 3))
    with pytest.raises(InputError, match=r"rows 385-448, 449-512, 513-576, 577-640; run again with --part 3/3"):
        run_merge(out, argv=[], threads=1)
    assert finishing == []


def test_many_missing_parts_are_counted(tmp_path, source):
    toy(tmp_path / "out", source, 64 * 40, part=(1, 4))
    with pytest.raises(InputError, match="and 20 more"):
        run_merge(tmp_path / "out", argv=[], threads=1)


def test_nothing_to_merge_is_said(tmp_path, source, finishing):
    with pytest.raises(InputError, match="no run of cryoalign"):
        run_merge(tmp_path / "absent", argv=[], threads=1)
    with (
        pytest.raises(ZeroDivisionError),
        RunDirectory.begin(tmp_path / "new", command="align", argv=[], parameters={}, reads=Reads(), verbosity=-1),
    ):
        _ = 1 / 0
    with pytest.raises(InputError, match="no part of this run"):
        run_merge(tmp_path / "new", argv=[], threads=1)
    assert finishing == []


def test_a_finished_run_is_merged_already(tmp_path, source, finishing, capfd):
    toy(tmp_path / "done", source, 64)
    assert run_merge(tmp_path / "done", argv=[], threads=1) == 0
    assert "finished already: nothing to do" in capfd.readouterr().err and finishing == []


@pytest.mark.parametrize("change", [{"inputs": 3}, {"block_size": "x"}, {"part": "1/2"}, {"part": [1]}])
def test_parameters_that_are_none_are_one_line(tmp_path, source, record_of, change):
    out = tmp_path / "out"
    run_part(out, source, (1, 1))
    record = record_of(out)
    record["parameters"] |= change
    (out / "run.json").write_text(json.dumps(record))
    if "part" in change:  # only asked for where parts are missing
        next((out / ".cryoalign").glob("parts/part-*.npz")).unlink()
    with pytest.raises(InputError):
        run_merge(out, argv=[], threads=1)


def test_commands_without_parts_are_refused(tmp_path, source):
    toy(tmp_path / "out", source, 64, part=(1, 1))
    with pytest.raises(InputError, match=r"no parts to merge.*toy"):
        run_merge(tmp_path / "out", argv=[], threads=1)
