"""What may be in the output folder before: finished runs, files of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.align import MARKERS, align, results, table

pytestmark = pytest.mark.usefixtures("no_report")

REFERENCE = "sim/references.mrcs"
BASIC = f"sim/particles.star --reference {REFERENCE} -o out"


@dataclass(frozen=True)
class Finished:
    """A folder whose ``out`` holds a finished run and a file of somebody else."""

    folder: Path
    before: dict[str, bytes]


@pytest.fixture
def finished(small) -> Finished:
    """Finish a run and leave a foreign file beside it."""
    align(small, *BASIC.split())
    (small / "out/notes.txt").write_text("mine")
    (small / "out/mine.star").write_text("data_mine\n")
    return Finished(small, results(small / "out"))


def test_a_finished_run_is_not_touched(finished):
    ran = align(finished.folder, *BASIC.split(), status=1)
    assert len(ran.lines) == 1 and "out" in ran.lines[0] and "--overwrite" in ran.lines[0]
    assert results(finished.folder / "out") == finished.before
    assert [n for n in MARKERS if (finished.folder / "out" / n).exists()] == ["RELION_JOB_EXIT_SUCCESS"]


def test_overwrite_replaces_our_files_and_no_others(finished):
    out = finished.folder / "out"
    align(finished.folder, *BASIC.split(), "--overwrite", "--no-write-stack", "--limit", 20)
    assert not (out / "aligned.mrcs").exists() and not (out / "aligned.star").exists()
    assert len(table(out / "particles.star")) == 20
    assert (out / "notes.txt").read_text() == "mine" and (out / "mine.star").read_text() == "data_mine\n"


def test_a_failed_overwrite_leaves_no_old_result_behind(finished):
    (finished.folder / REFERENCE).unlink()
    align(finished.folder, *BASIC.split(), "--overwrite", status=1)
    assert (finished.folder / "out/notes.txt").exists()
    left = set(results(finished.folder / "out")) - {"mine.star"}
    assert left in (set(), set(finished.before) - {"mine.star"})  # all of the old run, or none of it


def test_a_foreign_file_of_a_result_s_name_is_not_overwritten(small):
    (small / "out").mkdir()
    (small / "out/particles.star").write_text("data_mine\n")
    ran = align(small, *BASIC.split(), status=1)
    assert len(ran.lines) == 1 and "out/particles.star" in ran.lines[0]
    assert (small / "out/particles.star").read_text() == "data_mine\n"
