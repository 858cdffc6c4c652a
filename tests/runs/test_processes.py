"""Parts by processes: every work pickles, and gives the same bytes as in threads."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.particles import read_particles
from cryoalign.io.references import read_references
from cryoalign.io.stack_writer import StackPlace
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.passes.align.guard import plan_guard
from cryoalign.passes.align.part import AlignWork, PartOutputs
from cryoalign.passes.align.plan import plan_align
from cryoalign.passes.average.members import read_memberships
from cryoalign.passes.average.part import SumPart
from cryoalign.passes.average.plan import plan_average
from cryoalign.passes.average.robust import RobustPart
from cryoalign.passes.average.second import IntensityPart, VariancePart
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.part import PrepareWork
from cryoalign.passes.prepare.plan import plan_preparation
from cryoalign.passes.prepare.settings import ComparisonSettings
from cryoalign.runs.parameters import settings_from
from cryoalign.runs.parts import PartStore, plan_parts
from cryoalign.runs.work import Processes, Threads, run_parts
from helpers.align import phantom_set

ROWS = 150


def silent(text: str) -> None:
    """Ignore a warning."""


class Made:
    """Plans of a small set with CTF, and the work of every pass over it."""

    def __init__(self, folder: Path) -> None:
        phantom_set(ROWS, 32, 4.0, snr=0.5, seed=7, ctf=True).write(folder)
        self.folder = folder
        with contextlib.chdir(folder):
            p = AlignParameters(inputs=(Path("particles.star"),), output=Path("o"), reference=Path("ref.mrcs"))
            particles = read_particles([folder / "particles.star"])
            self.images = ParticleImages.of(particles, p, scratch=folder, warn=silent)
            references, pixel = read_references(folder / "ref.mrcs")
            self.align = plan_align(p, self.images, references, pixel, warn=silent)
            a = AverageParameters(inputs=p.inputs, output=p.output, one_class=True)
            members = read_memberships(a, particles, silent, limit=None, weighted=True)
            self.average = plan_average(a, self.images, members, warn=silent)
            self.prepare = plan_preparation(
                settings_from(ComparisonSettings, p, metric="steerable-pca"), self.images, warn=silent
            )

    def place(self, name: str, box: int) -> StackPlace:
        """Make a stack for pixels."""
        place = StackPlace(self.folder / name, ROWS, box, 4.0)
        place.open().close()
        return place


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """The plans."""
    return Made(tmp_path_factory.mktemp("plans"))


@pytest.fixture(autouse=True)
def there(made, monkeypatch):
    """Names of stacks start from the folder of the set."""
    monkeypatch.chdir(made.folder)


def works(made: Made) -> dict:
    """Every kind of work, by name."""
    guard = plan_guard(made.align, made.align.references[None], cross_fitted=False)
    outputs = PartOutputs((made.place("aligned.mrcs", 32),))
    filters = np.ones((1, 32, 17), np.float32)
    return {
        "align": AlignWork(made.align, outputs, guard),
        "sums": SumPart(made.average),
        "robust": RobustPart(made.average, made.folder),
        "intensity": IntensityPart(made.average, filters, np.ones((2, 1, 32, 32), np.float32)),
        "variance": VariancePart(made.average, filters, np.ones((1, 32, 32), np.float32)),
        "prepare": PrepareWork(made.prepare, made.place("prepared.mrcs", made.prepare.box)),
    }


@pytest.mark.parametrize("name", ["align", "sums", "robust", "intensity", "variance", "prepare"])
def test_every_work_pickles_and_does_the_same(made, name):
    work = works(made)[name]
    (part,) = plan_parts(1 if name == "robust" else ROWS, 192)
    with work.open() as one, pickle.loads(pickle.dumps(work)).open() as other:
        expected, found = one(part), other(part)
    assert set(expected) == set(found)
    for label, values in expected.items():
        np.testing.assert_array_equal(found[label], values)


@pytest.mark.parametrize("name", ["align", "sums"])
def test_two_processes_give_the_bytes_of_threads(made, tmp_path, name):
    ranges = plan_parts(ROWS, 64)
    for kind in (Threads, Processes):
        run_parts(ranges, works(made)[name], PartStore(tmp_path / kind.__name__), workers=2, executor=kind)
    for part in ranges:
        file = f"part-{part.index:06d}.npz"
        assert (tmp_path / "Threads" / file).read_bytes() == (tmp_path / "Processes" / file).read_bytes()
    if name == "align":
        pixels = (made.folder / "aligned.mrcs").read_bytes()
        run_parts(ranges, works(made)[name], PartStore(tmp_path / "again"), workers=1)
        assert (made.folder / "aligned.mrcs").read_bytes() == pixels


def test_an_error_in_a_process_is_told_as_in_a_thread(made, tmp_path):
    stack = made.folder / "particles.mrcs"
    whole = stack.read_bytes()
    try:
        with stack.open("r+b") as handle:
            handle.seek(1024 + 4 * 32 * 32 * 70)
            handle.write(np.full(32 * 32, np.nan, np.float32).tobytes())
        with pytest.raises(InputError, match=r"row 71.*NaN"):
            run_parts(plan_parts(ROWS, 64), SumPart(made.average), PartStore(tmp_path), workers=2, executor=Processes)
    finally:
        stack.write_bytes(whole)
