"""Room of synchronisation: angles from pairwise ones against the truth of simulated graphs, method beside method."""

from __future__ import annotations

import shutil

import numpy as np
import starfile

from cryoalign.simulation.graphs import adversarial, gaussian, random_corruption
from cryoalign.synchronization.edges import every_edge
from cryoalign.synchronization.synchronise import synchronise

from . import adapters
from .agreement import agreement, correlation
from .measure import ChildFailed
from .results import Room
from .settings import Settings
from .sync_methods import Make, correlations, judged, solved, worst_component

SEEDS = 20
FEW = 6  # seeds where no bar asks for more
N = 300
PUBLISHED = {1: 0.744, 4: 0.855, 16: 0.975}  # lambda 1.5, n = 100 (Gao and Zhao, ICML 2019; our prototype's figures)
JITTER = 0.2  # rad
SIGNALS = {0.6: (1.0, ">="), 1.0: (None, "<="), 1.2: (0.0, "<="), 1.5: (0.0, "<=")}  # bars: share without signal
METHODS = ("spectral", "gpm", "ppe", "mfgpm", "IRLS", "cycles", "auto")


def run_sync(settings: Settings) -> Room:
    """Corr of the published algorithm and of auto, beside spectral, power method, IRLS and cycle consistency."""
    room = settings.room("sync")
    seeds = range(1, 1 + (3 if settings.quick else SEEDS))
    room.settings["seeds"] = len(seeds)
    few = seeds[:FEW]
    _add_sign(room)
    _add_published(room, seeds)
    _add_auto(room, seeds)
    _add_structure(room, few)
    _add_table(room, few)
    _add_adversarial(room, few)
    _add_commands(settings, room, few)
    return room


def _add_sign(room: Room) -> None:
    graph = random_corruption(N, good_share=1.0, seed=1)
    found = solved(graph)
    error = agreement(found.psi_deg, graph.psi_deg).error_deg
    room.add("true poses: largest error of an angle, deg", np.abs(error).max(), 0.01)
    turned = every_edge(graph.n, graph.i, graph.j, -graph.angle_deg)
    wrong = correlation(synchronise(turned).psi_deg, graph.psi_deg)
    room.add("true poses, the wrong sign: Corr", wrong, 0.3, note="must fail")


def _add_published(room: Room, seeds: range) -> None:
    """ppe, n = 100: the sources' table, the gain at lambda 1.2, and that nothing is made of nothing."""

    def corr(signal: float, k: int) -> np.ndarray:
        return correlations(lambda seed: random_corruption(100, signal, seed=seed), seeds, "ppe", k)

    means = {k: corr(1.5, k).mean() for k in (1, 2, 4, 8, 16, 32)}
    for k, mean in means.items():
        name = f"ppe, n = 100, lambda 1.5, k_max {k}: mean Corr"
        if k in PUBLISHED:
            room.add(name, mean, note=f"source {PUBLISHED[k]:g}")
            room.add(f"ppe, lambda 1.5, k_max {k}: away from the source", abs(mean - PUBLISHED[k]), 0.05)
        else:
            room.add(name, mean)
    room.add("ppe, lambda 1.5: least step from one k_max to the next", np.diff(list(means.values())).min(), 0.0, ">=")
    room.add("ppe, lambda 1.2: mean Corr of k_max 32 minus k_max 1", (corr(1.2, 32) - corr(1.2, 1)).mean(), 0.25, ">=")
    noise = [corr(0.6, k) for k in (1, 4, 16, 32)]
    note = f"largest of one seed {max(values.max() for values in noise):.2f}"
    room.add("ppe, lambda 0.6, largest mean Corr of any k_max", max(v.mean() for v in noise), 0.30, note=note)


def _add_auto(room: Room, seeds: range) -> None:
    """Auto, n = 300: bars where errors are random, never far below the simple methods elsewhere, and signal or none."""
    random = {signal: (lambda seed, signal=signal: random_corruption(N, signal, seed=seed)) for signal in SIGNALS}
    found = {signal: judged(make, seeds) for signal, make in random.items()}
    corr = found[1.5][0]
    room.add(
        f"auto, n = {N}, lambda 1.5: least Corr of a seed", corr.min(), 0.995, ">=", note=f"mean {corr.mean():.4f}"
    )
    corr = found[1.2][0]
    room.add(f"auto, n = {N}, lambda 1.2: mean Corr", corr.mean(), 0.97, ">=", note=f"least of a seed {corr.min():.3f}")
    corr = correlations(lambda seed: random_corruption(N, 2.0, jitter_rad=JITTER, seed=seed), seeds, "auto")
    name = f"auto, n = {N}, lambda 2 and {JITTER:g} rad jitter: mean Corr"
    room.add(name, corr.mean(), 0.98, ">=", note=f"least of a seed {corr.min():.4f}")
    hard: dict[str, Make] = {
        f"Gaussian {sigma:g} sqrt(n)": lambda seed, sigma=sigma: gaussian(N, sigma, seed=seed)
        for sigma in (0.2, 0.4, 0.6)
    }
    hard["lambda 1.0"] = random[1.0]
    for name, make in hard.items():
        some = seeds if name == "lambda 1.0" else seeds[: 2 * FEW]
        auto = found[1.0][0] if name == "lambda 1.0" else correlations(make, some, "auto")
        both = np.array([correlations(make, some, method) for method in ("spectral", "gpm")])
        note = f"of spectral and gpm; mean Corr {auto.mean():.3f} against {both.mean(axis=1).max():.3f}"
        short = f"auto, n = {N}, {name}: Corr minus best of two"
        room.add(f"{short}, means of {len(some)} seeds", auto.mean() - both.mean(axis=1).max(), -0.01, ">=", note=note)
        behind = auto - both.max(axis=0)
        room.add(f"{short}, worst seed", behind.min(), note=f"{(behind < -0.01).mean():.0%} of seeds below -0.01")
    for (signal, (_, flags)), (bar, sense) in zip(found.items(), SIGNALS.values(), strict=True):
        room.add(f"n = {N}, lambda {signal:g}: share of seeds called without signal", 1 - flags.mean(), bar, sense)


def _add_structure(room: Room, seeds: range) -> None:
    """Components, isolated nodes, handedness."""
    worst, ids = 1.0, True
    for seed in seeds:
        graph = random_corruption(2 * N, good_share=1.5 / np.sqrt(N), components=2, seed=seed)
        found = solved(graph)
        worst = min(worst, worst_component(graph, found))
        ids &= bool((found.component == graph.component).all())
    room.add(f"two components of {N}, lambda 1.5: least Corr of one", worst, 0.995, ">=")
    room.add("two components: share of seeds whose ids are the true ones", float(ids), 1.0, ">=")
    graph = random_corruption(N, good_share=1.0, edge_probability=2 / N, seed=1)
    alone = np.bincount(np.r_[graph.i, graph.j], minlength=N) == 0
    found = solved(graph)
    sizes = np.bincount(found.component)[found.component]
    right = bool((found.isolated == alone).all() and (sizes[alone] == 1).all())
    room.add("isolated nodes: flagged, each its own component", float(right), 1.0, ">=", note=f"{alone.sum()} of {N}")
    for signal in (1.5, 2.5):
        both = [random_corruption(N, signal, mirrors=True, seed=seed) for seed in seeds]
        corr = np.array([worst_component(graph, solved(graph)) for graph in both])
        note = f"least of a seed {corr.min():.3f}"
        room.add(f"mirrors, n = {N}, lambda {signal:g}: mean Corr, handedness included", corr.mean(), note=note)


def _add_table(room: Room, seeds: range) -> None:
    """All methods side by side, n = 200."""
    cases: dict[str, Make] = {
        "lambda 1.2": lambda seed: random_corruption(200, 1.2, seed=seed),
        "lambda 1.5": lambda seed: random_corruption(200, 1.5, seed=seed),
        f"lambda 2 and {JITTER:g} rad jitter": lambda seed: random_corruption(200, 2.0, jitter_rad=JITTER, seed=seed),
        "Gaussian 0.4 sqrt(n)": lambda seed: gaussian(200, 0.4, seed=seed),
        "Gaussian 0.6 sqrt(n)": lambda seed: gaussian(200, 0.6, seed=seed),
    }
    for case, make in cases.items():
        _add_methods(room, f"n = 200, {case}", make, seeds)


def _add_adversarial(room: Room, seeds: range) -> None:
    """False edges that agree with each other, 30 %, of the others some or none uniform: no bars, as it is."""
    for adversary in ("block", "spread"):
        for good in (1.0, 0.5):
            make = lambda seed, a=adversary, g=good: adversarial(200, 0.3, a, good_share=g, seed=seed)
            _add_methods(room, f"30 % false, {adversary}, others {good:.0%} right", make, seeds)


def _add_methods(room: Room, case: str, make: Make, seeds: range) -> None:
    """Add a row of auto, with the other methods in its note."""
    mean = {method: correlations(make, seeds, method).mean() for method in METHODS}
    auto = mean.pop("auto")
    note = ", ".join(f"{method} {value:.3f}" for method, value in mean.items()) + f"; {len(seeds)} seeds"
    room.add(f"{case}: mean Corr of auto", auto, note=note)


def _add_commands(settings: Settings, room: Room, seeds: range) -> None:
    """The commands from end to end: a graph without signal, and images of one view."""
    folder = settings.runs / "sync"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marked = []
    for seed in seeds[:3]:
        adapters.command(
            folder, "simulate-graph", "-o", "noise", "-n", N, "--signal", 0.6, "--seed", seed, "--overwrite"
        )
        try:
            adapters.command(folder, "sync", "noise/graph.npz", "-o", "angles", "--overwrite")
            marked.append(False)
        except ChildFailed as error:
            if not str(error).startswith("exit 3:"):
                raise
            marked.append(True)
    room.add("sync, lambda 0.6: share of runs that exit with 3", float(np.mean(marked)), 1.0, ">=")
    count = 200 if settings.quick else 1000
    adapters.command(
        folder, "simulate", "-o", "view", "-n", count, "--views", "single", "--noise", "white", "--snr", 0.2
    )
    adapters.command(folder, "rid-distance", "view/particles.star", "-o", "near", "--no-mirror")
    adapters.command(folder, "sync", "near/graph.npz", "-o", "found")
    truth = starfile.read(folder / "view" / "truth.star")["particles"]
    found = starfile.read(folder / "found" / "angles.star", always_dict=True)
    psi = next(table for table in found.values() if "rlnAnglePsi" in table)["rlnAnglePsi"]
    result = agreement(psi, truth["rlnAnglePsi"])
    error = np.median(np.abs(result.error_deg))
    note = f"{count} images of one view, SNR 0.2, through rid-distance; median error {error:.2f} deg"
    room.add("one view end to end: Corr", result.correlation, 0.99, ">=", note)
    room.add("one view, the wrong sign: Corr", correlation(-psi, truth["rlnAnglePsi"]), 0.3, note="must fail")
    shutil.rmtree(folder)
