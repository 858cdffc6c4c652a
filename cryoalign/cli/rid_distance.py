"""`cryoalign rid-distance`: options in, parameters out."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from cryoalign.cli.comparison_options import COMPONENTS, distance_options, neighbours_option
from cryoalign.cli.options import (
    output_option,
    particles_options,
    run_command,
    run_options,
    suite_command,
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


@suite_command("rid-distance", _EPILOG)
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
def command(ctx: click.Context, /, **options: Any) -> int:
    """Find the nearest neighbours of each of PARTICLES (.star, .mrcs, .mrc, .cs) in rotation-invariant distance.

    Two particles are compared at their best in-plane angle, shift and handedness. Writes graph.npz (who is near whom,
    how near, and the pose that brings one onto the other), report.html, run.log and run.json into DIR.

    Exit status: 0 done, 1 failed, 2 usage, 130/143 interrupted.
    """
    if options["metric"] not in COMPONENTS and ctx.get_parameter_source("score") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--score and --metric {options['metric']} exclude each other", ctx)
    return run_command(ctx, "rid-distance", options)
