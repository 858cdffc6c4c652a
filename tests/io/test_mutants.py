"""Damaged .cs files, graphs and tables of edges: read whole or refused in one line, never anything else."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.edge_table import read_edge_table
from cryoalign.io.particles import read_particles, write_particles
from cryoalign.io.stacks import StackSource, write_stack
from cryoalign.passes.halves import half_sets
from helpers.mutate_npz import (
    BOX,
    CS_ROWS,
    PIXEL,
    STACK,
    cs_table,
    edge_text,
    graph_arrays,
    mutants,
    npy_bytes,
    npz_bytes,
)

LONGEST_LINE = 1000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the stack that the .cs files speak of."""
    monkeypatch.chdir(tmp_path)
    write_stack(STACK, np.random.default_rng(0).normal(size=(CS_ROWS, BOX, BOX)).astype(np.float32), PIXEL)
    return tmp_path


def use_particles(path):
    """Read particles and ask for everything that commands ask of them; return how many there are."""
    particles = read_particles([path], apply_mag_matrix=True)
    read_ctf(particles), particles.poses(), half_sets(particles), particles.whole_numbers("rlnClassNumber")
    StackSource(particles).read(np.arange(len(particles)))
    write_particles("out.star", particles)
    assert len(read_particles(["out.star"])) == len(particles)
    return len(particles)


def use_edges(path):
    """Read edges; return how many there are."""
    return len(read_edge_table(path))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("kind", "use", "count"), [("cs", use_particles, 150), ("graph", use_edges, 150), ("edges", use_edges, 200)]
)
def test_mutants(folder, kind, use, count):
    read = 0
    for mutant in mutants(kind, seed=2024, count=count):
        path = Path(f"m{mutant.ending}")
        path.write_bytes(mutant.data)
        try:
            rows = use(path)
        except InputError as error:
            text = str(error)
            assert "\n" not in text and len(text) < LONGEST_LINE, mutant.name
        else:
            assert rows == mutant.rows, mutant.name
            read += 1
    assert 0.15 * count < read < 0.85 * count  # the mutator damages, but not all


def test_what_is_not_damaged_is_read(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Path("p.cs").write_bytes(npy_bytes(cs_table()))
        assert use_particles("p.cs") == CS_ROWS
        Path("g.npz").write_bytes(npz_bytes({name: npy_bytes(array) for name, array in graph_arrays().items()}))
        graph = read_edge_table(Path("g.npz"))
        for kind in ("csv", "tsv", "txt", "star"):
            Path(f"e.{kind}").write_text(edge_text(kind))
            edges = read_edge_table(Path(f"e.{kind}"))
            np.testing.assert_array_equal(edges.i, graph.i)
            np.testing.assert_allclose(edges.angle_deg, graph.angle_deg, atol=1e-4)
