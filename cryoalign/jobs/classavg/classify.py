"""The classification of prepared particles: settings, a graph that was given, what a resumed run need not repeat."""

from __future__ import annotations

from cryoalign.classification.classification import Classification
from cryoalign.classification.pipeline import classify
from cryoalign.classification.settings import ClassificationSettings
from cryoalign.io.graph_file import Graph, read_graph
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.jobs.classavg.saved import load_classification, save_classification
from cryoalign.passes.prepare.compared import neighbour_count, saying, search_settings
from cryoalign.passes.prepare.graph import lists_of_graph
from cryoalign.passes.prepare.prepared import Prepared
from cryoalign.passes.prepare.settings import DEFAULT_K
from cryoalign.runs.rundir import RunDirectory


def classify_particles(
    p: ClassavgParameters, prepared: Prepared, graph: Graph | None, run: RunDirectory
) -> Classification:
    """Classify, or read what an earlier attempt of the same run found.

    Parameters
    ----------
    p, prepared, run
        The parameters, the particles, the run.
    graph
        The graph that was given, if any.

    Raises
    ------
    InputError
        If there are fewer particles than neighbours.
    """
    k = neighbour_count(p, len(prepared.rows), run, prepared.particles)
    store = run.parts("classification")
    found = load_classification(store)
    if found is None:
        lists = None if graph is None else lists_of_graph(graph, prepared)
        with run.stage("classify"):
            found = classify(
                prepared.images, classification_settings(p, prepared, k), lists, saying(run, "classifying")
            )
        save_classification(store, found)
        steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in found.timings.items())
        run.log.info("CPU seconds by step of the classification: %s", steps)
    signal = found.signal
    run.log.info(
        "%d rounds, %s; %s (z = %.1f, share %.3f)", found.rounds,
        f"centres with a deviation of {found.shift_sd_px * prepared.plan.raw_per_prepared:.2f} px"
        if found.shift_sd_px > 0 else "no shifts",
        "signal" if signal.signal else "no consistent signal", signal.z, signal.share,
    )  # fmt: skip
    return found


def given_graph(p: ClassavgParameters, particles: ParticleSet, run: RunDirectory) -> Graph | None:
    """Read the graph of ``--graph``, before any work is done.

    Raises
    ------
    InputError
        If it is damaged, or belongs to other particles.
    """
    if p.graph is None:
        return None
    graph = read_graph(p.graph, particles.image_names())
    run.log.info("read a graph of %d edges (%s)", len(graph), graph.metric or "distances of an unknown kind")
    if graph.unused:
        run.log.info("arrays that are not used: %s", ", ".join(graph.unused))
    return graph


def classification_settings(p: ClassavgParameters, prepared: Prepared, k: int) -> ClassificationSettings:
    """Return what the classification is told."""
    edges = min(DEFAULT_K, len(prepared.rows) - 1)
    search = search_settings(p, prepared, edges, p.threads)
    return ClassificationSettings(
        search=search,
        k=k,
        algorithm=p.algorithm,
        k_max=p.k_max,
        rounds=p.rounds,
        reweight=p.reweight,
        clusters=p.classes,
        seed=p.seed,
        threads=p.threads,
    )
