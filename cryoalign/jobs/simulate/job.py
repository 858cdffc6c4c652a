"""``simulate`` from start to finish: read what to project, make particles in parts, write them and their truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.tiles import TILE
from cryoalign.io.columns import text_table
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import StackPlace, StackWriter, write_stack
from cryoalign.io.star import write_star
from cryoalign.jobs.simulate.inputs import read_noise, read_projector, read_views
from cryoalign.jobs.simulate.parameters import SimulateParameters
from cryoalign.runs.parts import PartRange, plan_parts
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import PartFunction, do_parts
from cryoalign.simulation.particles import CtfRecipe, Recipe, Simulation, Truth

_PART_PIXELS = 1 << 21
_TRUTH_ROWS = 1 << 14


def run_simulate(p: SimulateParameters, argv: Sequence[str], verbosity: int) -> int:
    """Simulate particles and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        with run.stage("plan"):
            simulation = _plan(p, run)
        layout = _Layout.of(p, run)
        _write_pixels(p, simulation, layout, run)
        with run.stage("tables"):
            views = simulation.recipe.views
            if views is not None:
                recipe = simulation.recipe
                write_stack(run.staged("references.mrcs"), simulation.references(), recipe.pixel_size_angstrom)
            _write_tables(p, simulation, layout, run)
        counts = {
            "particles": p.count,
            "views": None if views is None else len(views),
            "signal_scale": simulation.scale,
            "noise_variance": 0.0 if simulation.noise_power is None else 1.0,
        }
        run.commit(counts=counts, relion_nodes=[("particles.star", "particles")])
    return 0


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which stack holds which rows: stack s holds rows bounds[s] to bounds[s + 1]."""

    names: list[str]
    bounds: NDArray[np.int64]
    run: RunDirectory

    @classmethod
    def of(cls, p: SimulateParameters, run: RunDirectory) -> _Layout:
        digits = max(2, len(str(p.stacks)))
        names = ["particles.mrcs"]
        if p.stacks > 1:
            names = [f"particles_{s + 1:0{digits}d}.mrcs" for s in range(p.stacks)]
        return cls(names, np.arange(p.stacks + 1) * p.count // p.stacks, run)

    def image_names(self) -> list[str]:
        stacks = [name_from_here(self.run.path / name) for name in self.names]
        counts = np.diff(self.bounds).tolist()
        return [image_name(f, stack) for stack, count in zip(stacks, counts, strict=True) for f in range(count)]

    def pieces(self, part: PartRange) -> list[tuple[int, int, int]]:
        """Return (stack, first row, last row + 1) of the stretches of a part."""
        first = int(np.searchsorted(self.bounds, part.start, side="right")) - 1
        pieces = []
        for stack in range(first, len(self.names)):
            start, stop = max(part.start, int(self.bounds[stack])), min(part.stop, int(self.bounds[stack + 1]))
            if start >= stop:
                break
            pieces.append((stack, start, stop))
        return pieces


def _plan(p: SimulateParameters, run: RunDirectory) -> Simulation:
    projector, box, pixel_size = read_projector(p, run.scratch("unpacked"), run.warn)
    ctf = None
    if p.ctf:
        ctf = CtfRecipe(
            1e4 * p.defocus_min, 1e4 * p.defocus_max, 1e4 * p.astigmatism, p.voltage, p.cs, p.amplitude_contrast
        )
    noise = read_noise(p, pixel_size)
    if box % 2:
        run.warn(f"the box is odd ({box} px): RELION refines even boxes, and shifts odd ones by half a pixel")
    recipe = Recipe(p.count, box, pixel_size, read_views(p), p.shift_sd, ctf, noise, p.snr, p.seed)
    run.log.info("%d particles of %d px at %g A of %s", p.count, box, pixel_size, p.map or "the built-in phantom")
    simulation = Simulation(projector, recipe)
    if noise is None:
        run.log.info("no noise: images are projections on the map's own scale")
    else:
        run.log.info("noise variance 1, SNR %g: projections are multiplied by %.6g", p.snr, simulation.scale)
    return simulation


def _write_pixels(p: SimulateParameters, simulation: Simulation, layout: _Layout, run: RunDirectory) -> None:
    recipe = simulation.recipe
    counts = np.diff(layout.bounds).tolist()
    places = [
        StackPlace(run.staged(name), count, recipe.box, recipe.pixel_size_angstrom)
        for name, count in zip(layout.names, counts, strict=True)
    ]
    # A multiple of 64 rows that a worker can hold a few times over.
    part_rows = TILE * max(1, _PART_PIXELS // (TILE * recipe.box**2))
    with ExitStack() as stacks:
        for place in places:
            stacks.enter_context(place.open())
        work = _Simulating(simulation, layout, tuple(places))
        do_parts(run, work, plan_parts(p.count, part_rows), store="parts", words="simulating", stage="particles")


@dataclass(frozen=True, eq=False)
class _Simulating:
    """The work: rows in, their images in the stacks."""

    simulation: Simulation
    layout: _Layout
    places: tuple[StackPlace, ...]

    @contextmanager
    def open(self) -> Iterator[PartFunction]:
        """Enter the part function, with the stacks open."""
        with ExitStack() as stacks:
            writers = [stacks.enter_context(place.open()) for place in self.places]
            yield lambda part: self._make(part, writers)

    def _make(self, part: PartRange, writers: list[StackWriter]) -> dict[str, NDArray]:
        images = self.simulation.images(np.arange(part.start, part.stop))
        for stack, start, stop in self.layout.pieces(part):
            first = start - int(self.layout.bounds[stack])
            writers[stack].write(first, images[start - part.start : stop - part.start])
        return {"rows": np.array([part.start, part.stop])}


def _write_tables(p: SimulateParameters, simulation: Simulation, layout: _Layout, run: RunDirectory) -> None:
    """Write particles.star without, truth.star with the true poses, and references.star."""
    recipe = simulation.recipe
    pixel_size = recipe.pixel_size_angstrom
    rows = np.arange(p.count)
    truths = [simulation.truth(rows[start : start + _TRUTH_ROWS]) for start in range(0, p.count, _TRUTH_ROWS)]
    zeros = np.zeros(p.count)
    shared: dict[str, ArrayLike] = {"rlnImageName": layout.image_names()}
    if p.stacks > 1:
        stack = np.repeat(np.arange(p.stacks), np.diff(layout.bounds))
        shared["rlnMicrographName"] = [layout.names[s].replace("particles", "micrograph")[:-1] for s in stack]
    shared["rlnOpticsGroup"] = 1 + rows * p.optics_groups // p.count
    ctf = {
        label: np.concatenate([getattr(truth.ctf, name) for truth in truths])
        for label, name in _CTF_COLUMNS
        if recipe.ctf is not None
    }
    none = {"rlnAnglePsi": zeros, "rlnOriginXAngst": zeros, "rlnOriginYAngst": zeros}
    optics = text_table(_optics(p, recipe))
    particles = text_table({**shared, **ctf, **none})
    write_star(run.staged("particles.star"), {"optics": optics, "particles": particles})
    true: dict[str, ArrayLike] = {
        "rlnAngleRot": _joined(truths, lambda t: t.rot_deg),
        "rlnAngleTilt": _joined(truths, lambda t: t.tilt_deg),
        "rlnAnglePsi": _joined(truths, lambda t: t.poses.psi),
        "rlnOriginXAngst": _joined(truths, lambda t: t.poses.dx) * pixel_size,
        "rlnOriginYAngst": _joined(truths, lambda t: t.poses.dy) * pixel_size,
    }
    if recipe.views is not None:
        view = np.concatenate([truth.view for truth in truths if truth.view is not None])
        images = name_from_here(run.path / "references.mrcs")
        names = [image_name(k, images) for k in range(len(recipe.views))]
        true |= {"rlnClassNumber": view + 1, "rlnReferenceImage": [names[k] for k in view]}
        share = np.bincount(view, minlength=len(names)) / p.count
        references: dict[str, ArrayLike] = {
            "rlnReferenceImage": names,
            "rlnClassNumber": np.arange(1, len(names) + 1),
            "rlnClassDistribution": share,
            "rlnAngleRot": recipe.views[:, 0],
            "rlnAngleTilt": recipe.views[:, 1],
            "rlnOpticsGroup": np.ones(len(names), np.int64),
        }
        first = text_table({label: values[:1] for label, values in _optics(p, recipe).items()})
        write_star(run.staged("references.star"), {"optics": first, "references": text_table(references)})
    write_star(run.staged("truth.star"), {"optics": optics, "particles": text_table({**shared, **ctf, **true})})


_CTF_COLUMNS = (
    ("rlnDefocusU", "defocus_u_angstrom"),
    ("rlnDefocusV", "defocus_v_angstrom"),
    ("rlnDefocusAngle", "defocus_angle_deg"),
    ("rlnPhaseShift", "phase_shift_deg"),
    ("rlnCtfBfactor", "bfactor_angstrom2"),
    ("rlnCtfScalefactor", "scale"),
)


def _optics(p: SimulateParameters, recipe: Recipe) -> dict[str, list]:
    groups = range(1, p.optics_groups + 1)
    same = {
        "rlnVoltage": float(p.voltage),
        "rlnSphericalAberration": float(p.cs),
        "rlnAmplitudeContrast": float(p.amplitude_contrast),
        "rlnImagePixelSize": float(recipe.pixel_size_angstrom),
        "rlnImageSize": recipe.box,
        "rlnImageDimensionality": 2,
    }
    named: dict[str, list] = {"rlnOpticsGroup": list(groups), "rlnOpticsGroupName": [f"opticsGroup{g}" for g in groups]}
    return named | {label: [value] * p.optics_groups for label, value in same.items()}


def _joined(truths: list[Truth], column: Callable[[Truth], NDArray]) -> NDArray:
    return np.concatenate([column(truth) for truth in truths])
