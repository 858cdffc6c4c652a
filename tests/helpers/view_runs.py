"""Runs of the averaging half of ``classavg`` on simulated particles whose neighbours are taken from their truth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoalign.classification.classification import Classification
from cryoalign.classification.views import choose_views, given_views
from cryoalign.core.poses import Poses
from cryoalign.io.particles import ParticleSet, read_particles
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.jobs.classavg.averages import average_views, write_views
from cryoalign.jobs.classavg.members import ViewMembers, view_members
from cryoalign.jobs.classavg.model_files import write_model
from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.jobs.classavg.partition import Partition, make_partition
from cryoalign.passes.average.passes import AverageResult
from cryoalign.passes.average.plan import plan_average
from cryoalign.passes.images import ParticleImages
from cryoalign.runs.rundir import RunDirectory
from cryoalign.simulation.phantom import built_in_phantom
from helpers.align import run
from helpers.true_neighbours import true_classification

PIXEL, PREPARED = 4.0, 32
PARTICLES = "sim/particles.star"


@dataclass(frozen=True)
class Made:
    """What one run made."""

    particles: ParticleSet
    classification: Classification
    members: ViewMembers
    found: AverageResult
    partition: Partition | None


def simulate(folder: Path, n: int, box: int, *words: object) -> Path:
    """Simulate particles in ``sim``, views even over the sphere."""
    told = ("-q", "-o", "sim", "-n", n, "--box", box, "--pixel-size", PIXEL, "--noise", "white", "-j", 1, *words)
    ran = run(folder, "simulate", *told)
    assert ran.status == 0, ran.lines
    return folder


def average_neighbours(
    folder: Path, out: str, k: int, *, classification: Classification | None = None, count: int | None = None,
    every: bool = False, partition: bool = False, min_class_size: int = 1, jitter_deg: float = 0.0,
    jitter_px: float = 0.0, **options: object,
) -> Made:  # fmt: skip
    """Do what the command does once views are classified; ``options`` are those of ``average``."""
    with contextlib.chdir(folder):
        particles = read_particles([Path(PARTICLES)])
        box = int(particles.box[0])
        truth = folder / "sim/truth.star"
        found = classification or true_classification(
            truth, k, box=box, prepared_box=PREPARED, jitter_deg=jitter_deg, jitter_px=jitter_px
        )
        views = given_views(found, None) if every else choose_views(found, count)
        p = AverageParameters(inputs=(Path(PARTICLES),), output=Path(out), **options)
        rows = np.arange(len(particles))
        with RunDirectory.begin(
            p.output, command="classavg", argv=["classavg"], parameters=p.to_json(), reads=p.reads(),
            resume=False, overwrite=True, part=None, seed=0, full_digest=False, verbosity=-1,
        ) as directory:  # fmt: skip
            members = view_members(found, views, particles, rows, PREPARED)
            images = ParticleImages.of(particles, p, scratch=directory.scratch("unpacked"), warn=directory.warn)
            plan = plan_average(p, images, members.memberships, warn=directory.warn)
            averages = average_views(plan, directory)
            assert averages is not None
            write_views(averages, members, directory)
            classes = None
            if partition:
                comparison = ClassavgParameters(inputs=p.inputs, output=p.output, min_class_size=min_class_size)
                classes = make_partition(
                    comparison, averages, np.arange(len(views)), directory, rows=rows,
                    centre_px=found.centre_px * box / PREPARED, max_shift_px=3.0, band_ring=PREPARED // 2,
                )  # fmt: skip
                write_model(classes, directory)
            directory.commit(counts={}, relion_nodes=[])
    return Made(particles, found, members, averages, classes)


def clean_views(folder: Path, rows: np.ndarray) -> np.ndarray:
    """Project the phantom of ``simulate`` along the views of some particles, at their own angle and centred."""
    with contextlib.chdir(folder):
        truth = read_particles([Path("sim/truth.star")])
    box = int(truth.box[0])
    rot, tilt, psi = (truth.numbers(f"rlnAngle{name}")[rows] for name in ("Rot", "Tilt", "Psi"))
    phantom = built_in_phantom(0.66 * box * PIXEL, 1.25 * PIXEL)
    return phantom.project(rot, tilt, Poses(psi, 0 * psi, 0 * psi), box, PIXEL)


def signal(images: np.ndarray, radius: float) -> np.ndarray:
    """Return what simulated noiseless images hold within a radius, as vectors of mean 0 and length 1."""
    box = images.shape[-1]
    y, x = np.mgrid[:box, :box] - box // 2
    inside = images[..., np.hypot(x, y) < radius].astype(np.float64)
    inside -= inside.mean(axis=-1, keepdims=True)
    return inside / np.linalg.norm(inside, axis=-1, keepdims=True)
