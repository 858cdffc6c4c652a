"""`cryoalign rid-distance`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cryoalign.cli.comparison_options import COMPONENTS, distance_options, neighbours_option
from cryoalign.cli.options import (
    CONTEXT_SETTINGS,
    SuiteCommand,
    all_particles,
    output_option,
    particles_options,
    run_options,
    typed_words,
    verbosity,
)

_EPILOG = """\b
Examples:
  The 50 nearest neighbours of every particle, with angles, shifts and mirrors,
  as a table too:
  \b
    cryoalign rid-distance Extract/job010/particles.star -o Neighbours \\
        --export csv -j 8
\b
  Neighbours of three particles, without mirrors, of particles that are centred:
  \b
    cryoalign rid-distance particles.star -o Chosen --queries 12,40,77 \\
        -k 10 --no-mirror --no-shifts
"""


@click.command(
    "rid-distance",
    cls=SuiteCommand,
    context_settings=CONTEXT_SETTINGS,
    short_help="Find each particle's nearest neighbours, whatever their rotation.",
    epilog=_EPILOG,
)
@particles_options
@output_option
@neighbours_option
@distance_options
@click.option(
    "--max-distance", type=float, metavar="D", help="Keep pairs no further apart than D; without -k all such pairs."
)
@click.option("--all-pairs", is_flag=True, help="Keep all pairs; for small sets.")
@click.option(
    "--queries",
    metavar="ROWS",
    help="Neighbours of these particles only: rows as 1,5-8, a file with a row number on each line, or a STAR file.",
)
@click.option(
    "--export", type=click.Choice(["csv", "star"]), multiple=True, help="Write the graph as text too; may be repeated."
)
@run_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    particles: tuple[Path, ...],
    more_particles: tuple[Path, ...],
    verbose: int,
    quiet: bool,
    **options: Any,
) -> int:
    """Find the nearest neighbours of each of PARTICLES (.star, .mrcs, .mrc, .cs) in rotation-invariant distance.

    Two particles are compared at their best in-plane angle, shift and handedness. Writes graph.npz (who is near whom,
    how near, and the pose that brings one onto the other), report.html, run.log and run.json into DIR.

    Exit status: 0 done, 1 failed, 2 usage, 130/143 interrupted.
    """
    from cryoalign.core.errors import InputError
    from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
    from cryoalign.run.cpus import available_cpus

    options["threads"] = options["threads"] or available_cpus()
    by_measure = options["metric"] not in COMPONENTS
    if by_measure:
        options["measure"] = options.pop("metric")
        if ctx.get_parameter_source("score") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--score and --metric {options['measure']} exclude each other", ctx)
    if options["whiten"] is None:
        options["whiten"] = not by_measure
    options["downsample"] = options["downsample"] or (64 if by_measure else 32)
    try:
        parameters = RidDistanceParameters(inputs=all_particles(particles, more_particles), **options)
    except InputError as error:
        raise click.UsageError(str(error), ctx) from None

    from cryoalign.jobs.rid_distance.job import run_rid_distance

    return run_rid_distance(parameters, argv=typed_words(ctx), verbosity=verbosity(verbose, quiet))
