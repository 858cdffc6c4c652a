"""`cryoalign sync`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.cli.options import (
    output_option,
    overwrite_option,
    resume_option,
    run_command,
    seed_option,
    suite_command,
    threads_option,
    verbosity_options,
)

_EPILOG = """\b
Examples:
  Particles of a single view, all brought into one frame, and their average:
  \b
    cryoalign rid-distance particles.star -o Neighbours -k 20
    cryoalign sync Neighbours/graph.npz -o Synced
    cryoalign average Synced/particles.star -o Averages
\b
  Edges of another program, by its own names, the angle of one of them fixed:
  \b
    cryoalign sync edges.csv -o Angles --anchor north=90
"""


@suite_command("sync", _EPILOG)
@click.argument("graph", required=False, type=click.Path(path_type=Path))
@click.option("--graph", "more_graph", type=click.Path(path_type=Path), metavar="FILE", help="The graph, as an option.")
@output_option
@click.option(
    "--particles", "--i", "--in_parts", "particles", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The particles that the graph is of, for particles.star.  [default: those that run.json beside graph.npz "
    "names]",
)  # fmt: skip
@click.option(
    "--datadir", type=click.Path(path_type=Path), metavar="DIR", help="Folder that image names in them start from."
)
@click.option("--angpix", type=float, metavar="A", help="Pixel size of the particles, overriding the metadata.")
@click.option(
    "--algorithm", type=click.Choice(["auto", "ppe", "spectral", "gpm", "mfgpm"]), default="auto", show_default=True,
    help="How angles are found.",
)  # fmt: skip
@click.option(
    "--k-max", type=click.IntRange(min=1, max=256), metavar="K",
    help="Highest frequency.  [default: chosen from the edges; 32 with ppe and mfgpm]",
)  # fmt: skip
@click.option("--weights/--no-weights", default=True, show_default=True, help="Use the edges' weights, if any.")
@click.option(
    "--anchor", multiple=True, metavar="NODE=DEG",
    help="Give this node this angle, and turn its component with it; may be repeated.",
)  # fmt: skip
@click.option("--max-distance", type=float, metavar="D", help="Leave out edges with a distance above D.")
@click.option("--allow-no-signal", is_flag=True, help="Exit with 0, not 3, where there is no signal.")
@seed_option
@resume_option
@overwrite_option
@threads_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, graph: Path | None, more_graph: Path | None, **options: Any) -> int:
    """Find the angle of every node of GRAPH so that the differences agree with its edges, of which many may be wrong.

    GRAPH is a graph.npz (rid-distance, classavg), or edges as CSV, TSV or STAR: columns i, j, angle_deg, optional
    weight, distance, shift_x_px, shift_y_px, mirror. Writes angles.star, edges.star, particles.star where the particles
    are known, report.html, run.log and run.json into DIR.

    Exit status: 0 done, 1 failed, 2 usage, 3 done but the edges do not agree, 130/143 interrupted.
    """
    if graph is not None and more_graph is not None:
        raise click.UsageError("GRAPH and --graph: give one of them.", ctx)
    graph = graph or more_graph
    if graph is None:
        raise click.UsageError("Missing graph: name a graph.npz, .csv, .tsv or .star file.", ctx)
    return run_command(ctx, "sync", {"graph": graph} | options)
