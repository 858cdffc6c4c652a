"""A new strategy is one file and one registration: here one that starts from the mean of the particles as they lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.alignment.names import STRATEGIES, register, strategy
from cryoalign.alignment.strategy import Start, StartSource, Strategy
from cryoalign.core.errors import InputError
from helpers.align import align, phantom_set, table


class FromTheMean(Strategy):
    """Start from the mean of the particles as they lie, whitening undone."""

    words = "align to the mean of the particles"
    note = "The first reference is the mean of the particles as they lie."
    iterations = 2

    def start(self, source: StartSource) -> Start:
        """Average what was prepared; ask to keep it, so that a resumed run starts alike."""
        prepared = source.prepared()
        found = source.keep(lambda: {"mean": np.mean(prepared.images, axis=0, dtype=np.float64)})
        source.say("started from the mean")
        box = prepared.images.shape[-1]
        scale = prepared.raw_box / box
        assert scale == 1  # small boxes are not cropped
        return Start(found["mean"][None].astype(np.float32), prepared.raw_pixel_size_angstrom)


@pytest.fixture
def known():
    """Register the strategy for one test."""
    register("mean", f"{__name__}:FromTheMean")
    yield
    del STRATEGIES["mean"]


@pytest.mark.parametrize("words", [(), ("--no-halves",)])
def test_a_strategy_from_elsewhere_aligns(known, tmp_path, words):
    made = phantom_set(120, 32, 4.0, snr=2.0, seed=5, shift_sd=0.5)
    # Turned a little only, so that their mean shows something.
    small = made.write(tmp_path)
    align(tmp_path, "particles.star", "--strategy", "mean", "-o", "out", "--allow-no-signal", *words)
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["parameters"]["strategy"] == "mean" and record["parameters"]["iterations"] == 2
    assert "started from the mean" in (tmp_path / "out/run.log").read_text()
    assert "the mean of the particles as they lie" in (tmp_path / "out/report.html").read_text()
    assert len(table(tmp_path / "out/particles.star")) == len(small.images)


def test_what_does_not_go_with_it_is_refused(known, tmp_path):
    phantom_set(64, 32, 4.0, snr=2.0, seed=5).write(tmp_path)
    for more, said in (
        (("--reference", "ref.mrcs"), "--strategy mean makes its own references"),
        (("--local", 10), "--local cannot be used with --strategy mean"),
        (("--part", "1/2"), "--part cannot be used"),
    ):
        result = align(tmp_path, "particles.star", "--strategy", "mean", "-o", "out", *more, status=2)
        assert said in result.errors[0]


def test_names_are_taken_once_and_unknown_ones_are_told():
    with pytest.raises(ValueError, match="synchronized"):
        register("synchronized", "x:Y")
    with pytest.raises(InputError, match="must be one of references, synchronized"):
        strategy("magic")
