"""The run directory: complete or not at all, and nobody else's files are hurt."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from helpers.toyjob import toy


def files_in(directory: Path) -> set[str]:
    """Every file below a directory, hidden ones included."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


RESULTS = {"stack.bin", "sums.npy"}
OTHERS = {"run.json", "run.log", "RELION_OUTPUT_NODES.star"}


def do_a_part(run: RunDirectory) -> None:
    """Leave something that can be carried on."""
    run.parts().save(0, {"x": np.arange(3)})


def begin(directory, source, **changes):
    """Enter a run of a command without parameters."""
    options = {"command": "toy", "argv": ["toy"], "parameters": {}, "reads": Reads(files=(source,)), "verbosity": -1}
    return RunDirectory.begin(directory, **(options | changes))


def test_a_finished_run_holds_results_record_and_markers_only(tmp_path, source, record_of):
    out = tmp_path / "out"
    toy(out, source, 300)
    assert files_in(out) == RESULTS | OTHERS | {"RELION_JOB_EXIT_SUCCESS"}
    assert not (out / ".cryoalign").exists()
    record = record_of(out)
    assert record["status"] == "finished" and record["schema_version"] == 1 and record["exit_status"] == 0
    assert record["files"] == sorted(RESULTS | {"run.log", "RELION_OUTPUT_NODES.star"})
    assert record["seed"] == 7 and record["counts"] == {"read": 300} and record["warnings"] == []
    assert record["parameters"] == {"rows": 300, "gain": 1.0, "threads": 1, "part": None}
    assert record["command_line"] == f"cryoalign toy {out}"
    assert record["versions"]["numpy"] == np.__version__ and "cryoalign" in record["versions"]
    assert record["timings_s"]["parts"] > 0 and record["peak_memory_bytes"] > 1e6
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert record["inputs"] == [{"path": str(source), "size": source.stat().st_size, "sha256": digest}]
    assert "finished" in (out / "run.log").read_text()


def test_results_have_no_final_name_before_the_commit(tmp_path, source, record_of):
    out = tmp_path / "out"
    with begin(out, source) as run:
        run.staged("a.star").write_text("a")
        run.staged("deep/er/b.star").write_text("b")
        assert not (out / "a.star").exists() and record_of(out)["status"] == "running"
        assert json.loads((out / ".cryoalign" / "lock").read_text())["pid"] == os.getpid()
        run.commit(counts={})
    assert (out / "a.star").read_text() == "a" and (out / "deep/er/b.star").read_text() == "b"


def test_the_record_says_finished_only_after_everything_is_in_place(tmp_path, source, monkeypatch):
    out = tmp_path / "out"
    seen = []
    import cryoalign.runs.rundir as module

    write = module.write_record

    def spy(directory, record):
        seen.append((record["status"], files_in(out) - {"run.json"}))
        write(directory, record)

    monkeypatch.setattr(module, "write_record", spy)
    toy(out, source, 100)
    finished = [files for status, files in seen if status == "finished"]
    assert len(finished) == 1 and seen[-1][0] == "finished"
    assert finished[0] >= RESULTS | {"RELION_OUTPUT_NODES.star"}
    # RELION would go on with the results at once.
    assert not any("RELION_JOB_EXIT_SUCCESS" in files for _, files in seen)
    assert (out / "RELION_JOB_EXIT_SUCCESS").exists()


def test_a_finished_run_is_refused_and_untouched(tmp_path, source):
    out = tmp_path / "out"
    toy(out, source, 300)
    before = {name: (out / name).read_bytes() for name in files_in(out)}
    with pytest.raises(InputError, match=r"finished run.*--overwrite"):
        toy(out, source, 300)
    for options in ({"resume": True}, {"part": (1, 2)}):
        with pytest.raises(InputError, match=r"finished run.*not the same: rows was 300 and is now 301.*--overwrite"):
            toy(out, source, 301, **options)
    assert {name: (out / name).read_bytes() for name in files_in(out)} == before


def test_overwrite_removes_the_old_files_and_no_others(tmp_path, source, record_of):
    out = tmp_path / "out"
    with begin(out, source) as run:
        run.staged("old/only.star").write_text("x")
        run.staged("sums.npy").write_text("x")
        run.commit(counts={})
    (out / "job.star").write_text("RELION's")
    (out / "old" / "mine.txt").write_text("mine")
    toy(out, source, 100, overwrite=True)
    expected = RESULTS | OTHERS | {"RELION_JOB_EXIT_SUCCESS", "job.star", "old/mine.txt"}
    assert files_in(out) == expected
    assert (out / "run.log").read_text().count("command:") == 1
    assert record_of(out)["parameters"]["rows"] == 100


def test_overwrite_never_removes_its_own_input(tmp_path, source):
    out = tmp_path / "out"
    toy(out, source, 100)
    before = (out / "sums.npy").read_bytes()
    with pytest.raises(InputError, match=r"sums\.npy: this input would be removed"):
        toy(out, out / "sums.npy", 100, overwrite=True)
    with pytest.raises(InputError, match=r"absent\.star: no such file"):
        toy(out, tmp_path / "absent.star", 100, overwrite=True)
    assert (out / "sums.npy").read_bytes() == before


def test_overwrite_ignores_names_outside_the_directory(tmp_path, source, record_of):
    out = tmp_path / "out"
    toy(out, source, 100)
    precious = tmp_path / "precious"
    precious.write_text("x")
    record = record_of(out)
    record["files"] += ["../precious", str(precious)]
    (out / "run.json").write_text(json.dumps(record))
    toy(out, source, 100, overwrite=True)
    assert precious.exists()


def test_foreign_files_stay_and_foreign_results_are_never_overwritten(tmp_path, source):
    out = tmp_path / "out"
    out.mkdir()
    (out / "note.txt").write_text("note")
    (out / "sums.npy").write_text("mine")
    with pytest.raises(InputError, match=r"sums\.npy.*did not write"):
        toy(out, source, 100)
    assert (out / "sums.npy").read_text() == "mine" and not (out / "stack.bin").exists()
    (out / "sums.npy").unlink()
    toy(out, source, 100, resume=True)
    assert (out / "note.txt").read_text() == "note" and (out / "stack.bin").exists()


@pytest.mark.parametrize("name", ["run.json", "run.log", "../x", "/x", ".cryoalign/x", "RELION_OUTPUT_NODES.star"])
def test_names_that_are_not_results_are_refused(tmp_path, source, name):
    with pytest.raises(ValueError, match="not a name"), begin(tmp_path / "out", source) as run:
        run.staged(name)


@pytest.mark.parametrize("text", ["{}", "not json", '{"program": "other", "status": "finished"}', "[1]"])
def test_a_run_json_of_others_is_refused(tmp_path, source, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text(text)
    for options in ({}, {"overwrite": True}):
        with pytest.raises(InputError, match="not written by cryoalign"):
            toy(out, source, 100, **options)
    assert (out / "run.json").read_text() == text and not (out / ".cryoalign").exists()


def test_a_run_log_of_others_is_refused(tmp_path, source):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.log").write_text("mine")
    with pytest.raises(InputError, match=r"run\.log.*did not write"):
        toy(out, source, 100)
    assert (out / "run.log").read_text() == "mine"


def test_an_error_leaves_log_and_marker_and_no_result(tmp_path, source, record_of):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="bad pixel"), begin(out, source) as run:
        do_a_part(run)
        run.staged("a.star").write_text("a")
        raise InputError("bad pixel", row=3)
    assert {name for name in files_in(out) if not name.startswith(".cryoalign")} == {
        "run.json",
        "run.log",
        "RELION_JOB_EXIT_FAILURE",
    }
    record = record_of(out)
    assert record["status"] == "failed" and record["error"] == "row 3: bad pixel"
    log = (out / "run.log").read_text()
    assert "row 3: bad pixel" in log and "Traceback" not in log
    assert not (out / ".cryoalign" / "lock").exists()


def test_an_unexpected_error_has_its_traceback_in_the_log_only(tmp_path, source, capfd):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), begin(out, source, verbosity=2):
        _ = 1 / 0
    assert "Traceback" in (out / "run.log").read_text() and "ZeroDivisionError" in (out / "run.log").read_text()
    assert "Traceback" not in capfd.readouterr().err
    assert (out / "RELION_JOB_EXIT_FAILURE").exists()


def test_ctrl_c_marks_the_job_aborted(tmp_path, source, record_of):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), begin(out, source) as run:
        do_a_part(run)
        raise KeyboardInterrupt
    assert (out / "RELION_JOB_EXIT_ABORTED").exists() and not (out / "RELION_JOB_EXIT_FAILURE").exists()
    assert record_of(out)["status"] == "aborted"


def test_a_block_that_forgets_to_commit_is_a_failure(tmp_path, source, record_of):
    with pytest.raises(RuntimeError, match="without commit"), begin(tmp_path / "out", source):
        pass
    assert record_of(tmp_path / "out")["status"] == "failed"


def test_a_staged_file_that_was_never_written_is_a_failure(tmp_path, source):
    with pytest.raises(RuntimeError, match=r"b\.star was staged"), begin(tmp_path / "out", source) as run:
        run.staged("a.star").write_text("a")
        run.staged("b.star")
        run.commit(counts={})
    assert not (tmp_path / "out" / "a.star").exists()


def test_stale_markers_go_when_a_run_begins(tmp_path, source):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_FAILURE", "RELION_JOB_ABORT_NOW"):
        (out / name).touch()
    with begin(out, source) as run:
        assert not list(out.glob("RELION_*")) and not run.aborted()
        (out / "RELION_JOB_ABORT_NOW").touch()
        assert run.aborted()
        run.commit(counts={})


def test_an_unfinished_run_is_refused_naming_both_ways_on(tmp_path, source):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), begin(out, source) as run:
        do_a_part(run)
        _ = 1 / 0
    with pytest.raises(InputError, match=r"unfinished run.*failed.*--resume.*--overwrite"):
        toy(out, source, 100)
    toy(out, source, 100, overwrite=True)
    assert files_in(out) >= RESULTS


def test_resume_names_what_differs(tmp_path, source):
    out = tmp_path / "out"
    toy(out, source, 300, gain=2.0, part=(1, 2))
    with pytest.raises(InputError, match=r"gain was 2\.0 and is now 1\.0; rows was 300 and is now 400"):
        toy(out, source, 400, resume=True)
    toy(out, source, 300, gain=2.0, workers=2, resume=True)  # another number of threads is no difference


def test_resume_refuses_another_version_or_working_directory(tmp_path, source, record_of, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), begin(out, source) as run:
        do_a_part(run)
        _ = 1 / 0
    record = record_of(out)
    record["versions"]["cryoalign"] = "0.0.1"
    (out / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r'version was "0\.0\.1"'), begin(out, source, resume=True):
        pass
    record["versions"]["cryoalign"] = record_of(out)["versions"]["cryoalign"] = _version()
    (out / "run.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="working_directory was"), begin(out, source, resume=True):
        pass


def _version() -> str:
    from cryoalign import __version__

    return __version__


def test_resume_warns_of_other_libraries(tmp_path, source, record_of, capfd):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), begin(out, source) as run:
        do_a_part(run)
        _ = 1 / 0
    record = record_of(out)
    record["versions"]["numpy"] = "1.0"
    (out / "run.json").write_text(json.dumps(record))
    with begin(out, source, resume=True) as run:
        assert run.resumed
        run.commit(counts={})
    assert 'numpy was "1.0"' in record_of(out)["warnings"][0]
    assert "Warning: resumed with other libraries" in capfd.readouterr().err


@pytest.mark.parametrize("late", [False, True])
def test_resume_refuses_changed_inputs(tmp_path, source, late):
    out, second = tmp_path / "out", tmp_path / "second.star"
    second.write_text("one")
    with pytest.raises(ZeroDivisionError), begin(out, source) as run:
        run.add_inputs([second])
        do_a_part(run)
        _ = 1 / 0
    changed = second if late else source
    changed.write_text("another")
    with pytest.raises(InputError, match=rf"{changed.name} changed \(size, sha256\)"):  # noqa: SIM117
        with begin(out, source, resume=True) as run:
            run.add_inputs([second])
            run.commit(counts={})


def test_resume_where_nothing_is_starts_a_run(tmp_path, source):
    with begin(tmp_path / "out", source, resume=True) as run:
        assert not run.resumed
        run.commit(counts={})


def test_parts_that_no_record_speaks_for_are_not_used(tmp_path, source):
    out, clean = tmp_path / "out", tmp_path / "clean"
    toy(out, source, 128, gain=5.0, part=(1, 1))
    (out / "run.json").unlink()
    (out / "run.log").unlink()
    toy(out, source, 128)
    toy(clean, source, 128)
    assert (out / "sums.npy").read_bytes() == (clean / "sums.npy").read_bytes()


def test_both_resume_and_overwrite_are_refused(tmp_path, source):
    with pytest.raises(ValueError, match="both"), begin(tmp_path / "out", source, resume=True, overwrite=True):
        pass


def test_a_path_that_is_a_file_is_refused(tmp_path, source):
    with pytest.raises(InputError, match="cannot be made a run directory"), begin(source, source):
        pass


def test_a_missing_input_leaves_nothing(tmp_path):
    out = tmp_path / "new" / "out"
    with pytest.raises(InputError, match=r"absent\.star: no such file"), begin(out, tmp_path / "absent.star"):
        pass
    assert not (tmp_path / "new").exists()


def test_a_commit_that_fails_midway_takes_its_files_back(tmp_path, source, monkeypatch, record_of):
    out, clean = tmp_path / "out", tmp_path / "clean"
    replace = Path.replace

    def failing(self, target):
        if self.name == "sums.npy":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="No space"):
        toy(out, source, 200)
    monkeypatch.undo()
    assert not RESULTS & files_in(out) and (out / "RELION_JOB_EXIT_FAILURE").exists()
    assert record_of(out)["status"] == "failed" and record_of(out)["files"] == []
    toy(out, source, 200, resume=True)
    toy(clean, source, 200)
    for name in RESULTS:
        assert (out / name).read_bytes() == (clean / name).read_bytes()


def test_exit_status_three_is_recorded(tmp_path, source, record_of):
    with begin(tmp_path / "out", source) as run:
        run.commit(counts={}, exit_status=3, warnings=["no consistent signal", "no consistent signal"])
    record = record_of(tmp_path / "out")
    assert record["exit_status"] == 3 and record["warnings"] == ["no consistent signal"]


def test_equal_runs_have_equal_results(tmp_path, source):
    for name, workers in (("one", 1), ("two", 3)):
        toy(tmp_path / name, source, 500, workers=workers)
    for name in RESULTS:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
