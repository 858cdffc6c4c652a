"""The page of `sync`, read as a browser would."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.sync_charts import eigenvalues, residual_density
from cryoalign.report.sync_page import MAX_COMPONENTS, SyncReportData, build_sync_page, summary_sentence
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.error_density import ResidualDensity
from cryoalign.synchronization.robust_shifts import RobustShifts
from cryoalign.synchronization.synchronise import Synchronization
from helpers.page_reader import Reader, chart_words, sound_page
from helpers.quality_samples import make_bare_facts, make_facts

FACTS = make_facts(warnings=())


def make_sync(n: int = 200, edges: int = 1500, things="particles", mirrors=True, shifts=True, **changes):
    """Return a report's data of a graph in two components and one node without edges."""
    rng = np.random.default_rng(0)
    component = np.where(np.arange(n) < 0.7 * n, 1, 2)
    component[-1] = 3
    i = rng.integers(0, max(1, int(0.6 * n)), edges)
    right = rng.random(edges) < 0.6
    residual = np.where(right, rng.normal(0, 4, edges), rng.uniform(-180, 180, edges)).astype(np.float32)
    counts, cuts = np.histogram(residual, 128, (-180, 180))
    density = ResidualDensity((cuts[1:] + cuts[:-1]) / 2, counts / counts.sum() / (360 / 128))
    fields = {
        "psi_deg": rng.uniform(-180, 180, n), "mirror": rng.random(n) < 0.5, "component": component,
        "confidence": rng.random(n), "residual_deg": residual, "inlier": np.where(right, 0.95, 0.05),
        "density": density,
        "eigenvalues": {k: np.array([0.6, 0.2, 0.19]) for k in range(1, 5)}, "held_out_log_likelihood": 1.234,
        "signal": True, "algorithm_used": ("auto", "spectral (fallback)"), "isolated": np.arange(n) == n - 1,
    }  # fmt: skip
    sync = Synchronization(**fields | changes)
    nothing = np.zeros(edges, np.float32)
    graph = EdgeList(n, i, i + 1, residual, nothing > 0, np.zeros((edges, 2), np.float32), nothing)
    origins = RobustShifts(rng.normal(0, 1.25, (n, 2)), nothing, 0.375, 3) if shifts else None
    return SyncReportData(
        sync=sync, edges=graph, algorithm="auto", mirrors=mirrors, shifts=origins, things=things,
        pixel_size_angstrom=4.0,
    )  # fmt: skip


CASES = {
    "all": {},
    "no signal": {"signal": False, "held_out_log_likelihood": -0.001},
    "no shifts, no mirrors": {"shifts": False, "mirrors": False, "things": "nodes"},
    "no eigenvalues": {"eigenvalues": {}},
    "one eigenvalue": {"eigenvalues": {1: np.array([0.5])}},
    "negative eigenvalues": {"eigenvalues": {1: np.array([0.5, -0.1]), 2: np.array([0.1, -0.4])}},
    "least": {"n": 2, "edges": 1, "component": np.ones(2, int), "isolated": np.zeros(2, bool),
              "algorithm_used": ("auto",), "mirrors": False},
    "nothing joined": {"isolated": np.ones(200, bool), "inlier": np.zeros(1500)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, _ = sound_page(build_sync_page(FACTS if case else make_bare_facts(), make_sync(**case)))
    assert page.aids and all(page.aids)
    assert page.count("div", class_="alarm") == (case.get("signal") is False)


def test_numbers_in_the_text_are_those_of_the_data():
    data = make_sync()
    page = Reader(build_sync_page(FACTS, data))
    likely = float(data.sync.inlier.sum())
    sure = data.sync.confidence[:-1]
    for words in (
        f"200 particles, 1,500 edges, 2 components: {likely / 15:.1f} % of the edges are likely right, half of these "
        f"within {data.sync.median_residual_deg:.2f} degrees; no warnings.",
        f"Median {np.median(sure):.3f}; below 0.5: {int((sure < 0.5).sum())} of 199.",
        "log-likelihood 1.23 each",
        "Asked for: auto.",
        "auto: 1 component; spectral (fallback): 1 component",
        "explains held-out edges no better",
        "1 particle without edges",
        "4 of 4 frequencies: the first eigenvalue",
        "140 particles.",
    ):
        assert words in page.text, words
    assert next(row for row in page.rows if row[:1] == ["1"])[:3] == ["1", "140", "1,500"]
    assert summary_sentence(FACTS, data) in page.text


def test_only_the_largest_components_are_listed():
    component = np.arange(200) // 2 + 1
    data = make_sync(component=component, isolated=np.zeros(200, bool), algorithm_used=("auto",) * 100)
    page = Reader(build_sync_page(FACTS, data))
    assert f"The {MAX_COMPONENTS} largest of 100 components are listed" in page.text
    assert sum(row[-1:] == ["auto"] and len(row) == 6 for row in page.rows) == MAX_COMPONENTS


def test_a_density_of_little_range_has_a_plain_axis_and_a_peaked_one_a_logarithmic():
    centres = np.linspace(-178, 178, 90)
    flat = 1 / 360 * (1 + 0.3 * np.cos(np.deg2rad(centres)))
    peaked = np.exp(-((centres / 5) ** 2)) + 1e-3
    peaked /= peaked.sum() * 4
    assert "0.6" in set(chart_words(residual_density(centres, flat)).split(" | "))
    assert {"0.1", "10"} <= set(chart_words(residual_density(centres, peaked)).split(" | "))


def test_eigenvalues_are_drawn_for_every_frequency():
    words = chart_words(eigenvalues({1: np.array([1.0, 0.5]), 2: np.array([0.8, 0.4]), 3: np.array([0.3])})).split(
        " | "
    )
    assert {"1", "2", "3", "frequency k", "eigenvalue"} <= set(words)
