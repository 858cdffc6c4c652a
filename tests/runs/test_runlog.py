"""What a run says, where, and how progress looks without a terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from cryoalign.runs.runlog import Progress, close_log, log_to_file, open_log, progress


@pytest.fixture
def log(tmp_path, request):
    """A log of the verbosity that the test asks for."""
    logger = open_log(tmp_path / "run.log", getattr(request, "param", 0))
    yield logger
    close_log(logger)


@pytest.mark.parametrize(
    ("log", "heard"),
    [(-1, ["Warning: c"]), (0, ["b", "Warning: c"]), (1, ["a", "b", "Warning: c"])],
    indirect=["log"],
)
def test_the_file_gets_all_and_stderr_by_verbosity(tmp_path, log, heard, capfd):
    log.debug("a")
    log.info("b")
    log.warning("c")
    log_to_file(log, logging.INFO, "file only")
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == heard
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["DEBUG a", "INFO b", "WARNING c", "INFO file only"]


def test_a_job_of_relion_has_only_warnings_on_stderr(tmp_path, capfd):
    log = open_log(tmp_path / "run.log", news_to_stdout=True)
    log.info("news")
    log.warning("trouble")
    close_log(log)
    out, err = capfd.readouterr()
    assert out == "news\n" and err == "Warning: trouble\n"


def test_logs_append_and_share_nothing(tmp_path, log, capfd):
    other = open_log(tmp_path / "other.log")
    other.info("other")
    close_log(other)
    log.info("mine")
    again = open_log(tmp_path / "other.log")
    again.info("again")
    close_log(again)
    assert [line.split()[-1] for line in (tmp_path / "other.log").read_text().splitlines()] == ["other", "again"]
    assert "other" not in (tmp_path / "run.log").read_text()
    assert not logging.getLogger("cryoalign").handlers


def test_progress_without_a_terminal_is_a_line_per_tenth(tmp_path, log, capfd):
    with progress(log, "search", 1000) as counter:
        for _ in range(100):
            counter.update(10)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("search: 100 of 1000 images, ") and lines[-1].startswith("search: 1000 of 1000")
    assert lines[-1].endswith(" 0 s left")


def test_progress_of_a_resumed_run_counts_from_where_it_was(log, capfd):
    counter = Progress(log, "search", 100, done=60, unit="blocks")
    counter.update(40)
    assert "search: 100 of 100 blocks" in capfd.readouterr().err


def test_a_terminal_gets_a_bar_and_the_file_lines(tmp_path, log, monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(log, "search", 20) as counter:
        counter.update(20)
        log.info("between")
    err = capfd.readouterr().err
    assert "\r" in err and "search" in err and "between\n" in err
    assert "search: 20 of 20" not in err
    assert "search: 20 of 20" in (tmp_path / "run.log").read_text()
