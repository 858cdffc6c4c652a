"""Small molecules of Gaussian atoms, rigid and deformed, seen from every side without noise: truth by formulas.

Atoms are drawn from a few balls; none of the shapes has a symmetry. In a deformed set every image shows the molecule
in a state of its own. Images are centred as particles are: by the whole molecule's centre of mass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .phantom import Phantom

_WIDTHS = (0.018, 0.03)

Parts = tuple[tuple[int, tuple[float, float, float], tuple[float, float, float]], ...]
"""Number of atoms, centre and half axes of each ball, in box fractions."""

_RING = tuple(
    (atoms, (0.2 * np.cos(a), 0.2 * np.sin(a), z), (size, size, size))
    for atoms, a, z, size in (
        (26, 0.0, 0.02, 0.07), (12, 0.9, -0.03, 0.05), (18, 1.7, 0.05, 0.06), (10, 2.5, 0.0, 0.045),
        (22, 3.3, -0.05, 0.065), (8, 4.1, 0.04, 0.04), (15, 4.8, -0.02, 0.055),
    )
)  # fmt: skip
SHAPES: dict[str, Parts] = {
    "compact": ((90, (0.0, 0.0, 0.0), (0.2, 0.16, 0.18)), (25, (0.1, 0.12, -0.06), (0.08, 0.07, 0.07))),
    "elongated": (
        (70, (0.0, 0.0, -0.04), (0.08, 0.1, 0.2)), (30, (0.07, 0.02, 0.2), (0.08, 0.06, 0.08)),
        (15, (0.03, -0.08, -0.22), (0.05, 0.05, 0.05)),
    ),
    "two domains": (
        (70, (-0.12, 0.0, 0.02), (0.12, 0.1, 0.14)), (40, (0.17, 0.03, -0.02), (0.08, 0.1, 0.07)),
        (8, (0.04, 0.01, 0.0), (0.05, 0.02, 0.02)),
    ),
    "open ring": _RING,
    "bent rod": tuple(
        (16, (0.28 * np.sin(a), 0.05 * np.sin(3 * a), 0.36 * np.cos(a) - 0.3), (0.05, 0.055, 0.05))
        for a in np.linspace(-0.85, 1.0, 7)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Projections:
    """Clean images of unknown views: float32 (n, L, L), and unit vectors along the lines of sight, (n, 3)."""

    images: NDArray[np.float32]
    view: NDArray[np.float64]


def rigid(shape: str, seed: int, n: int, box: int) -> Projections:
    """Project one molecule of a shape from n directions, uniform over all rotations."""
    still = _draw(SHAPES[shape], np.random.default_rng([seed, 1]))
    return _projected(lambda rng: still, seed, n, box)


def hinged(seed: int, n: int, box: int, swing_deg: float = 60.0) -> Projections:
    """Project two domains; the smaller one swings round its joint about any axis, image by image.

    Turns are uniform up to ``swing_deg``. The view is that of the larger domain.
    """
    whole = _draw(SHAPES["two domains"], np.random.default_rng([seed, 1]))
    small, joint = np.arange(len(whole.centres)) >= 70, np.array([0.03, 0.0, 0.0])

    def state(rng: np.random.Generator) -> Phantom:
        axis = rng.normal(size=3)
        turn = np.deg2rad(swing_deg * rng.random()) * axis / np.linalg.norm(axis)
        moved = Rotation.from_rotvec(turn).apply(whole.centres - joint) + joint
        return _centred(Phantom(np.where(small[:, None], moved, whole.centres), whole.widths, whole.weights))

    return _projected(state, seed, n, box)


def trembling(seed: int, n: int, box: int, sd: float = 0.02) -> Projections:
    """Project an open ring whose seven lobes are displaced at random (normal, sd in box fractions), image by image."""
    whole = _draw(_RING, np.random.default_rng([seed, 1]))
    lobe = np.repeat(np.arange(len(_RING)), [part[0] for part in _RING])

    def state(rng: np.random.Generator) -> Phantom:
        apart = sd * rng.normal(size=(len(_RING), 3))
        return _centred(Phantom(whole.centres + apart[lobe], whole.widths, whole.weights))

    return _projected(state, seed, n, box)


DEFORMED: dict[str, Callable[[int, int, int], Projections]] = {"hinge": hinged, "trembling ring": trembling}


def _draw(parts: Parts, rng: np.random.Generator) -> Phantom:
    centres = []
    for count, centre, axes in parts:
        ball = rng.normal(size=(count, 3))
        ball *= (rng.random(count) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
        centres.append(np.array(centre) + ball * np.array(axes))
    count = sum(part[0] for part in parts)
    return _centred(Phantom(np.concatenate(centres), rng.uniform(*_WIDTHS, count), rng.uniform(0.5, 1.5, count)))


def _centred(phantom: Phantom) -> Phantom:
    mass = phantom.weights * phantom.widths  # what an atom adds to an image
    return Phantom(phantom.centres - mass @ phantom.centres / mass.sum(), phantom.widths, phantom.weights)


def _projected(state: Callable[[np.random.Generator], Phantom], seed: int, n: int, box: int) -> Projections:
    rng = np.random.default_rng([seed, 2])
    rot, psi = rng.uniform(0, 360, (2, n))
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, n)))
    images = [state(rng).project(box, rot[i], tilt[i], psi[i], 0, 0)[0] for i in range(n)]
    return Projections(np.array(images), directions(rot, tilt))


def directions(rot_deg: NDArray, tilt_deg: NDArray) -> NDArray[np.float64]:
    """Return unit vectors along the lines of sight of Euler angles (n,)."""
    a, b = np.deg2rad(rot_deg), np.deg2rad(tilt_deg)
    return np.stack([np.cos(a) * np.sin(b), np.sin(a) * np.sin(b), np.cos(b)], axis=1)
