"""relion_star_handler and select keep the same particles."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from helpers.select import blocks, particle_columns, rows, select, write_particles_star

N = 300


def relion(folder, *words):
    """Run relion_star_handler there, or skip."""
    if shutil.which("relion_star_handler") is None:
        pytest.skip("relion_star_handler is not installed (RELION)")
    done = subprocess.run(
        ["relion_star_handler", *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("label", "low", "high"), [("rlnClassNumber", 2, 3), ("rlnCoordinateX", 100, 250)])
def test_values_within_limits(tmp_path, label, low, high):
    write_particles_star(tmp_path / "p.star", particle_columns(N))
    relion(tmp_path, "--i", "p.star", "--o", "theirs.star", "--select", label, "--minval", low, "--maxval", high)
    select(tmp_path, "-q", "p.star", "-o", "out", "--where", f"{label} >= {low}", "--where", f"{label} <= {high}")
    assert rows(tmp_path / "out" / "particles.star") == rows(tmp_path / "theirs.star")


def clusters(rng, pixel):
    """Return columns of clusters within 20 A after origins, 300 A and more apart, and the cluster of each row."""
    places = [(x, y) for x in range(300, 3300, 400) for y in range(300, 3300, 400)]
    columns, cluster = particle_columns(0), []
    for label in columns:
        columns[label] = []
    for number, place in enumerate(places):
        for _ in range(rng.integers(1, 4)):
            angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0, 9.9)
            origin = np.round(rng.normal(0, 30, 2), 4)
            centre = np.array(place) + radius * np.array([np.cos(angle), np.sin(angle)])
            coordinate = (centre + origin) / pixel
            columns["rlnMicrographName"].append(f"mic{number % 3}.mrc")
            columns["rlnCoordinateX"].append(f"{coordinate[0]:.6f}")
            columns["rlnCoordinateY"].append(f"{coordinate[1]:.6f}")
            columns["rlnOriginXAngst"].append(origin[0])
            columns["rlnOriginYAngst"].append(origin[1])
            cluster.append(number)
    n = len(cluster)
    columns |= {"rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(n)], "rlnOpticsGroup": [1] * n}
    order = rng.permutation(n)
    filled = {label: [cells[i] for i in order] for label, cells in columns.items() if len(cells) == n}
    filled["rlnImageName"] = columns["rlnImageName"]
    return filled, np.array(cluster)[order]


@pytest.mark.parametrize(("pixel", "words"), [(2.0, []), (0.7, ["--image_angpix", 0.7])])
def test_duplicates_are_those_of_relion(tmp_path, pixel, words):
    """RELION keeps the last of a cluster: so do we where a later row has a higher score."""
    columns, cluster = clusters(np.random.default_rng(3), pixel)
    n = len(cluster)
    assert len(np.unique(cluster)) == 64 and 100 < n < 160
    write_particles_star(tmp_path / "p.star", columns | {"cryoalignScore": range(n)})
    relion(tmp_path, "--i", "p.star", "--o", "theirs.star", "--remove_duplicates", 20, *words)
    ours = ["--coordinate-angpix", pixel] if words else []
    select(tmp_path, "-q", "p.star", "-o", "out", "--min-distance", 20, *ours)
    found = rows(tmp_path / "out" / "particles.star")
    assert found == rows(tmp_path / "theirs.star")
    assert sorted(cluster[found].tolist()) == list(range(64))
    # Without a score the first one stays.
    write_particles_star(tmp_path / "q.star", columns)
    select(tmp_path, "-q", "q.star", "-o", "first", "--min-distance", 20, *ours)
    assert rows(tmp_path / "first" / "particles.star") == np.sort(np.unique(cluster, return_index=True)[1]).tolist()


def test_the_limit_itself_counts_as_near(tmp_path):
    for x, near in ((110, True), (111, False)):
        columns = {label: cells[:2] for label, cells in particle_columns(2).items()} | {
            "rlnMicrographName": ["m.mrc"] * 2, "rlnCoordinateX": [100, x], "rlnCoordinateY": [50, 50],
            "rlnOriginXAngst": [0, 0], "rlnOriginYAngst": [0, 0],
        }  # fmt: skip
        write_particles_star(tmp_path / "p.star", columns)
        relion(tmp_path, "--i", "p.star", "--o", "theirs.star", "--remove_duplicates", 20)
        select(tmp_path, "-q", "p.star", "-o", "out", "--overwrite", "--min-distance", 20)
        assert len(rows(tmp_path / "theirs.star")) == len(rows(tmp_path / "out" / "particles.star")) == 2 - near


def test_relion_reads_what_is_kept_and_what_is_removed(tmp_path):
    write_particles_star(tmp_path / "p.star", particle_columns(N))
    select(tmp_path, "-q", "p.star", "-o", "out", "--where", "otherNote != 'two|three'", "--min-score", "0.4")
    for name in ("particles.star", "removed.star"):
        relion(tmp_path, "--i", f"out/{name}", "--o", "theirs.star")
        ours, theirs = blocks(tmp_path / "out" / name)["particles"], blocks(tmp_path / "theirs.star")["particles"]
        assert ours["rlnImageName"].tolist() == theirs["rlnImageName"].tolist()
        if name == "removed.star":
            assert ours["cryoalignReason"].tolist() == theirs["cryoalignReason"].tolist()
