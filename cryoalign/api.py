"""The Python face: arrays and tables in, results out, by the code of the command line and with its results.

Everything here is in ``cryoalign`` itself (``cryoalign.align``), and imported when it is first asked for. Images are
float arrays (n, L, L), image first, rows of y; poses are those of :class:`Poses`, RELION's sense; lengths are in pixels
where a name says ``px``, else in Angstrom. What the caller can mend is an :class:`InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.classification.classification import Classification
from cryoalign.core.blas import one_blas_thread
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import CryoalignError, InputError
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.io.graph_file import Graph
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.particles import read_particles as _read_particles
from cryoalign.jobs.loaded import Run, load_run
from cryoalign.metrics.names import measure
from cryoalign.passes.in_memory import Images, Progress, in_parts, opened, prepared_images, settings_named
from cryoalign.passes.to_caller import warn_caller
from cryoalign.synchronization.synchronise import Synchronization

__all__ = [
    "Alignment",
    "CryoalignError",
    "CtfParameters",
    "InputError",
    "ParticleSet",
    "Poses",
    "Run",
    "align",
    "average",
    "classify",
    "load_run",
    "measure",
    "neighbours",
    "read_particles",
    "resample",
    "run",
    "synchronise",
    "write_particles",
]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Images aligned to references.

    Parameters
    ----------
    poses
        They bring each image onto its reference, (n,), rounded as a STAR file holds them.
    reference
        The best reference of each image, from 0, int32 (n,).
    score, margin
        Normalised correlation with it in [-1, 1], and by how much the best is better than another, (n,).
    psi_error_deg, shift_error_px
        Standard errors of angle and shift, (n,).
    skipped
        0, or why an image could not be used (``on_bad_image="skip"``), (n,).
    averages
        Of the images of each reference, (m, L, L), with their halves and FRC.
    """

    poses: Poses
    reference: NDArray[np.int32]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    psi_error_deg: NDArray[np.float64]
    shift_error_px: NDArray[np.float64]
    skipped: NDArray[np.int8]
    averages: ClassAverages


def read_particles(paths: str | Path | Sequence[str | Path], **options: Any) -> ParticleSet:
    """Read a table of particles: .star, .mrcs, .mrc or .cs, one file or several.

    Parameters
    ----------
    paths
        The files.
    **options
        ``datadir``, ``angpix`` and ``limit`` as of the commands; ``check_stacks=False`` reads nothing but tables.

    Raises
    ------
    InputError
        One line that names file, line or row, value and what to do.

    Examples
    --------
    >>> particles = read_particles("data/demo/particles.star", limit=100)
    >>> len(particles), particles.poses().psi.shape
    (100, (100,))
    """
    return _read_particles([paths] if isinstance(paths, (str, Path)) else list(paths), **options)


def align(
    images: Images,
    references: NDArray[np.floating],
    *,
    pixel_size_angstrom: float = 1.0,
    ctf: CtfParameters | Literal[False] | None = None,
    reference_pixel_size_angstrom: float | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> Alignment:
    """Find reference and pose of every image, over all rotations and shifts, as ``cryoalign align`` does in one round.

    Parameters
    ----------
    images
        An array (n, L, L), or a table of particles.
    references
        (m, L, L), or one (L, L).
    pixel_size_angstrom, ctf
        Of the images of an array; a table knows its own. ctf False = leave it alone.
    reference_pixel_size_angstrom
        None = that of most images.
    threads
        Change nothing but the time.
    progress
        Told how many images are done.
    **settings
        Options of the command by their names: ``mask_diameter``, ``lowpass`` (A), ``max_shift_px``, ``mirror``,
        ``metric``, ``local``, ``ctf_intact_first_peak``, ``whiten``, ... (see ``AlignSettings``).

    Raises
    ------
    InputError
        If references and images do not fit, or an image cannot be used.

    Examples
    --------
    >>> turned = resample(np.stack([letter] * 3), Poses([0, 90, -30], [0, 1, 2], [0, 0, 1]))
    >>> align(turned, letter).poses.inverse().psi.round().astype(int)
    array([  0,  90, -30])
    """
    from cryoalign.passes.align.between_rounds import averages_of
    from cryoalign.passes.align.merge import merge_parts
    from cryoalign.passes.align.part import AlignWork
    from cryoalign.passes.align.plan import plan_align
    from cryoalign.passes.align.settings import AlignSettings

    told = settings_named(AlignSettings, settings, ctf=ctf is not False, resize_reference=True, halves=False)
    with opened(images, told, pixel_size_angstrom, ctf or None, warn_caller) as source:
        given = np.asarray(references, np.float32).reshape(-1, *np.shape(references)[-2:])
        pixel = reference_pixel_size_angstrom or source.most.pixel_size_angstrom
        plan = plan_align(told, source, given, pixel, warn=warn_caller)
        with in_parts(AlignWork(plan), len(source), threads, progress) as (store, ranges):
            found = merge_parts(plan, store, ranges)
        return Alignment(
            found.poses, found.reference, found.score, found.margin, found.psi_error_deg, found.shift_error_px,
            found.look["reason"], averages_of(plan, found),
        )  # fmt: skip


def average(
    images: Images,
    poses: Poses | None = None,
    classes: ArrayLike | None = None,
    *,
    pixel_size_angstrom: float = 1.0,
    ctf: CtfParameters | Literal[False] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> ClassAverages:
    """Average images of each class after their poses, weighted by their CTF, as ``cryoalign average`` does.

    Parameters
    ----------
    images
        An array (n, L, L), or a table of particles.
    poses
        Of the images, (n,); None = those of the table, or as they lie.
    classes
        Class of each image, whole numbers (n,); None = all in one. Averages come by ascending class.
    pixel_size_angstrom, ctf, threads, progress
        As in `align`.
    **settings
        Options of the command: ``plain``, ``phase_flip``, ``ssnr``, ``robust``, ``interpolation``, ``normalize``, ...
        (see ``AverageSettings``).

    Raises
    ------
    InputError
        If an image cannot be used.

    Examples
    --------
    >>> found = average(np.stack([letter] * 4), classes=[1, 2, 2, 2], plain=True)
    >>> found.averages.shape, found.counts.tolist()
    ((2, 32, 32), [1, 3])
    """
    from cryoalign.passes.average.members import Memberships
    from cryoalign.passes.average.merge import averages_of, merge_sums
    from cryoalign.passes.average.part import SumPart
    from cryoalign.passes.average.plan import plan_average
    from cryoalign.passes.average.settings import AverageSettings

    told = settings_named(AverageSettings, settings, **({"plain": True} if ctf is False else {}))
    with opened(images, told, pixel_size_angstrom, ctf or None, warn_caller) as source:
        n = len(source)
        placed = source.particles.poses() if poses is None else poses
        numbers, index = np.unique(np.ones(n, int) if classes is None else np.asarray(classes), return_inverse=True)
        if len(placed) != n or len(index) != n:
            raise InputError(f"{n} images, {len(placed)} poses and {len(index)} classes")
        members = Memberships(np.arange(n), np.arange(n), index.reshape(-1), placed, None, None, numbers, None, None)
        plan = plan_average(told, source, members, warn=warn_caller)
        with in_parts(SumPart(plan), n, threads, progress) as (store, ranges):
            return averages_of(plan, merge_sums(plan, store, ranges))


def neighbours(
    images: Images,
    k: int = 50,
    *,
    pixel_size_angstrom: float = 1.0,
    ctf: CtfParameters | Literal[False] | None = None,
    threads: int = 1,
    **settings: Any,
) -> Graph:
    """Find the nearest neighbours of every image, whatever their rotation, as ``cryoalign rid-distance`` does.

    Parameters
    ----------
    images
        An array (n, L, L), or a table of particles.
    k
        Neighbours of each; fewer where there are fewer.
    pixel_size_angstrom, ctf, threads
        As in `align`.
    **settings
        Options of the command: ``mirror``, ``shifts``, ``downsample``, ``score``, ``mask_diameter``, ... (see
        ``ComparisonSettings``).

    Returns
    -------
    Graph
        Edges (i, j) with distance, weight, and the pose that brings image j onto image i.

    Raises
    ------
    InputError
        If an image cannot be used, or there are fewer than four.

    Examples
    --------
    >>> graph = neighbours(np.concatenate([noisy_letters, noisy_blobs]), k=3, shifts=False)
    >>> bool((graph.i < 8)[graph.j < 8].mean() > 0.9)
    True
    """
    from cryoalign.classification.pipeline import find_neighbours
    from cryoalign.passes.prepare.compared import list_distances, metric_in_words, search_settings
    from cryoalign.passes.prepare.graph import graph_of_lists
    from cryoalign.passes.prepare.settings import ComparisonSettings

    told = settings_named(ComparisonSettings, settings, ctf=ctf is not False)
    with opened(images, told, pixel_size_angstrom, ctf or None, warn_caller) as source:
        prepared = prepared_images(told, source, warn=warn_caller)
        kept = min(k, len(prepared.rows) - 1)
        lists, _, notes = find_neighbours(prepared.images, search_settings(told, prepared, kept, threads))
        distance = list_distances(lists, told.score, notes.best_attainable)
        return graph_of_lists(lists, distance, prepared, metric_in_words(told))


def classify(
    images: Images,
    k: int = 50,
    *,
    pixel_size_angstrom: float = 1.0,
    ctf: CtfParameters | Literal[False] | None = None,
    threads: int = 1,
    algorithm: str = "mfvdm",
    **settings: Any,
) -> Classification:
    """Find the nearest views of every image, their poses and centres, as ``cryoalign classavg`` does.

    Parameters
    ----------
    images, pixel_size_angstrom, ctf, threads
        As in `neighbours`.
    k
        Images of each view.
    algorithm
        "mfvdm", "mfca", "vdm" or "kmeans".
    **settings
        As in `neighbours`.

    Returns
    -------
    Classification
        Lists of neighbours with weights, quality of each view, and whether there is a signal. Rows are those of the
        input, shifts and centres in its pixels; nan is what is not known of an image that could not be used.

    Examples
    --------
    >>> found = classify(np.concatenate([noisy_letters, noisy_blobs]), k=4, shifts=False)
    >>> found.neighbours.index.shape
    (16, 4)
    """
    from cryoalign.classification.pipeline import classify as classify_images
    from cryoalign.classification.settings import ClassificationSettings
    from cryoalign.passes.prepare.classified import classification_of_rows
    from cryoalign.passes.prepare.compared import search_settings
    from cryoalign.passes.prepare.settings import DEFAULT_K, ComparisonSettings

    told = settings_named(ComparisonSettings, settings, ctf=ctf is not False)
    with opened(images, told, pixel_size_angstrom, ctf or None, warn_caller) as source:
        prepared = prepared_images(told, source, warn=warn_caller)
        most = len(prepared.rows) - 1
        search = search_settings(told, prepared, min(DEFAULT_K, most), threads)
        how = ClassificationSettings(search=search, k=min(k, most), algorithm=algorithm, threads=threads)  # type: ignore[arg-type]
        return classification_of_rows(classify_images(prepared.images, how), prepared)


@one_blas_thread()
def synchronise(graph: Graph, **settings: Any) -> Synchronization:
    """Find one angle for every node of a graph from those of its edges, as ``cryoalign sync`` does.

    Parameters
    ----------
    graph
        From `neighbours`, or of a run.
    **settings
        ``algorithm``, ``k_max``, ``weights``, ``seed``, ``threads`` (see ``SyncSettings``).

    Examples
    --------
    >>> angles = synchronise(neighbours(noisy_letters, k=4, mirror=False, shifts=False)).psi_deg
    >>> angles.shape
    (8,)
    """
    from cryoalign.synchronization.edges import every_edge
    from cryoalign.synchronization.settings import SyncSettings
    from cryoalign.synchronization.synchronise import synchronise as synchronise_edges

    edges = every_edge(graph.n, graph.i, graph.j, graph.angle_deg, graph.mirror, graph.shift_px, graph.weight)
    return synchronise_edges(edges, settings_named(SyncSettings, settings))


def run(command: str, *inputs: str | Path, output: str | Path, quiet: bool = True, **options: Any) -> Run:
    """Run a command as the shell does, and return its run directory.

    Parameters
    ----------
    command
        "align", "average", "classavg", "compare", "rid-distance", "select", "simulate", "simulate-graph" or "sync".
    *inputs
        Files of particles, where the command reads some.
    output
        The run directory.
    quiet
        Say only warnings.
    **options
        The command's options by their names, such as ``reference="refs.mrcs"``, ``max_shift_px=5``.

    Raises
    ------
    InputError
        For what the shell would say in one line.

    Examples
    --------
    >>> done = run("simulate", output=folder / "sim", count=64, box=32, pixel_size=6.0, n_views=2)
    >>> done.exit_status, len(done.particles)
    (0, 64)
    """
    from cryoalign.jobs.commands import parameters_class, run_command

    kind = parameters_class(command)
    given = options | {"output": output} | ({"inputs": tuple(inputs)} if inputs else {})
    plain = {name: [str(v) for v in value] if name == "inputs" else _plain(value) for name, value in given.items()}
    words = [f"{kind.option_of(name)}={value}" for name, value in plain.items() if name not in ("inputs", "output")]
    parameters = kind.from_json(plain)
    argv = [command, *map(str, inputs), "--output", str(output), *words]
    run_command(parameters, argv=argv, verbosity=-1 if quiet else 0)
    return load_run(output)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
