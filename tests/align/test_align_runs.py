"""Runs of align that differ in threads, blocks, parts or fate, and give the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cryoalign.cli.main import main

ROWS = 300
SAME_BYTES = {".star", ".mrcs", ".npz", ".cs", ".csv"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with particles of two views and their references."""
    folder = tmp_path_factory.mktemp("project")
    words = f"-n {ROWS} --n-views 2 --box 32 --pixel-size 6 --snr 0.5 --ctf --noise coloured --seed 4 -q"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["simulate", "-o", "sim", *words.split()]) == 0
    return folder


@pytest.fixture(autouse=True)
def in_project(project, monkeypatch):
    """Run everything where image names start from."""
    monkeypatch.chdir(project)


def words(out: str, *more: str) -> list[str]:
    """Return the words of one alignment."""
    basic = "align sim/particles.star --reference sim/references.mrcs --block-size 64 -q -o"
    return [*basic.split(), out, *more]


def results(out: str) -> dict[str, bytes]:
    """Return the result files of a run that have to be the same, with the name of the run taken out."""
    names = [name for name in json.loads(Path(out, "run.json").read_text())["files"] if Path(name).suffix in SAME_BYTES]
    names.remove("RELION_OUTPUT_NODES.star")
    assert {"particles.star", "aligned.mrcs", "aligned.star", "averages.mrcs", "averages.star"} <= set(names)
    return {name: Path(out, name).read_bytes().replace(f"@{out}/".encode(), b"@OUT/") for name in names}


@pytest.fixture(scope="module")
def expected(project) -> dict[str, bytes]:
    """The results of one undisturbed run on one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        assert main(words("expected", "-j", "1")) == 0
        return results("expected")


@pytest.mark.parametrize("more", [("-j", "2"), ("-j", "5"), ("--full-digest",), ("--memory", "1G")])
def test_threads_and_the_like_change_nothing(expected, more):
    out = "-".join(word.strip("-") for word in more)
    assert main(words(out, *more)) == 0
    assert results(out) == expected


def test_the_size_of_blocks_changes_nothing(expected):
    assert main(words("blocks", "--block-size", "192")) == 0
    assert results("blocks") == expected


def test_a_job_array_and_merge_give_the_same_files(expected):
    for part in ("3/3", "1/3"):
        assert main(words("array", "--part", part)) == 0
        assert not Path("array/particles.star").exists()
    assert main(["merge", "array", "-q"]) == 1
    assert main(words("array", "--part", "2/3")) == 0
    assert main(["merge", "array", "-q"]) == 0
    assert results("array") == expected
    assert Path("array/RELION_JOB_EXIT_SUCCESS").exists() and not Path("array/.cryoalign").exists()


@pytest.mark.parametrize("iterations", ["1", "2"])
def test_a_killed_run_resumes_to_the_same_files(expected, iterations):
    out, again = f"killed{iterations}", f"whole{iterations}"
    program = textwrap.dedent("""
        import os, signal, sys
        from cryoalign.runs.parts import PartStore
        save, saved = PartStore.save, []
        def deadly(self, index, arrays):
            save(self, index, arrays)
            saved.append(index)
            if len(saved) == int(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)
        PartStore.save = deadly
        from cryoalign.cli.main import main
        main(sys.argv[2:])
    """)
    more = ["--iterations", iterations, "-j", "2"]
    dies_after = "3" if iterations == "1" else "8"
    done = subprocess.run([sys.executable, "-c", program, dies_after, *words(out, *more)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not Path(out, "particles.star").exists() and Path(out, ".cryoalign").exists()
    assert main(words(out, *more)) == 1
    assert main(words(out, *more, "--resume")) == 0
    if iterations == "1":
        assert results(out) == expected
    else:
        assert main(words(again, *more)) == 0
        assert results(out) == results(again) != expected


def test_a_finished_run_is_refused_then_overwritten(expected, capsys):
    assert main(words("finished")) == 0
    assert main(words("finished")) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Error: finished: a finished run")
    assert main(words("finished", "--overwrite", "--no-write-stack")) == 0
    assert not Path("finished/aligned.mrcs").exists() and Path("finished/particles.star").exists()


def test_resume_with_other_options_names_them(expected, capsys):
    assert main(words("other", "--part", "1/2", "--lowpass", "20")) == 0
    assert main(words("other", "--resume", "--lowpass", "25")) == 1
    assert "lowpass was 20.0 and is now 25.0" in capsys.readouterr().err


def test_result_files_hold_no_date_host_or_absolute_path(expected, project):
    import socket
    from datetime import UTC, datetime

    today = datetime.now(UTC)
    words_of_now = [today.strftime("%Y-%m-%d"), today.strftime("%d-%b-%Y"), str(project), socket.gethostname() + " "]
    for name, content in expected.items():
        for word in words_of_now:
            assert word.encode() not in content, (name, word)
