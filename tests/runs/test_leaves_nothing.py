"""A run that fails before it has anything to carry on leaves its directory as it was: a typo costs nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from helpers.toyjob import toy


def everything(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below a directory, with its bytes and time of change."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def begin(directory: Path, **changes):
    """Enter a run of a command without parameters."""
    options = {"command": "toy", "argv": ["toy"], "parameters": {}, "reads": Reads(), "verbosity": -1}
    return RunDirectory.begin(directory, **(options | changes))


ERRORS = [
    InputError("no such column"),
    OSError(28, "No space left on device"),
    MemoryError(),
    KeyboardInterrupt(),
    Interrupted("terminated by SIGTERM"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("foreign", [False, True])
def test_nothing_is_left(tmp_path, error, foreign):
    out = tmp_path / "deep" / "er" / "out"
    if foreign:
        out.mkdir(parents=True)
        (out / "mine.txt").write_text("mine")
    with pytest.raises(type(error)), begin(out) as run:
        run.staged("half.mrcs").write_bytes(bytes(1000))
        run.scratch("unpacked").joinpath("stack.mrcs").write_bytes(bytes(1000))
        raise error
    if foreign:
        assert [path.name for path in out.iterdir()] == ["mine.txt"]
    else:
        assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(("error", "marker"), [(ERRORS[0], "FAILURE"), (ERRORS[4], "ABORTED")])
def test_relion_is_told_all_the_same(tmp_path, error, marker):
    (tmp_path / "job.star").touch()
    with pytest.raises(type(error)), begin(tmp_path):
        raise error
    assert {path.name for path in tmp_path.iterdir()} == {"job.star", f"RELION_JOB_EXIT_{marker}"}


def test_finished_parts_are_worth_keeping(tmp_path, record_of):
    with pytest.raises(InputError), begin(tmp_path) as run:
        run.parts("round-001").save(0, {"x": np.arange(3)})
        raise InputError("late")
    assert record_of(tmp_path)["status"] == "failed" and (tmp_path / "run.log").exists()


def test_an_error_of_ours_leaves_its_traceback_and_stands_in_nobodys_way(tmp_path, source, record_of):
    with pytest.raises(ZeroDivisionError), begin(tmp_path):
        _ = 1 / 0
    assert "ZeroDivisionError" in (tmp_path / "run.log").read_text() and record_of(tmp_path)["status"] == "failed"
    toy(tmp_path, source, 64)  # no --overwrite: there is nothing that could be lost
    assert record_of(tmp_path)["status"] == "finished" and "Division" not in (tmp_path / "run.log").read_text()


def test_a_run_that_was_killed_at_once_stands_in_nobodys_way(tmp_path, source, start_toy):
    process = start_toy(tmp_path / "out", 1000, "--slow", "30")
    while not (tmp_path / "out" / "run.json").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    toy(tmp_path / "out", source, 64)
    assert (tmp_path / "out" / "RELION_JOB_EXIT_SUCCESS").exists()


def test_a_task_that_fails_leaves_the_run_of_its_fellows_alone(tmp_path, source, record_of):
    out = tmp_path / "out"
    parameters = {"rows": 1}
    with begin(out, part=(1, 2), parameters=parameters) as fellow:
        with pytest.raises(InputError, match="bad row"), begin(out, part=(2, 2), parameters=parameters):
            raise InputError("bad row")
        assert record_of(out)["parameters"] == parameters and (out / ".cryoalign" / "lock.part-1-of-2").exists()
        fellow.parts().save(0, {"x": np.arange(2)})
        fellow.leave_partial()
    assert record_of(out)["status"] == "partial"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_old_results_come_back_when_their_replacement_fails(tmp_path, source, error):
    out = tmp_path / "out"
    toy(out, source, 300)
    before = everything(out)
    with pytest.raises(type(error)), begin(out, overwrite=True) as run:
        assert not (out / "sums.npy").exists()  # nobody takes them for those of the new run
        run.staged("sums.npy").write_bytes(b"x")
        raise error
    after = everything(out)
    assert after.pop("RELION_JOB_EXIT_SUCCESS") and before.pop("RELION_JOB_EXIT_SUCCESS")
    before.pop("run.json"), after.pop("run.json")
    assert after == before
    toy(out, source, 100, overwrite=True)
    assert not (out / ".cryoalign").exists()


def test_old_results_come_back_where_the_replacement_was_killed_before_it_began(tmp_path, source, start_toy):
    out = tmp_path / "out"
    toy(out, source, 300)
    before = {name: data for name, (data, _) in everything(out).items()}
    process = start_toy(out, 1000, "--slow", "30", "--overwrite")
    while not (out / ".cryoalign" / "results" / "stack.bin").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not (out / "sums.npy").exists()
    with pytest.raises(InputError, match="finished run"):
        toy(out, source, 200)  # nobody said that they may go
    after = {name: data for name, (data, _) in everything(out).items()}
    assert after == before


def test_old_results_go_when_the_new_ones_are_there(tmp_path, source):
    out = tmp_path / "out"
    toy(out, source, 300)
    with pytest.raises(InputError), begin(out, overwrite=True) as run:
        run.parts().save(0, {"x": np.arange(3)})
        raise InputError("late")
    assert (out / ".cryoalign" / "old" / "sums.npy").exists()
    with begin(out, resume=True) as run:
        run.staged("a.star").write_text("a")
        run.commit(counts={})
    assert not (out / ".cryoalign").exists() and not (out / "sums.npy").exists() and (out / "a.star").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, source):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be made a run directory: Permission denied"):
            toy(tmp_path / "out", source, 64)
    finally:
        tmp_path.chmod(0o700)


def test_a_directory_that_is_removed_while_the_run_goes_on_is_said_and_not_made_again(tmp_path, source):
    import shutil

    out = tmp_path / "out"
    for step in ("staged", "parts", "scratch", "commit", "save"):
        with (
            pytest.raises(InputError, match=r"out: the run directory was removed while the run went on"),
            begin(out) as run,
        ):
            store = run.parts()
            run.staged("a.star").write_text("a")
            shutil.rmtree(out)
            if step == "commit":
                run.commit(counts={})
            elif step == "save":
                store.save(0, {"x": np.arange(2)})
            else:
                getattr(run, step)("b")
        assert not out.exists()
