"""A finished run that is asked for again: said, and nothing done; and what RELION does with its jobs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.claim import FinishedAlreadyError
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from helpers.toyjob import toy

SUCCESS, ABORTED = "RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_ABORTED"


def bytes_of(out) -> dict[str, bytes]:
    """Every file of a directory."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("options", [{"resume": True}, {"part": (1, 3)}, {"resume": True, "workers": 3}])
def test_the_same_run_again_is_done_already(tmp_path, source, options):
    out = tmp_path / "out"
    toy(out, source, 300)
    before = bytes_of(out)
    with pytest.raises(FinishedAlreadyError, match=r"finished already.*nothing to do") as done:
        toy(out, source, 300, **options)
    assert done.value.exit_status == 0 and bytes_of(out) == before


def test_its_exit_status_is_that_of_the_run(tmp_path):
    def begin(**options):
        return RunDirectory.begin(
            tmp_path, command="toy", argv=[], parameters={}, reads=Reads(), verbosity=-1, **options
        )

    with begin() as run:
        run.commit(counts={}, exit_status=3)
    with pytest.raises(FinishedAlreadyError) as done, begin(resume=True):
        pass
    assert done.value.exit_status == 3


@pytest.mark.parametrize("what", ["rows", "input", "gone", "result"])
def test_what_is_not_the_same_is_named(tmp_path, source, what):
    out, rows = tmp_path / "out", 300
    toy(out, source, rows)
    if what == "rows":
        rows, said = 301, "rows was 300 and is now 301"
    elif what == "input":
        source.write_text("other")
        said = r"particles\.star changed"
    elif what == "gone":
        source.unlink()
        said = r"particles\.star: no such file"
    else:
        (out / "sums.npy").unlink()
        said = r"sums\.npy of it is gone"
    before = bytes_of(out)
    with pytest.raises(InputError, match=rf"finished run.*not the same: .*{said}.*--overwrite"):
        toy(out, source, rows, resume=True)
    assert bytes_of(out) == before


def test_a_commit_that_was_cut_short_after_the_record_is_put_right(tmp_path, source):
    """Killed between run.json and RELION's marker."""
    out = tmp_path / "out"
    toy(out, source, 300)
    expected = bytes_of(out)
    (out / SUCCESS).unlink()
    (out / ".cryoalign" / "parts").mkdir(parents=True)
    (out / ".cryoalign" / "parts" / "part-000000.npz").touch()
    (out / ".cryoalign" / "new-run.json").touch()
    with pytest.raises(FinishedAlreadyError):
        toy(out, source, 300, resume=True)
    assert bytes_of(out) == expected and not (out / ".cryoalign").exists()


@pytest.fixture
def job(tmp_path):
    """A directory that RELION made for a job."""
    out = tmp_path / "External" / "job001"
    out.mkdir(parents=True)
    (out / "job.star").write_text("job")
    return out


def started_by_relion(job) -> None:
    """Take away the markers, as RELION does before it starts a job."""
    for path in job.glob("RELION_JOB_*"):
        path.unlink()


@pytest.mark.parametrize("by_relion", [True, False])
def test_relion_may_run_a_finished_job_again(job, source, by_relion):
    toy(job, source, 300)
    expected = bytes_of(job)
    if by_relion:
        started_by_relion(job)
    with pytest.raises(FinishedAlreadyError):
        toy(job, source, 300)
    assert bytes_of(job) == expected


def test_relion_may_run_a_finished_job_again_with_other_parameters_or_inputs(job, source):
    toy(job, source, 300)
    with pytest.raises(InputError, match="not the same"):
        toy(job, source, 100)  # somebody typed this: RELION takes the marker away first
    started_by_relion(job)
    toy(job, source, 100)
    assert (job / SUCCESS).exists() and (job / "stack.bin").stat().st_size == 800
    started_by_relion(job)
    source.write_text("grown meanwhile")
    toy(job, source, 100)
    assert (job / SUCCESS).exists() and not (job / ".cryoalign").exists()


@pytest.mark.parametrize("rows", [1000, 200])
def test_relion_may_run_an_aborted_job_again(job, source, start_toy, tmp_path, rows):
    process = start_toy(job, 1000, "--slow", "0.2")
    assert process.stdout.readline() == "part 0\n"
    (job / "RELION_JOB_ABORT_NOW").touch()
    process.communicate(timeout=60)
    assert (job / ABORTED).exists()
    started_by_relion(job)
    toy(job, source, rows)
    assert (job / SUCCESS).exists() and not (job / ABORTED).exists()
    toy(tmp_path / "expected", source, rows)
    np.testing.assert_array_equal(np.load(job / "sums.npy"), np.load(tmp_path / "expected" / "sums.npy"))
    attempts = json.loads((job / "run.json").read_text())["attempts"]
    assert len(attempts) == (2 if rows == 1000 else 1)  # carried on, or begun anew
