"""``select`` from start to finish: read tables, apply criteria in a fixed order, write the rows kept and the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryoalign.core.errors import InputError
from cryoalign.io.particle_tables import read_particle_tables
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.jobs.select.classes import apply_classes
from cryoalign.jobs.select.duplicates import apart_on_micrographs, first_of_each_image, micrograph_pixel_size
from cryoalign.jobs.select.parameters import SelectParameters
from cryoalign.jobs.select.ranking import best_first, random_first
from cryoalign.jobs.select.sieve import Sieve
from cryoalign.runs.results import tell_results
from cryoalign.runs.rundir import RunDirectory

REASON = "cryoalignReason"
INVERTED = "passes all (--invert-selection)"


def run_select(p: SelectParameters, argv: Sequence[str], verbosity: int) -> int:
    """Select particles and write a run directory."""
    table_path = p.needed_class_table()
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        with run.stage("read"):
            particles, missing = read_particle_tables(p.inputs, datadir=p.datadir, angpix=p.angpix)
        for text in particles.warnings:
            run.warn(text)
        run.log.info("read %d particles (%s)", len(particles), particles.dialect)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            run.warn(f"{missing[0]}{more} not found from here: a selection needs no images, names stay as written")
        with run.stage("select"):
            sieve = Sieve(particles)
            apply_classes(p, sieve, table_path, run.warn)
            _apply_conditions(p, sieve)
            _apply_duplicates(p, sieve, run)
            _apply_amounts(p, sieve, run)
        kept, removed = (sieve.gone, sieve.left) if p.invert_selection else (sieve.left, sieve.gone)
        if not len(kept):
            raise InputError(_nothing_left(p, sieve))
        with run.stage("write"):
            for text in write_particles(run.staged("particles.star"), particles.take(kept)):
                run.warn(text)
            if len(removed):
                reasons = [INVERTED] * len(removed) if p.invert_selection else sieve.reasons(removed)
                _write_removed(run, particles.take(removed), reasons)
        counts = {
            "read": len(particles),
            "kept": len(kept),
            "removed": len(removed),
            "removed_by": [{"criterion": name, "rows": rows} for name, rows in sieve.counts()],
            "inverted": p.invert_selection,
        }
        lines = [*_table(sieve), f"kept {len(kept)} of {len(particles)} particles"]
        tell_results(run.log, lines, verbosity=verbosity, as_json=counts if p.as_json else None)
        run.commit(counts=counts, relion_nodes=[("particles.star", "particles")])
    return 0


def _apply_conditions(p: SelectParameters, sieve: Sieve) -> None:
    for name, condition in p.conditions:
        cells = sieve.cells(condition.label)
        try:
            holds = condition.holds(cells)
        except InputError as error:
            raise sieve.located(error) from None
        sieve.keep(name, holds)


def _apply_duplicates(p: SelectParameters, sieve: Sieve, run: RunDirectory) -> None:
    if p.unique:
        order = best_first(sieve, p.rank_by, lowest=p.rank_lowest, needed=False)
        sieve.keep("--unique", first_of_each_image(sieve, order, p.datadir))
    if p.min_distance is not None:
        pixel_size, source = micrograph_pixel_size(sieve.particles, p.coordinate_angpix)
        run.log.info("pixel size of the coordinates: %s", source)
        if not {"rlnOriginXAngst", "rlnOriginX"} & set(sieve.particles.particles):
            run.warn("the particles have no origins: distances are those of the coordinates")
        order = best_first(sieve, p.rank_by, lowest=p.rank_lowest, needed=False)
        keep = apart_on_micrographs(sieve, order, p.min_distance, pixel_size)
        sieve.keep(f"--min-distance {p.min_distance:.10g}", keep)


def _apply_amounts(p: SelectParameters, sieve: Sieve, run: RunDirectory) -> None:
    for option, amount in (("--best", p.best_amount), ("--random", p.random_amount)):
        if amount is None:
            continue
        count = len(sieve.left)
        if amount.count is not None and amount.count > count:
            run.warn(f"{option} {amount.count}: only {count} particles are left, all of them are kept")
        if option == "--best":
            order = best_first(sieve, p.rank_by, lowest=p.rank_lowest, needed=True)
        else:
            order = random_first(sieve, p.seed)
        keep = np.zeros(count, np.bool_)
        keep[order[: amount.of(count)]] = True
        sieve.keep(f"{option} {p.best if option == '--best' else p.random}", keep)


def _table(sieve: Sieve) -> list[str]:
    """Return the table of criteria: rows removed by each, rows left after it."""
    lines, left = [f"{'removed':>10} {'left':>10}  by"], len(sieve.particles)
    for name, rows in sieve.counts():
        left -= rows
        lines.append(f"{rows:10d} {left:10d}  {name}")
    return lines


def _nothing_left(p: SelectParameters, sieve: Sieve) -> str:
    if p.invert_selection:
        return f"no particle is left: all {len(sieve.particles)} pass, and --invert-selection keeps the others"
    shares = ", ".join(f"{name} removed {rows}" for name, rows in sieve.counts() if rows)
    return f"no particle is left of {len(sieve.particles)}: {shares}"


def _write_removed(run: RunDirectory, particles: ParticleSet, reasons: list[str]) -> None:
    write_particles(run.staged("removed.star"), particles.with_columns({REASON: _writable(reasons)}))


def _writable(reasons: list[str]) -> list[str]:
    """Return reasons that STAR can hold: a value with both kinds of quotes cannot be written."""
    safe = {text: text if not ("'" in text and '"' in text) else text.replace('"', "") for text in set(reasons)}
    safe = {text: " ".join(words.split()) for text, words in safe.items()}
    return [safe[text] for text in reasons]
