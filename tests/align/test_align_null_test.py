"""``align --null-test``: noise on the same path, beside the particles."""

from __future__ import annotations

import numpy as np
import pytest
import starfile

from helpers.align import align, correlation, phantom_set, read_mrcs, results, run, table

BASIC = ["particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-write-stack"]


@pytest.fixture
def folder(tmp_path):
    phantom_set(300, 48, 4.0, snr=0.2, seed=3, views=2, ctf=True).write(tmp_path)
    return tmp_path


def test_noise_gives_the_reference_back_and_particles_more(folder):
    align(folder, *BASIC, "--null-test")
    reference, noise = read_mrcs(folder / "ref.mrcs"), read_mrcs(folder / "out/null_averages.mrcs")
    real = read_mrcs(folder / "out/averages.mrcs")
    for c in range(2):
        assert 0.3 < correlation(noise[c], reference[c], 19) < correlation(real[c], reference[c], 19)
    blocks = starfile.read(folder / "out/null_test.star", always_dict=True)
    assert blocks["classes"]["cryoalignCount"].sum() == 300
    curve = blocks["curve"]
    assert np.all(np.diff(curve["cryoalignCount"]) > 0)
    known = curve[curve["cryoalignCorrelation"] > -2]  # a class may have fewer particles than noise images
    assert len(known) and (known["cryoalignCorrelation"] > known["cryoalignNoiseCorrelation"]).all()
    assert "Noise on the same path" in (folder / "out/report.html").read_text()


def test_it_changes_nothing_else(folder, no_report):
    align(folder, *BASIC, "--null-test")
    with_test = results(folder / "out")
    align(folder, *BASIC, "--overwrite")
    without = results(folder / "out")
    assert set(with_test) - set(without) == {"null_averages.mrcs", "null_test.star"}
    assert all(with_test[name] == content for name, content in without.items())


def test_same_bytes_for_threads_blocks_and_job_arrays(folder, no_report):
    found = []
    for words in ("-j 1", "-j 2 --block-size 64"):
        align(folder, *BASIC, "--null-test", "--overwrite", *words.split())
        found.append(results(folder / "out"))
    (folder / "out").rename(folder / "whole")
    for k in (1, 2):
        align(folder, *BASIC, "--null-test", "--block-size", 64, "--part", f"{k}/2")
    assert run(folder, "merge", "-q", "out").status == 0
    found.append(results(folder / "out"))
    assert found[0] == found[1] == found[2]


def test_another_seed_is_another_noise(folder, no_report):
    align(folder, *BASIC, "--null-test")
    first = read_mrcs(folder / "out/null_averages.mrcs")
    align(folder, *BASIC, "--null-test", "--seed", 1, "--overwrite")
    assert not np.array_equal(first, read_mrcs(folder / "out/null_averages.mrcs"))
    assert len(table(folder / "out/particles.star")) == 300
