"""Graphs of pairwise poses whose truth is known: how synchronisation is measured.

Every node has a true pose (psi; with mirrors also a handedness; with shifts an origin), drawn at random. An edge (i, j)
that is right holds P_i^-1 o P_j, the pose that brings j onto i: without mirrors angle_ij = psi_j - psi_i. Models:

- corruption: an edge is right with probability r, else its pose is uniform (Singer, ACHA 30, 20-36, 2011; Gao and Zhao,
  ICML 2019). On a complete graph lambda = r sqrt(n) is the signal, and 1 the least that a top eigenvector sees; with a
  share p of all pairs it is r sqrt(n p).
- gaussian: H = z z* + sigma W with W Hermitian, its entries standard complex normal; only the phase of H_ij is kept.
  The noise of an edge is then arg(1 + sigma w), whatever the angles.
- geometric: as corruption, between neighbours on a sphere, so that far nodes are joined by long ways only.
- adversarial: wrong edges that agree with each other, made from a second, false set of poses: all edges inside a group
  of nodes (block), or edges anywhere (spread); the others are as in corruption.

Jitter adds a normal error to the angle (and to the shift) of edges that are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.simulation.graph_pairs import Pairs, neighbour_pairs, random_pairs

Model = Literal["corruption", "gaussian", "geometric", "adversarial"]
Adversary = Literal["block", "spread"]
_NODES, _PAIRS, _ERRORS, _JITTER = range(4)  # random streams: one choice does not move the others
_CHUNK = 1 << 20


@dataclass(frozen=True)
class GraphRecipe:
    """What to simulate.

    Parameters
    ----------
    nodes
        Number of nodes n.
    model
        See the head of this file.
    edge_probability
        Share of the pairs of a component that are joined; 1 joins all. Not for ``geometric``.
    neighbours
        Each node's nearest that it is joined with; for ``geometric``.
    good_share
        r, the probability that an edge (of an adversarial graph: one that is not false) is right.
    jitter_rad, shift_jitter_px
        Standard deviation of the errors of right edges, angle in radians, either coordinate of the shift in pixels.
    sigma
        Of ``gaussian``, in units of sqrt(n p): .2 is the sources' .2 sqrt(n).
    wrong_share, adversary
        Share of false edges, and where they are, of ``adversarial``.
    mirrors
        Whether nodes have a handedness, so that edges may be mirrored.
    components
        Number of graphs that are not joined with each other; the nodes are dealt to them at random.
    shift_sd_px
        Standard deviation of either coordinate of the true shifts, in pixels.
    seed
        From 0.
    """

    nodes: int
    model: Model = "corruption"
    edge_probability: float = 1.0
    neighbours: int = 0
    good_share: float = 1.0
    jitter_rad: float = 0.0
    shift_jitter_px: float = 0.0
    sigma: float = 0.0
    wrong_share: float = 0.0
    adversary: Adversary = "block"
    mirrors: bool = False
    components: int = 1
    shift_sd_px: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no graph can have."""
        smallest = self.nodes // max(self.components, 1)
        if self.nodes < 1 or self.components < 1 or smallest < 1:
            raise InputError("there must be a node at least in each component", value=(self.nodes, self.components))
        for name in ("edge_probability", "good_share", "wrong_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"the {name.replace('_', ' ')} must be from 0 to 1", value=getattr(self, name))
        for name in ("jitter_rad", "shift_jitter_px", "sigma", "shift_sd_px"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must not be negative", value=value)
        if self.model == "geometric" and not 1 <= self.neighbours < smallest:
            raise InputError(f"a node of {smallest} has 1 to {smallest - 1} neighbours", value=self.neighbours)
        if self.model == "gaussian" and self.mirrors:
            raise InputError("the Gaussian model has no mirrors: it is a matrix of complex numbers")
        if self.seed < 0:
            raise InputError("the seed must not be negative", value=self.seed)


@dataclass(frozen=True, eq=False)
class SimulatedGraph:
    """E edges between n nodes, and what is true of both.

    Parameters
    ----------
    i, j
        Nodes from 0, int32 (E,), i < j, sorted, each pair once.
    angle_deg, mirror, shift_px
        Pose that brings j onto i: psi in (-180, 180], float32 (E,); bool (E,); float32 (E, 2) in pixels.
    inlier
        Whether the edge is right (but for jitter), bool (E,); of the Gaussian model all are.
    truth
        Pose of every node.
    component
        int64 (n,), from 1: the connected components as they are, by size, equal ones by their first node.
    """

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    angle_deg: NDArray[np.float32]
    mirror: NDArray[np.bool_]
    shift_px: NDArray[np.float32]
    inlier: NDArray[np.bool_]
    truth: Poses
    component: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the edges."""
        return len(self.i)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.truth)

    @property
    def psi_deg(self) -> NDArray[np.float64]:
        """True angle of every node in degrees, (n,)."""
        return self.truth.psi


def simulate_graph(recipe: GraphRecipe) -> SimulatedGraph:
    """Make a graph; equal recipes give equal graphs.

    Returns
    -------
    SimulatedGraph
        The poses of its nodes depend on the seed, the number of nodes, the mirrors and the shifts alone.
    """
    r = recipe
    rng = np.random.default_rng((r.seed, _NODES))
    truth, false = _random_poses(r, rng), _random_poses(r, rng)
    dealt = rng.permutation(r.nodes)
    members = [np.sort(part) for part in np.array_split(dealt, r.components)]
    # The false group of an adversary: a share sqrt(q) of the nodes has a share q of all pairs.
    grouped = np.zeros(r.nodes, bool)
    for part in members:
        grouped[rng.permutation(part)[: round(np.sqrt(r.wrong_share) * len(part))]] = True
    i, j = _pairs(r, members)
    edges = len(i)
    errors, jitter = (np.random.default_rng((r.seed, stream)) for stream in (_ERRORS, _JITTER))
    angle, mirror = np.empty(edges, np.float32), np.zeros(edges, bool)
    shift, inlier = np.zeros((edges, 2), np.float32), np.empty(edges, bool)
    for start in range(0, edges, _CHUNK):
        here = slice(start, start + _CHUNK)
        found, inlier[here] = _edge_poses(r, i[here], j[here], truth, false, grouped, errors, jitter)
        # Rounded to single precision, -180 must not come back in.
        angle[here] = np.where(found.psi.astype(np.float32) == -180, 180, found.psi)
        mirror[here], shift[here, 0], shift[here, 1] = found.mirror, found.dx, found.dy
    return SimulatedGraph(i, j, angle, mirror, shift, inlier, truth, component_ids(r.nodes, i, j))


def random_corruption(n: int, signal: float | None = None, **recipe: Any) -> SimulatedGraph:
    """Simulate random corruption; ``signal`` is lambda and gives r, else ``good_share`` does; see `GraphRecipe`."""
    if signal is not None:
        recipe["good_share"] = share_of_signal(signal, n, recipe.get("edge_probability", 1.0))
    return simulate_graph(GraphRecipe(n, "corruption", **recipe))


def gaussian(n: int, sigma: float, **recipe: Any) -> SimulatedGraph:
    """Simulate additive Gaussian noise of sigma sqrt(n p); see `GraphRecipe`."""
    return simulate_graph(GraphRecipe(n, "gaussian", sigma=sigma, **recipe))


def geometric(n: int, neighbours: int, **recipe: Any) -> SimulatedGraph:
    """Simulate random corruption between neighbours on a sphere; see `GraphRecipe`."""
    return simulate_graph(GraphRecipe(n, "geometric", neighbours=neighbours, **recipe))


def adversarial(n: int, wrong_share: float, adversary: Adversary = "block", **recipe: Any) -> SimulatedGraph:
    """Simulate wrong edges that agree with each other; see `GraphRecipe`."""
    return simulate_graph(GraphRecipe(n, "adversarial", wrong_share=wrong_share, adversary=adversary, **recipe))


def share_of_signal(signal: float, nodes: int, edge_probability: float = 1.0) -> float:
    """Return r = lambda / sqrt(n p), n being the nodes of one component.

    Raises
    ------
    InputError
        If that is more than 1, or lambda is no number from 0.
    """
    share = signal / np.sqrt(nodes * edge_probability) if edge_probability > 0 else np.inf
    if not 0 <= share <= 1:
        raise InputError("a signal lambda is from 0 to the root of the edges per node", value=signal)
    return float(share)


def component_ids(n: int, i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number the connected components from 1, by falling size, equal ones by their first node; int64 (n,)."""
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    first = np.full(count, n)
    np.minimum.at(first, label, np.arange(n))
    order = np.lexsort((first, -np.bincount(label, minlength=count)))
    number = np.empty(count, np.int64)
    number[order] = np.arange(1, count + 1)
    return number[label]


def _random_poses(r: GraphRecipe, rng: np.random.Generator) -> Poses:
    psi, flip, shift = rng.uniform(-180, 180, r.nodes), rng.random(r.nodes) < 0.5, rng.standard_normal((2, r.nodes))
    return Poses(psi, r.shift_sd_px * shift[0], r.shift_sd_px * shift[1], flip & r.mirrors)


def _pairs(r: GraphRecipe, members: list[NDArray[np.int64]]) -> Pairs:
    """Join the nodes of each component; sorted."""
    rng = np.random.default_rng((r.seed, _PAIRS))
    found = []
    for nodes in members:
        if r.model == "geometric":
            i, j = neighbour_pairs(len(nodes), r.neighbours, rng)
        else:
            i, j = random_pairs(len(nodes), r.edge_probability, rng)
        found.append((nodes[i].astype(np.int32), nodes[j].astype(np.int32)))
    if len(found) == 1:
        return found[0]
    i, j = (np.concatenate([pairs[side] for pairs in found]) for side in (0, 1))
    order = np.lexsort((j, i))
    return i[order], j[order]


def _edge_poses(
    r: GraphRecipe,
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    truth: Poses,
    false: Poses,
    grouped: NDArray[np.bool_],
    errors: np.random.Generator,
    jitter: np.random.Generator,
) -> tuple[Poses, NDArray[np.bool_]]:
    """Return the poses of some edges, and which are right."""
    count = len(i)
    right, spread = errors.random(count) < r.good_share, errors.random(count) < r.wrong_share
    noise = r.jitter_rad * jitter.standard_normal(count)
    shifted = r.shift_jitter_px * jitter.standard_normal((2, count)) if r.shift_jitter_px else np.zeros((2, 1))
    if r.model == "gaussian":
        right[:] = True
        noise += _gaussian_phases(r, count, errors)
    exact = truth.take(j).then(truth.take(i).inverse())
    poses = Poses(exact.psi + np.degrees(noise), exact.dx + shifted[0], exact.dy + shifted[1], exact.mirror)
    if not right.all():
        # A wrong pose is one between two images that have nothing to do with each other.
        loose = GraphRecipe(count, mirrors=r.mirrors, shift_sd_px=r.shift_sd_px)
        poses = _chosen(right, poses, _random_poses(loose, errors).then(_random_poses(loose, errors).inverse()))
    if r.model == "adversarial":
        wrong = spread if r.adversary == "spread" else grouped[i] & grouped[j]
        poses = _chosen(~wrong, poses, false.take(j).then(false.take(i).inverse()))
        right &= ~wrong
    return poses, right


def _gaussian_phases(r: GraphRecipe, count: int, errors: np.random.Generator) -> NDArray[np.float64]:
    """Return arg(1 + sigma w), w standard complex normal, in radians."""
    size = r.nodes / r.components * r.edge_probability
    real, imaginary = r.sigma * np.sqrt(size / 2) * errors.standard_normal((2, count))
    return np.arctan2(imaginary, 1 + real)


def _chosen(first: NDArray[np.bool_], one: Poses, other: Poses) -> Poses:
    """Take poses of one where ``first``, else of the other."""
    psi, dx, dy = (np.where(first, getattr(one, name), getattr(other, name)) for name in ("psi", "dx", "dy"))
    return Poses(wrap_degrees(psi), dx, dy, np.where(first, one.mirror, other.mirror))
