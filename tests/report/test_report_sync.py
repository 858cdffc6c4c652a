"""The page of `sync`, read as a browser would."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.sync import SyncReportData, write_sync_report
from cryoalign.report.sync_charts import eigenvalues, residual_density
from cryoalign.report.sync_page import MAX_COMPONENTS, build_sync_page, summary_sentence
from helpers.page_reader import Reader, chart_words, sound_page


def make_sync(n: int = 200, edges: int = 1500, **changes) -> SyncReportData:
    """Return a report's data of a graph in two components and one node without edges."""
    rng = np.random.default_rng(0)
    component = np.where(np.arange(n) < 0.7 * n, 1, 2)
    component[-1] = 3
    i = rng.integers(0, int(0.6 * n), edges)
    right = rng.random(edges) < 0.6
    residual = np.where(right, rng.normal(0, 4, edges), rng.uniform(-180, 180, edges))
    counts, cuts = np.histogram(residual, 128, (-180, 180))
    fields = {
        "title": "Angles of a graph", "command_line": "cryoalign sync g.npz -o out", "version": "1",
        "psi_deg": rng.uniform(-180, 180, n), "confidence": rng.random(n), "component": component,
        "isolated": np.arange(n) == n - 1, "i": i, "j": i + 1, "residual_deg": residual,
        "inlier": np.where(right, 0.95, 0.05), "density_centres_deg": (cuts[1:] + cuts[:-1]) / 2,
        "density": counts / counts.sum() / (360 / 128), "median_residual_deg": 2.7,
        "eigenvalues": {k: np.array([0.6, 0.2, 0.19]) for k in range(1, 5)}, "held_out_log_likelihood": 1.234,
        "signal": True, "algorithm": "auto", "algorithm_used": ("auto", "spectral (fallback)"),
        "shift_angstrom": rng.normal(0, 5, (n, 2)), "shift_scale_angstrom": 1.5, "mirror": rng.random(n) < 0.5,
        "things": "particles", "parameters": {"--algorithm": "auto"}, "counts": {"edges used": edges},
        "timings_s": {"angles": 3.0, "write": 1.0}, "files": {"angles.star": "angles"}, "notes": ["A note."],
    }  # fmt: skip
    return SyncReportData(**fields | changes)


CASES = {
    "all": {},
    "no signal": {"signal": False, "warnings": ["no consistent signal found: x"], "held_out_log_likelihood": -0.001},
    "no shifts, no mirrors": {"shift_angstrom": None, "shift_scale_angstrom": None, "mirror": None, "things": "nodes"},
    "no eigenvalues": {"eigenvalues": {}},
    "one eigenvalue": {"eigenvalues": {1: np.array([0.5])}},
    "negative eigenvalues": {"eigenvalues": {1: np.array([0.5, -0.1]), 2: np.array([0.1, -0.4])}},
    "least": {
        "psi_deg": np.zeros(2), "confidence": np.ones(2), "component": np.ones(2, int), "isolated": np.zeros(2, bool),
        "i": np.zeros(1, int), "j": np.ones(1, int), "residual_deg": np.zeros(1), "inlier": np.ones(1), "mirror": None,
        "shift_angstrom": np.zeros((2, 2)), "algorithm_used": ("auto",), "parameters": {}, "counts": {}, "files": {},
        "timings_s": {}, "notes": (),
    },
    "nothing joined": {"isolated": np.ones(200, bool), "inlier": np.zeros(1500)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_page_is_sound_self_contained_and_every_picture_has_a_reading_aid(case):
    page, _ = sound_page(build_sync_page(make_sync(**case)))
    assert page.aids and all(page.aids)
    assert page.count("div", class_="alarm") == (case.get("signal") is False)


def test_numbers_in_the_text_are_those_of_the_data(tmp_path):
    data = make_sync()
    write_sync_report(tmp_path / "report.html", data)
    page = Reader((tmp_path / "report.html").read_text())
    likely = float(data.inlier.sum())
    sure = data.confidence[:-1]
    for words in (
        f"200 particles, 1,500 edges, 2 components: {likely / 15:.1f} % of the edges are likely right, half of these "
        "within 2.70 degrees; no warnings.",
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
    assert summary_sentence(data) in page.text


def test_only_the_largest_components_are_listed():
    component = np.arange(200) // 2 + 1
    data = make_sync(component=component, isolated=np.zeros(200, bool), algorithm_used=("auto",) * 100)
    page = Reader(build_sync_page(data))
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


def test_what_does_not_belong_together_is_refused():
    for changes in ({"confidence": np.zeros(3)}, {"j": np.zeros(3, int)}, {"component": np.zeros(200, int)}):
        with pytest.raises(ValueError):
            make_sync(**changes)
