"""``align --metric`` as a run: every measure gives the same bytes for threads, blocks and parts, and after a stop."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.metrics.names import measure_names
from cryoalign.passes.align.part import AlignPart
from helpers.align import align, angle_difference, numbers, phantom_set, results, run

QUICK = ("auto", "rfsw")

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with 70 particles of 32 px in two views and both hands, with CTF; and their truth."""
    folder = tmp_path_factory.mktemp("measured_runs")
    return folder, phantom_set(70, 32, 5.0, snr=2.0, seed=8, views=2, ctf=True, mirror=True, shift_sd=1.0).write(folder)


def by(folder, out: str, metric: str, *words: object, status: int = 0):
    """Align by a measure, mirrors too, in blocks of 64."""
    basic = ("particles.star", "--reference", "ref.mrcs", "-o", out, "--mirror", "--no-guard", "--block-size", 64)
    return align(folder, *basic, "--metric", metric, *words, status=status)


@pytest.mark.parametrize(
    "metric", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in measure_names()]
)
def test_same_bytes_however_it_is_run(made, metric, monkeypatch):
    if metric == "wavelet-emd":
        pytest.importorskip("pywt")
    folder, truth = made
    by(folder, metric, metric)
    whole = results(folder / metric)
    psi = numbers(folder / metric / "particles.star", "rlnAnglePsi")[0]
    assert np.median(np.abs(angle_difference(psi, truth.poses.psi))) < 10
    # Other threads and one block.
    ran = run(folder, "align", "-q", "-j", 2, "particles.star", "--reference", "ref.mrcs", "-o", metric, "--mirror",
              "--no-guard", "--overwrite", "--metric", metric)  # fmt: skip
    assert ran.status == 0 and results(folder / metric) == whole
    # Parts, the last first; named as the whole run, since image names hold the folder.
    (folder / metric).rename(folder / f"{metric}-whole")
    for part in ("2/2", "1/2"):
        by(folder, metric, metric, "--part", part)
    assert run(folder, "merge", "-q", metric).status == 0 and results(folder / metric) == whole
    # Stopped at the second tile, and carried on.
    (folder / metric).rename(folder / f"{metric}-parts")
    kept, calls = AlignPart._align, []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return kept(self, *arguments)

    monkeypatch.setattr(AlignPart, "_align", stop)
    by(folder, metric, metric, status=130)
    assert results(folder / metric) == {}
    monkeypatch.setattr(AlignPart, "_align", kept)
    by(folder, metric, metric, "--resume")
    assert results(folder / metric) == whole
