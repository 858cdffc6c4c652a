"""``--overwrite`` where an input is among the old results: one line, and nothing is touched, whatever the command."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path

import click
import mrcfile
import numpy as np
import pytest

from cryoalign.cli.main import COMMANDS
from cryoalign.io.graph_file import Graph, write_graph
from cryoalign.jobs.commands import PARAMETERS, parameters_class
from cryoalign.runs.parameters import RunOptions
from cryoalign.runs.reads import Reads
from helpers.align import run

OLD = "A"
FILES = [
    "particles.star", "aligned.mrcs", "aligned.star", "averages.mrcs", "averages.star", "members.star", "graph.npz",
    "map.mrc", "views.star", "noise.star", "rows.txt", "deep/er.mrcs", "references.cs", "link.mrcs",
]  # fmt: skip
CASES = {
    # Named on the command line, by each of its options.
    "align-particles": "align A/particles.star --reference refs.mrcs",
    "align-stack": "align A/aligned.mrcs --reference refs.mrcs --angpix 2",
    "align-in_parts": "align --in_parts A/particles.star --reference refs.mrcs",
    "align-i": "align --i A/particles.star --reference refs.mrcs",
    "align-reference": "align p.star --reference A/averages.mrcs",
    "align-reference-list": "align p.star --reference A/averages.star",
    "average-particles": "average A/particles.star",
    "average-members": "average p.star --members A/members.star",
    "classavg-particles": "classavg A/particles.star",
    "classavg-graph": "classavg p.star --graph A/graph.npz",
    "classavg-rows": "classavg p.star --particles A/rows.txt",
    "compare-a": "compare A/averages.mrcs refs.mrcs",
    "compare-b": "compare refs.mrcs A/averages.mrcs",
    "compare-one": "compare 1@A/averages.mrcs 1@refs.mrcs",
    "compare-table": "compare refs.mrcs A/particles.star",
    "rid-distance-particles": "rid-distance A/particles.star",
    "rid-distance-queries": "rid-distance p.star --queries A/rows.txt",
    "select-particles": "select A/particles.star --min-score 0.1",
    "select-classes-from": "select p.star --classes-from A/averages.star",
    "select-class-table": "select p.star --min-class-quality 0.1 --class-table A/averages.star",
    "select-class-table-beside": "select A/members.star --min-class-quality 0.1",
    "simulate-map": "simulate --map A/map.mrc",
    "simulate-views": "simulate --views A/views.star",
    "simulate-noise": "simulate --noise A/noise.star",
    "sync-graph": "sync A/graph.npz",
    "sync-graph-option": "sync --graph A/graph.npz",
    "sync-directory": "sync A",
    "sync-particles": "sync edges.csv --particles A/particles.star",
    "sync-in_parts": "sync edges.csv --in_parts A/particles.star",
    # Behind what is named: stacks of tables, in any folder that names may start from.
    "align-stack-of-table": "align c.star --reference refs.mrcs",
    "align-stack-of-references": "align p.star --reference c_refs.star",
    "average-stack-of-table": "average c.star",
    "average-stack-in-datadir": "average bare.star --datadir A",
    "average-second-table": "average p.star c.star",
    "classavg-stack-of-table": "classavg c.star",
    "compare-stack-of-table": "compare refs.mrcs c.star",
    "compare-stack-of-references": "compare c_refs.star refs.mrcs",
    "rid-distance-stack-of-table": "rid-distance c.star",
    "rid-distance-stack-of-cs": "rid-distance c.cs",
    "select-stack-of-table": "select c.star --min-score 0.1",
    "sync-stack-of-particles": "sync edges.csv --particles c.star",
    "sync-particles-of-the-run": "sync B/graph.npz",
    # The same file by other names.
    "symbolic-link": "average link.star",
    "symbolic-link-to-a-stack": "compare refs.mrcs link.mrcs",
    "symbolic-link-of-a-folder": "average linked/particles.star",
    "symbolic-link-behind-a-table": "average c_link.star",
    "hard-link": "compare refs.mrcs hard.mrcs",
    "hard-link-behind-a-table": "average c_hard.star",
    "dots": "average B/../A/particles.star",
    "in-a-folder": "compare refs.mrcs A/deep/er.mrcs",
    "a-result-that-is-a-link": "compare refs.mrcs A/link.mrcs",
    # What an unfinished commit has moved, and what lies in the work folder.
    "unfinished": "average A/particles.star",
    "work-folder": "compare refs.mrcs A/.cryoalign/results/aligned.mrcs",
}


def table(path: Path, stack: str, label: str = "rlnImageName", n: int = 4) -> None:
    """Write a table of n images of a stack with classes and scores."""
    rows = "".join(f"{i + 1:06d}@{stack} {1 + i % 2} 0.5 10 1\n" for i in range(n))
    labels = [label, "rlnClassNumber", "cryoalignScore", "rlnAnglePsi", "rlnOpticsGroup"]
    optics = "\ndata_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnImageSize\n1 2.0 8\n"
    head = optics + "\ndata_particles\n\nloop_\n" + "".join(f"_{name}\n" for name in labels)
    path.write_text(head + rows + "\n")


def stack(path: Path, n: int = 4) -> None:
    """Write n images of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(1).normal(size=(n, 8, 8)).astype(np.float32)
    mrcfile.write(path, images, voxel_size=2.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with an old finished run A, and files that lead to its results."""
    top = tmp_path_factory.mktemp("made")
    old = top / OLD
    for name in FILES:
        if name.endswith((".mrcs", ".mrc")) and name != "link.mrcs":
            stack(old / name, 8 if name == "map.mrc" else 4)
    (old / "link.mrcs").symlink_to("../plain.mrcs")
    for name in ("particles.star", "aligned.star", "members.star", "views.star", "noise.star"):
        table(old / name, "A/aligned.mrcs")
    table(old / "averages.star", "A/averages.mrcs", "rlnReferenceImage")
    (old / "rows.txt").write_text("1\n2\n")
    ring = np.arange(4)
    pixels = np.zeros(4, np.float32)
    names = np.array([f"{i + 1:06d}@A/aligned.mrcs" for i in range(4)])
    graph = Graph(4, ring, (ring + 1) % 4, pixels, pixels, np.zeros((4, 2), np.float32), pixels > 1, names, 8, 2.0, "m")
    write_graph(old / "graph.npz", graph)
    stack(top / "plain.mrcs")
    stack(top / "refs.mrcs", 1)
    table(top / "p.star", "plain.mrcs")
    table(top / "c.star", "A/aligned.mrcs")
    table(top / "bare.star", "aligned.mrcs")
    table(top / "c_refs.star", "A/averages.mrcs", "rlnReferenceImage")
    (top / "link.star").symlink_to("A/particles.star")
    (top / "link.mrcs").symlink_to("A/aligned.mrcs")
    (top / "linked").symlink_to("A")
    os.link(old / "aligned.mrcs", top / "hard.mrcs")
    table(top / "c_link.star", "link.mrcs")
    table(top / "c_hard.star", "hard.mrcs")
    (top / "edges.csv").write_text("i,j,angle_deg\n1,2,10\n2,3,10\n3,4,10\n")
    cs = np.zeros(4, [("uid", "<u8"), ("blob/path", "S20"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4"),
                      ("blob/shape", "<u4", (2,))])  # fmt: skip
    cs["uid"], cs["blob/path"], cs["blob/idx"] = np.arange(4), b"A/aligned.mrcs", np.arange(4)
    cs["blob/psize_A"], cs["blob/shape"] = 2.0, 8
    with (top / "c.cs").open("wb") as handle:
        np.save(handle, cs)
    record(old, "align", FILES)
    # A run elsewhere whose graph is of A's particles.
    (top / "B").mkdir()
    shutil.copy(old / "graph.npz", top / "B")
    record(top / "B", "rid-distance", ["graph.npz"], parameters={"inputs": ["A/particles.star"]}, top=top)
    return top


def record(path: Path, command: str, files: list[str], top: Path | None = None, **changes: object) -> None:
    """Write the record of a finished run."""
    words = {
        "schema_version": 1, "program": "cryoalign", "command": command, "status": "finished",
        "command_line": "cryoalign", "working_directory": str(top or path.parent), "parameters": {}, "seed": 0,
        "versions": {}, "inputs": [], "files": files, "attempts": [], "counts": {}, "exit_status": 0, "warnings": [],
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(words | changes))
    (path / "RELION_JOB_EXIT_SUCCESS").touch()


def state(path: Path) -> dict[str, object]:
    """Return everything in a folder: names, kinds, bytes and times of change."""
    return {
        str(one.relative_to(path)): (
            one.readlink() if one.is_symlink() else one.read_bytes() if one.is_file() else None,
            one.lstat().st_ino,
            one.lstat().st_mtime_ns if one.is_file() else 0,
        )
        for one in path.rglob("*")
    }


@pytest.mark.parametrize("case", CASES)
def test_an_input_among_the_old_results_is_refused_and_nothing_touched(made, case):
    if case == "unfinished":
        (made / OLD / "RELION_JOB_EXIT_SUCCESS").unlink()
        record(made / OLD, "align", FILES, status="running")
    if case == "work-folder":
        stack(made / OLD / ".cryoalign" / "results" / "aligned.mrcs")
    try:
        before = state(made / OLD)
        ran = run(made, *CASES[case].split(), "-o", OLD, "--overwrite")
        assert ran.status == 1 and ran.lines[0].startswith("Error: "), ran.lines
        assert "this input would be removed with the old results; choose another --output" in ran.lines[0]
        after = state(made / OLD)
        after.pop(".cryoalign/begin", None)
        assert len(ran.lines) == 1 and after == before
    finally:
        shutil.rmtree(made / OLD / ".cryoalign", ignore_errors=True)
        record(made / OLD, "align", FILES)


@pytest.mark.parametrize(
    "words",
    ["average absent.star", "compare refs.mrcs absent.mrcs", "sync absent.npz", "align p.star --reference absent.mrcs",
     "average p.star --members absent.star", "select absent.star --unique", "simulate --map absent.mrc"],
)  # fmt: skip
def test_a_missing_input_costs_no_old_results(made, words):
    before = state(made / OLD)
    ran = run(made, *words.split(), "-o", OLD, "--overwrite")
    assert ran.status == 1 and "no such file" in ran.lines[0] and "absent" in ran.lines[0], ran.lines
    assert len(ran.lines) == 1 and state(made / OLD) == before


def test_every_command_and_every_option_that_names_a_file_is_among_the_cases():
    """A command or an option that comes later fails here until it has its case."""
    lines = {case: words.split() for case, words in CASES.items()}
    assert {words[0] for words in lines.values()} == set(PARAMETERS) - {"simulate-graph"}  # which reads nothing
    given = {word for words in lines.values() for word in words}
    texts = {"--queries", "--views", "--noise", "--particles"}  # text, which may be the name of a file
    for name in COMMANDS:
        command = importlib.import_module(f"cryoalign.cli.{name.replace('-', '_')}").command
        for option in command.params:
            is_file = isinstance(option.type, click.Path) or set(option.opts) & texts
            if name in PARAMETERS and is_file and option.name not in ("output", "datadir"):
                assert isinstance(option, click.Argument) or set(option.opts) & given, (name, option.opts)


@pytest.mark.parametrize("command", PARAMETERS)
def test_every_command_says_itself_what_it_reads(command):
    kind = parameters_class(command)
    assert "reads" in vars(kind), f"{kind.__name__} must declare what it reads"


def test_a_command_that_declares_nothing_cannot_begin(tmp_path):
    class Forgetful(RunOptions):
        command = "forgetful"

    from cryoalign.runs.rundir import RunDirectory

    with pytest.raises(NotImplementedError, match="forgetful does not say what it reads"):
        RunDirectory.begin_with(Forgetful(output=tmp_path / "out"), [], -1)
    assert not (tmp_path / "out").exists()


def test_nothing_read_is_nothing_refused(tmp_path):
    assert Reads().everything() == []
