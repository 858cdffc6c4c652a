"""Every command, with a pipe, a device or a folder for each file that it takes: one line at once, never a wait."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cryoalign.cli.main import main
from cryoalign.io.stacks import write_stack

P, REFS = "good.mrcs", "refs.mrcs"
ARGUMENTS = {
    "align particles": ["align", "@.star", "--reference", REFS],
    "align stack": ["align", "@.mrcs", "--reference", REFS],
    "align packed stack": ["align", "@.mrcs.gz", "--reference", REFS],
    "align cs": ["align", "@.cs", "--reference", REFS],
    "align references": ["align", P, "--reference", "@.mrcs"],
    "align listed references": ["align", P, "--reference", "@.star"],
    "average particles": ["average", "@.star"],
    "average members": ["average", P, "--members", "@.star"],
    "classavg particles": ["classavg", "@.star"],
    "classavg graph": ["classavg", P, "--graph", "@.npz"],
    "compare A": ["compare", "@.mrcs", REFS],
    "compare B": ["compare", REFS, "@.star"],
    "compare cs": ["compare", REFS, "@.cs"],
    "rid-distance particles": ["rid-distance", "@.star"],
    "rid-distance queries": ["rid-distance", P, "--queries", "@.txt"],
    "select particles": ["select", "@.star", "--random", "1"],
    "select cs": ["select", "@.cs", "--random", "1"],
    "select classes": ["select", "classes.star", "--classes-from", "@.star"],
    "select class table": ["select", "classes.star", "--max-class-resolution", "9", "--class-table", "@.star"],
    "simulate map": ["simulate", "-n", "3", "--map", "@.mrc"],
    "simulate views": ["simulate", "-n", "3", "--views", "@.star"],
    "simulate noise": ["simulate", "-n", "3", "--noise", "@.star"],
    "sync npz": ["sync", "@.npz"],
    "sync csv": ["sync", "@.csv"],
    "sync particles": ["sync", "edges.csv", "--particles", "@.star"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with files that each command can use, and a limit of 20 s, in which nothing waits."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).normal(size=(4, 16, 16)).astype(np.float32)
    write_stack(P, images, 3.0)
    write_stack(REFS, images[:1], 3.0)
    rows = "".join(f"{k}@good.mrcs {k % 2 + 1}\n" for k in range(1, 5))
    Path("classes.star").write_text(f"data_particles\n\nloop_\n_rlnImageName #1\n_rlnClassNumber #2\n{rows}\n")
    Path("edges.csv").write_text("i,j,angle_deg\n1,2,30\n2,3,40\n1,3,70\n3,4,1\n")
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(60)
    yield tmp_path
    signal.alarm(0)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("words", ARGUMENTS.values(), ids=ARGUMENTS)
def test_no_command_waits_for_what_is_no_file(folder, capsys, words, kind):
    (name,) = [word.removeprefix("@") for word in words if word.startswith("@")]
    path = Path(f"x{name}")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    status = main([*[word.replace("@", "x") for word in words], "-o", "out"])
    error = capsys.readouterr().err
    assert status in (1, 2), error
    said = [line for line in error.splitlines() if line.startswith("Error")]
    assert len(said) == 1 and path.name in said[0] and "unexpected" not in error and "Traceback" not in error
    ways = (f"is a {kind}", "neither rows", "a folder without", "no such file")
    assert any(way in said[0] for way in ways), said


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_stack_that_is_no_file(folder, capsys, kind):
    os.mkfifo("p.mrcs") if kind == "pipe" else Path("p.mrcs").symlink_to("/dev/zero")
    Path("p.star").write_text("data_particles\n\nloop_\n_rlnImageName #1\n_rlnPixelSize #2\n1@p.mrcs 3\n\n")
    assert main(["align", "p.star", "--reference", REFS, "-o", "out"]) == 1
    assert "p.mrcs" in capsys.readouterr().err
