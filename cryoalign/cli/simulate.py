"""`cryoalign simulate`: options in, parameters out."""

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
  500 particles of the built-in phantom seen from three sides, with CTF and
  coloured noise; then align them to the clean views:
  \b
    cryoalign simulate -o demo -n 500 --n-views 3 --ctf --snr 0.1
    cryoalign align demo/particles.star --reference demo/references.mrcs \\
        -o aligned
\b
  10,000 particles of a map from all sides, with the noise of a RELION run:
  \b
    cryoalign simulate -o sim --map ribosome.mrc -n 10000 --snr 0.05 --ctf \\
        --noise Refine3D/job012/run_model.star -j 8
"""


@suite_command("simulate", _EPILOG)
@output_option
@click.option(
    "--map", type=click.Path(path_type=Path), metavar="FILE", help="Map to project.  [default: a built-in phantom]"
)
@click.option("--map-angpix", type=float, metavar="A", help="Voxel size of the map.  [default: its header's]")
@click.option(
    "-n", "--count", "count", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
    help="Particles.",
)  # fmt: skip
@click.option("--box", type=click.IntRange(min=16), metavar="PX", help="Box.  [default: the map's, else 64]")
@click.option("--pixel-size", type=float, metavar="A", help="Pixel size.  [default: the map's, else 3]")
@click.option(
    "--snr", type=float, default=0.1, show_default=True, metavar="X",
    help="Variance of the clean image over the whole box, after CTF and shift, per noise variance.",
)  # fmt: skip
@click.option(
    "--shift-sd", type=float, default=2.0, show_default=True, metavar="PX",
    help="Standard deviation of x and y shifts, in pixels.",
)  # fmt: skip
@click.option(
    "--views", default="uniform", show_default=True, metavar="uniform|single|FILE",
    help="Views: all sides, one, or those of a STAR file (rlnAngleRot, rlnAngleTilt).",
)  # fmt: skip
@click.option(
    "--n-views", type=click.IntRange(min=1), metavar="K",
    help="Only K views, spread evenly.  [default: each particle its own]",
)  # fmt: skip
@click.option("--ctf/--no-ctf", default=False, show_default=True, help="Give the images a CTF.")
@click.option("--defocus-min", type=float, default=0.8, show_default=True, metavar="UM", help="Least defocus, in um.")
@click.option("--defocus-max", type=float, default=2.5, show_default=True, metavar="UM", help="Largest defocus, in um.")
@click.option(
    "--astigmatism", type=float, default=0.05, show_default=True, metavar="UM",
    help="Largest difference of defocus U and V, in um.",
)  # fmt: skip
@click.option("--voltage", type=float, default=300.0, show_default=True, metavar="KV", help="Voltage.")
@click.option("--cs", type=float, default=2.7, show_default=True, metavar="MM", help="Spherical aberration.")
@click.option(
    "--amplitude-contrast", type=float, default=0.1, show_default=True, metavar="X", help="Amplitude contrast."
)
@click.option(
    "--optics-groups", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Optics groups to deal the particles to.",
)  # fmt: skip
@click.option(
    "--stacks", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Stacks to deal the particles to, one for each micrograph.",
)  # fmt: skip
@click.option(
    "--noise", default="coloured", show_default=True, metavar="white|coloured|none|FILE",
    help="Noise; FILE is a STAR file with rlnSpectralIndex and rlnSigma2Noise, such as a model.star.",
)  # fmt: skip
@resume_option
@overwrite_option
@threads_option
@seed_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Make particles whose poses, views, CTF and noise are known.

    Each particle is a view of the map, rotated by -psi and then displaced by -d, so that (psi, d) is the pose that
    brings it back, in RELION's sense. Writes particles.mrcs + particles.star (poses 0), truth.star (true poses),
    references.mrcs + references.star (the clean views, where there are K of them), run.log and run.json into DIR.

    With noise its variance is 1 and the signal is scaled; without noise images keep the map's scale. The same options
    and seed give the same files.
    """
    return run_command(ctx, "simulate", options)


simulate = command
