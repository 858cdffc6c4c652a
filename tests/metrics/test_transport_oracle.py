"""Sliced Wasserstein distances against exact and entropic optimal transport by POT.

R. Flamary et al., "POT: Python Optimal Transport", J. Mach. Learn. Res. 22 (2021).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation
from cryoalign.metrics.names import measure
from cryoalign.metrics.sliced.quantiles import part_quantiles

# It would import every array library that is installed, and take their warnings along.
for library in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{library}", "1")
ot = pytest.importorskip("ot")

BOX = 32
MOVED = [
    ([(-1.0, 4.0), (7.0, 4.0)], True),  # moved as a whole: every line sees all of it
    ([(-6.0, 1.0), (4.0, -2.0)], False),
    ([(0.0, -6.0), (2.0, 5.0)], False),
]


def blobs(*centres: tuple[float, float]) -> np.ndarray:
    """Blobs of equal mass."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 1.3**2)) for a, b in centres).astype(np.float32)


def points(image: np.ndarray, share: float = 0.002) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 2) and masses of the pixels that are more than a share of the largest."""
    y, x = np.mgrid[:BOX, :BOX]
    kept = image > share * image.max()
    mass = image[kept].astype(float)
    return np.stack([x[kept], y[kept]], axis=1).astype(float), mass / mass.sum()


def sliced(name: str, a: np.ndarray, b: np.ndarray) -> float:
    return float(measure(name).value(a, b, Poses.identity(1), Preparation(15.0))[0])


@pytest.mark.parametrize(("second", "equal"), MOVED)
@pytest.mark.parametrize(
    ("name", "metric", "constant"), [("sw", "sqeuclidean", 0.5**0.5), ("sw1", "euclidean", 2 / np.pi)]
)
def test_slices_never_see_more_than_there_is_to_move(second, equal, name, metric, constant):
    """SW_p <= c_p W_p, and all of it where an image is moved as a whole."""
    a, b = blobs((-4.0, 0.0), (4.0, 0.0)), blobs(*second)
    (at, mass), (other, others) = points(a, 0.02), points(b, 0.02)
    exact = ot.emd2(mass, others, ot.dist(at, other, metric=metric)) ** (1.0 if name == "sw1" else 0.5)
    bound = constant * exact
    if equal:
        assert sliced(name, a, b) == pytest.approx(bound, rel=0.02)
    else:
        assert 0.6 * bound < sliced(name, a, b) < 1.01 * bound


@pytest.mark.parametrize(("name", "p"), [("sw", 2), ("sw1", 1)])
@pytest.mark.parametrize("second", [second for second, _ in MOVED])
def test_all_lines_say_what_many_random_ones_do(name, p, second):
    """Sliced distances by Monte Carlo of the pixels themselves, over 500 directions."""
    a, b = blobs((-4.0, 0.0), (4.0, 0.0)), blobs(*second)
    (at, mass), (other, others) = points(a), points(b)
    truth = ot.sliced_wasserstein_distance(at, other, mass, others, n_projections=500, p=p, seed=1)
    # Pixels are points there, and squares of side 1 here.
    assert sliced(name, a, b) == pytest.approx(truth, rel=0.05)


def test_quantiles_of_a_line_are_its_transport():
    rng = np.random.default_rng(4)
    lines, count = rng.random((2, 33)) ** 4, 2048
    columns = part_quantiles(np.fft.ifftshift(lines.astype(np.float32), axes=1), count, 1)
    quantiles = np.concatenate([columns[:2], -columns[2:, ::-1]], axis=1)
    fine = (np.arange(33 * 40) + 0.5) / 40 - 0.5 - 16
    masses = [np.repeat(line, 40) / (40 * line.sum()) for line in lines]
    for p in (1, 2):
        found = (np.abs(quantiles[0] - quantiles[1]) ** p).mean()
        assert found == pytest.approx(ot.wasserstein_1d(fine, fine, *masses, p=p), rel=5e-3)
        assert found == pytest.approx(ot.emd2_1d(fine, fine, *masses, metric="minkowski", p=p), rel=5e-3)


def test_entropy_only_adds_to_the_exact_distance():
    """Sinkhorn's iterations tend to the exact plan from above: a weaker blur, a closer and slower answer."""
    a, b = blobs((-4.0, 0.0), (4.0, 0.0)), blobs(*MOVED[2][0])
    (at, mass), (other, others) = points(a, 0.02), points(b, 0.02)
    cost = ot.dist(at, other)
    exact = ot.emd2(mass, others, cost)
    blurred = [float(ot.sinkhorn2(mass, others, cost, reg, method="sinkhorn_log")) for reg in (8.0, 2.0)]
    assert exact < blurred[1] < blurred[0] < 2 * exact
    assert sliced("sw", a, b) ** 2 < 0.5 * exact
