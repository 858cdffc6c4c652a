"""The same bytes however a run is cut, ordered, stopped or spread, and from `align` as from `average`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.passes.average.part import SumPart
from helpers.align import results, run, table
from helpers.average import PARTICLES, average

BASIC = (PARTICLES, "-o", "out")
CUT = (*BASIC, "--block-size", 64)
SMALL_MEMORY = ("--memory", "200M")
"""Too little for the sums of all classes: the work is ordered by class."""


@pytest.fixture(autouse=True)
def small_shares(monkeypatch):
    """Let sums take a very small part of --memory, so that work on few images is ordered as that on many."""
    monkeypatch.setattr("cryoalign.passes.average.plan._MEMORY_SHARE", 4096)
    monkeypatch.setattr("cryoalign.passes.average.robust._MEMORY_SHARE", 32768)


@pytest.fixture(scope="module")
def expected(made) -> dict[str, bytes]:
    """The bytes of an undisturbed run on one thread in one block."""
    average(made.folder, *BASIC, "--overwrite")
    return results(made.folder / "out")


@pytest.mark.parametrize(
    "words",
    ["-j 1 --block-size 64", "-j 2 --block-size 64", "-j 3 --block-size 128", "--memory 2G", "--memory 200M",
     "--memory 200M --block-size 64 -j 2", "--full-digest"],
)  # fmt: skip
def test_same_bytes_over_threads_blocks_and_orders(few, expected, words):
    assert run(few.folder, "average", "-q", *BASIC, *words.split()).status == 0
    assert results(few.folder / "out") == expected


@pytest.mark.parametrize(
    "options", ["--scale --recenter --variance", "--robust sigma-clip --recenter --variance", "--phase-flip --scale"]
)
def test_same_bytes_of_second_passes(few, options):
    found = []
    for words in ("-j 1", "-j 2 --block-size 64", "--memory 200M --block-size 64"):
        assert run(few.folder, "average", "-q", *BASIC, "--overwrite", *options.split(), *words.split()).status == 0
        found.append(results(few.folder / "out"))
    assert found[1] == found[0] and found[2] == found[0]


@pytest.mark.parametrize("options", ["", "--scale", "--robust winsorised"])
def test_same_bytes_where_classes_are_put_together_one_by_one(few, options, monkeypatch):
    average(few.folder, *BASIC, *options.split())
    wanted = results(few.folder / "out")
    monkeypatch.setattr("cryoalign.passes.average.merge.MERGE_BYTES", 1)
    monkeypatch.setattr("cryoalign.passes.average.robust.MERGE_BYTES", 1)
    average(few.folder, *BASIC, "--overwrite", *options.split(), *SMALL_MEMORY, "--block-size", 64)
    assert results(few.folder / "out") == wanted


def test_the_work_is_ordered_by_class_where_sums_are_large(few):
    run(few.folder, "average", *BASIC, *SMALL_MEMORY)
    assert "by class" in (few.folder / "out/run.log").read_text()


def test_classes_that_went_through_the_disk(few, monkeypatch):
    """A class too large for its share of the memory is spilled: nothing changes, nothing is left."""
    average(few.folder, *BASIC, "--robust", "median")
    wanted = results(few.folder / "out")
    spilled, whole = [], np.memmap

    def spill(path, *words, **options):
        spilled.append(Path(path.name))
        return whole(path, *words, **options)

    monkeypatch.setattr("numpy.memmap", spill)
    run(few.folder, "average", "-q", *BASIC, "--overwrite", "--robust", "median", "--memory", "200M")
    assert results(few.folder / "out") == wanted
    assert len(spilled) == 3 and not any(path.exists() for path in spilled)


class Stop:
    """Stands before the part function, and interrupts when it is called for the n-th time."""

    def __init__(self, monkeypatch, at: int) -> None:
        self.calls, whole = 0, SumPart.__call__

        def part(this, one):
            self.calls += 1
            if self.calls == at:
                raise KeyboardInterrupt
            return whole(this, one)

        monkeypatch.setattr(SumPart, "__call__", part)


def test_an_interrupted_run_resumes_to_the_same_bytes(few, expected, monkeypatch):
    with monkeypatch.context() as patch:
        Stop(patch, 3)
        average(few.folder, *CUT, status=130)
    assert results(few.folder / "out") == {}
    refused = average(few.folder, *CUT, status=1)
    assert "--resume" in refused.lines[0] and "--overwrite" in refused.lines[0]
    with monkeypatch.context() as patch:
        again = Stop(patch, 0)
        average(few.folder, *CUT, "--resume")
    assert again.calls == 3  # of five parts, two were done
    assert results(few.folder / "out") == expected


def test_a_second_pass_that_was_interrupted(few, monkeypatch):
    words = (*CUT, "--recenter", "--scale")
    average(few.folder, *words)
    wanted = results(few.folder / "out")
    with monkeypatch.context() as patch:
        Stop(patch, 8)
        average(few.folder, *words, "--overwrite", status=130)
    average(few.folder, *words, "--resume")
    assert results(few.folder / "out") == wanted


def test_another_order_of_the_work_may_resume(few, expected, monkeypatch):
    with monkeypatch.context() as patch:
        Stop(patch, 3)
        average(few.folder, *CUT, status=130)
    average(few.folder, *CUT, "--resume", *SMALL_MEMORY)
    assert results(few.folder / "out") == expected


@pytest.mark.parametrize("options", ["", "--robust median"])
def test_tasks_of_an_array_and_merge(few, options):
    average(few.folder, *CUT, *options.split())
    wanted = results(few.folder / "out")
    (few.folder / "out").rename(few.folder / "whole")
    for k in (3, 1):
        average(few.folder, *CUT, *options.split(), "--part", f"{k}/3")
    early = run(few.folder, "merge", "-q", "out")
    if not options:  # with robust means parts are classes, and here one part holds all of them
        assert early.status == 1 and "2/3" in early.lines[0]
    average(few.folder, *CUT, *options.split(), "--part", "2/3") if early.status else None
    if early.status:
        assert run(few.folder, "merge", "-q", "out").status == 0
    assert results(few.folder / "out") == wanted


@pytest.mark.parametrize(
    ("options", "ours"),
    [("", ""), ("--halves --iterations 2", ""), ("--mirror --normalize --invert", "--normalize --invert")],
)
def test_averages_of_an_alignment_are_those_of_average(few, options, ours):
    """`average` on what `align` wrote: the same pictures, halves and FRC to the last bit."""
    words = ("align", "-q", "-j", 1, PARTICLES, "--reference", "ref.mrcs", "-o", "aligned", "--no-write-stack")
    assert run(few.folder, *words, *options.split()).status in (0, 3)
    average(few.folder, "aligned/particles.star", "-o", "out", *ours.split())
    for name in ("averages.mrcs", "averages_half1.mrcs", "averages_half2.mrcs", "frc.star"):
        assert (few.folder / "out" / name).read_bytes() == (few.folder / "aligned" / name).read_bytes(), name
    first, second = (table(few.folder / name / "averages.star", "averages") for name in ("aligned", "out"))
    for label in set(first) - {"rlnReferenceImage"}:
        assert first[label].tolist() == second[label].tolist(), label
    if "--halves" in options:
        assert set(second["cryoalignFrcKind"]) == {"independent"}
