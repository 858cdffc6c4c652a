"""Segments of a tube share pixels: whatever a table says, they are in one half."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.particles import read_particles
from cryoalign.io.stacks import write_stack
from cryoalign.passes.halves import cut_tubes, half_sets, parted_by
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.settings import ImageSettings
from helpers.mutate_npz import BOX, PIXEL, STACK, cs_table, npy_bytes

N = 60


def table(path, columns):
    labels = ["rlnImageName", "rlnPixelSize", *columns]
    rows = zip([f"{k + 1}@{STACK}" for k in range(N)], [PIXEL] * N, *columns.values(), strict=True)
    text = "data_particles\n\nloop_\n" + "".join(f"_{label}\n" for label in labels)
    path.write_text(text + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "\n")
    return read_particles([path], check_stacks=False)


TUBE = [k // 5 % 3 + 1 for k in range(N)]
MICROGRAPH = [f"m{k // 15}.mrc" for k in range(N)]


def whole(half, tubes):
    return all(len(set(half[np.array(tubes) == tube].tolist())) == 1 for tube in set(tubes))


def test_a_subset_that_cuts_tubes_is_not_followed(tmp_path):
    names = [f"{m} {t}" for m, t in zip(MICROGRAPH, TUBE, strict=True)]
    columns = {
        "rlnMicrographName": MICROGRAPH,
        "rlnHelicalTubeID": TUBE,
        "rlnRandomSubset": [k % 2 + 1 for k in range(N)],
    }
    particles = table(tmp_path / "p.star", columns)
    half = half_sets(particles)
    assert whole(half, names) and 0 < half.mean() < 1
    assert cut_tubes(particles) == (12, 12) and parted_by(particles) == "a hash of the tube"
    without = table(tmp_path / "q.star", {name: cells for name, cells in columns.items() if name != "rlnRandomSubset"})
    np.testing.assert_array_equal(half, half_sets(without))


def test_a_subset_that_leaves_tubes_whole_rules(tmp_path):
    subset = [1 + (k // 5 * 7 % 4 > 1) for k in range(N)]
    particles = table(
        tmp_path / "p.star", {"rlnMicrographName": MICROGRAPH, "rlnHelicalTubeID": TUBE, "rlnRandomSubset": subset}
    )
    assert (half_sets(particles) + 1).tolist() == subset and parted_by(particles) == "rlnRandomSubset"
    assert cut_tubes(particles) == (0, 12)


def test_equal_numbers_on_two_micrographs_are_two_tubes(tmp_path):
    tube = [1] * N
    subset = [1 + k // 15 % 2 for k in range(N)]
    columns = {"rlnHelicalTubeID": tube, "rlnRandomSubset": subset}
    particles = table(tmp_path / "p.star", {"rlnMicrographName": MICROGRAPH, **columns})
    assert (half_sets(particles) + 1).tolist() == subset
    assert cut_tubes(table(tmp_path / "q.star", columns)) == (1, 1)


def test_filaments_of_cryosparc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = cs_table(N)
    data["filament/filament_uid"] = 2**63 + np.arange(N, dtype="u8") // 6 * np.uint64(10**9 + 7)
    data["alignments3D/split"] = np.arange(N) % 2
    (tmp_path / "p.cs").write_bytes(npy_bytes(data))
    write_stack(STACK, np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype("f4"), PIXEL)
    particles = read_particles(["p.cs"])
    assert particles.random_subset().tolist() == [1, 2] * (N // 2)  # as cryoSPARC has it
    assert whole(half_sets(particles), data["filament/filament_uid"].tolist())
    said = []
    images = ParticleImages.of(particles, ImageSettings(), scratch=tmp_path, warn=said.append)
    assert whole(images.half, data["filament/filament_uid"].tolist())
    assert any(text.startswith("rlnRandomSubset puts segments of 10 of 10 tubes into both halves") for text in said)


def test_what_is_no_half_is_said_where_halves_are_used(tmp_path):
    particles = table(tmp_path / "p.star", {"rlnHelicalTubeID": TUBE, "rlnRandomSubset": [3] * N})
    assert cut_tubes(particles) == (0, 3)
    with pytest.raises(InputError, match="rlnRandomSubset is none of 1, 2"):
        half_sets(particles)
