"""BLAS has one thread in every command from its first line to its last, and the caller's setting comes back."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  brings a BLAS of its own
from threadpoolctl import ThreadpoolController, threadpool_limits

import cryoalign
from cryoalign.cli.options import COMMANDS
from cryoalign.core.blas import one_blas_thread
from cryoalign.runs.parts import PartStore, plan_parts
from cryoalign.runs.work import Processes, run_parts
from helpers.align import phantom_set, run
from helpers.parts import Plain

WORDS = {
    "simulate": "simulate -n 64 --box 32 --pixel-size 5 --n-views 2 --snr 1 -o simulate",
    "simulate-graph": "simulate-graph -n 40 -o simulate-graph",
    "align": "align set/particles.star --reference set/ref.mrcs -o align --no-write-stack",
    "average": "average set/particles.star --all -o average",
    "check": "check set/particles.star --reference set/ref.mrcs --fix repaired",
    "rid-distance": "rid-distance set/particles.star -k 5 -o rid-distance",
    "classavg": "classavg set/particles.star -k 8 --classes 2 -o classavg --allow-no-signal",
    "compare": "compare set/ref.mrcs set/ref.mrcs --metric ncc -o compare",
    "sync": "sync graph/graph.npz -o sync --allow-no-signal",
    "select": "select set/particles.star --random 10 -o select",
    "merge": "merge parts",
}


BLAS = ThreadpoolController().select(user_api="blas")


def counts() -> set[int]:
    """Return the threads that the BLAS libraries of this process have now."""
    return {library["num_threads"] for library in BLAS.info()}


@contextlib.contextmanager
def watched() -> Iterator[set[int]]:
    """Set two threads; look at every few calls what BLAS has, from where somebody sets one until the two come back."""
    seen: list[set[int]] = []
    middle: set[int] = set()
    calls = itertools.count()

    def look(*_: object) -> None:
        if next(calls) % 1000 == 0:
            seen.append(counts())

    with threadpool_limits(2, user_api="blas"):
        sys.setprofile(look)
        try:
            yield middle
        finally:
            sys.setprofile(None)
        assert counts() == {2}
    held = [place for place, found in enumerate(seen) if found == {1}]
    middle.update(*seen[held[0] : held[-1] + 1] if held else [{2}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small set of particles and its references, a graph, and a run whose parts are done."""
    base = tmp_path_factory.mktemp("blas")
    (base / "set").mkdir()
    origins = {"rlnAnglePsi": 0, "rlnOriginXAngst": 0, "rlnOriginYAngst": 0}
    phantom_set(96, 32, 5.0, snr=2.0, seed=3, views=2).write(base / "set", **origins)
    in_parts = "average set/particles.star --all -o parts --part"
    for words in ("simulate-graph -n 30 -o graph", f"{in_parts} 1/2", f"{in_parts} 2/2"):
        assert run(base, *words.split()).status == 0
    return base


def test_every_command_is_watched():
    assert set(WORDS) == set(COMMANDS)


@pytest.mark.parametrize("command", WORDS)
def test_a_command_has_one_thread_throughout(command, folder):
    with watched() as seen:
        ran = run(folder, *WORDS[command].split(), "-q")
    assert ran.status == 0, ran.lines
    assert seen == {1}


def test_libraries_that_are_loaded_late_have_one_thread_too(folder):
    code = f"""
import itertools, sys
from threadpoolctl import ThreadpoolController
seen, opened = {{}}, itertools.count()
def look(event, _):
    if event == "open" and looking and next(opened) % 20 == 0:
        looking.clear()
        for library in ThreadpoolController().select(user_api="blas").info():
            seen.setdefault(library["filepath"], []).append(library["num_threads"])
        looking.append(True)
looking = [True]
sys.addaudithook(look)
from cryoalign.cli.main import main
assert "numpy" not in sys.modules
status = main({WORDS["align"].split()!r} + ["--overwrite"])
looking.clear()
numbers = [number for library in seen.values() for number in library]
assert status == 0 and len(numbers) > 20 and set(numbers) == {{1}}, seen
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True, timeout=300)


@pytest.mark.parametrize("name", ["align", "average", "neighbours", "classify", "synchronise", "run"])
def test_the_python_face_has_one_thread_and_gives_back_what_was_set(name, folder):
    found = phantom_set(64, 32, 5.0, snr=2.0, seed=3)
    graph = cryoalign.neighbours(found.images, 4)
    calls = {
        "align": lambda: cryoalign.align(found.images, found.references),
        "average": lambda: cryoalign.average(found.images),
        "neighbours": lambda: cryoalign.neighbours(found.images, 4),
        "classify": lambda: cryoalign.classify(found.images, 4),
        "synchronise": lambda: cryoalign.synchronise(graph),
        "run": lambda: cryoalign.run("simulate-graph", nodes=30, output=folder / "face"),
    }
    with watched() as seen:
        calls[name]()
    assert seen == {1}


def product(part):
    """Return how many threads BLAS has in the process that asks."""
    return {"threads": np.array(sorted(counts())), "sum": np.ones((4, 4)) @ np.ones((4, 4))}


def test_processes_that_work_have_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    run_parts(plan_parts(64, 64), Plain(product), PartStore(tmp_path), workers=1, executor=Processes)
    assert PartStore(tmp_path).load(0)["threads"].tolist() == [1]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_the_last_of_several_to_leave_gives_back_what_was_set(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    first, second = one_blas_thread(), one_blas_thread()
    with threadpool_limits(2, user_api="blas"):
        first.__enter__()
        second.__enter__()
        assert counts() == {1} and os.environ["MKL_NUM_THREADS"] == "1"
        first.__exit__(None, None, None)
        assert counts() == {1}
        second.__exit__(None, None, None)
        assert counts() == {2}
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2" and "MKL_NUM_THREADS" not in os.environ


def test_an_error_gives_back_what_was_set():
    @one_blas_thread()
    def fails() -> None:
        raise ValueError("of the caller")

    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(ValueError, match="of the caller"):
            fails()
        assert counts() == {2}
