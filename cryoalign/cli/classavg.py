"""`cryoalign classavg`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.cli.comparison_options import comparison_options, neighbours_option
from cryoalign.cli.options import (
    output_option,
    particles_options,
    run_command,
    run_options,
    suite_command,
)

_EPILOG = """\b
Examples:
  Averages of the best views of a RELION project, each of 50 particles or so:
  \b
    cryoalign classavg Extract/job010/particles.star -o Views -j 8
\b
  Two hundred views of 100 particles each, with CTF-weighted averages brought to
  the centre, from particles that are about 150 A across:
  \b
    cryoalign classavg Extract/job010/particles.star -o Views200 \\
        --classes 200 -k 100 --mask-diameter 150 --recenter
"""


@suite_command("classavg", _EPILOG)
@particles_options
@output_option
@neighbours_option
@click.option(
    "--classes", type=click.IntRange(min=1), metavar="N",
    help="Average N well separated views, the best first.  [default: one for 50 particles, at most 100]",
)  # fmt: skip
@click.option("--every-particle", is_flag=True, help="Average the view of every particle.")
@click.option(
    "--particles", "rows", metavar="ROWS",
    help="Average the views of these particles: rows as 1,5-8, a file with a row number on each line, or a STAR file.",
)  # fmt: skip
@click.option(
    "--graph", type=click.Path(path_type=Path), metavar="FILE",
    help="Start from this graph.npz, instead of a search for neighbours.",
)  # fmt: skip
@click.option("--reweight", is_flag=True, help="With --graph, weight edges by how well they agree with the others.")
@click.option(
    "--algorithm", type=click.Choice(["mfvdm", "mfca", "vdm", "kmeans"]), default="mfvdm", show_default=True,
    help="How views are found: multi-frequency vector diffusion maps, multi-frequency class averaging, vector "
    "diffusion maps, or k-means on rotation invariants.",
)  # fmt: skip
@click.option(
    "--k-max", type=click.IntRange(min=1), metavar="K",
    help="Highest angular frequency of the graph's matrices.  [default: by the method]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), metavar="N",
    help="Rounds of search, classification and shifts.  [default: by the data]",
)  # fmt: skip
@click.option(
    "--min-class-size", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Keep views and classes of N particles or more.",
)  # fmt: skip
@comparison_options
@click.option("--plain", is_flag=True, help="Plain means, whatever the CTF.")
@click.option("--phase-flip", is_flag=True, help="Correct the phases of the CTF only.")
@click.option(
    "--ssnr", type=float, metavar="X",
    help="Signal-to-noise ratio (power) of one image for Wiener's filter, at all frequencies.  "
    "[default: by frequency, from the halves]",
)  # fmt: skip
@click.option("--recenter", is_flag=True, help="Bring the centre of mass of every average to the centre.")
@click.option("--allow-no-signal", is_flag=True, help="Exit with 0, not 3, where no consistent signal was found.")
@run_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Make class averages of PARTICLES (.star, .mrcs, .mrc, .cs) from their nearest neighbours, without references.

    Writes two products into DIR. Views: averages.mrcs + averages.star with halves and frc.star, each the average of a
    particle's neighbours, who they are in members.star (a particle may be in many views, mirrored or not). A partition
    for RELION: run_data.star, run_model.star and run_classes.mrcs, in which every particle is in one class. Also
    graph.npz, report.html, run.log and run.json.

    Exit status: 0 done, 1 failed, 2 usage, 3 done but no consistent signal found, 130/143 interrupted.
    """
    return run_command(ctx, "classavg", options)
