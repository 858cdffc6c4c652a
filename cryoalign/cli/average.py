"""`cryoalign average`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.cli.options import (
    ctf_intact_first_peak_option,
    mask_diameter_option,
    output_option,
    particles_options,
    resampling_options,
    run_command,
    run_options,
    suite_command,
)

_EPILOG = """\b
Examples:
  CTF-weighted averages of the classes of a RELION project, on 8 threads:
  \b
    cryoalign average Class2D/job012/run_it025_data.star -o Averages -j 8
\b
  Classes 1, 3 and 5 to 8 of an alignment, brought to the centre, with maps
  of their variance:
  \b
    cryoalign average Aligned/particles.star -o Centred \\
        --classes 1,3,5-8 --recenter --variance
"""


class ClassNumbers(click.ParamType):
    """Class numbers and ranges, as ``1,3,5-8``."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """Return ranges (first, last)."""
        if isinstance(value, tuple):
            return value
        from cryoalign.core.errors import InputError
        from cryoalign.passes.class_lists import parse_classes

        try:
            return parse_classes(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


@suite_command("average", _EPILOG)
@particles_options
@output_option
@click.option("--by", metavar="COLUMN", help="Column that makes the classes.  [default: rlnClassNumber]")
@click.option("--all", "one_class", is_flag=True, help="Average everything in one class.")
@click.option("--classes", type=ClassNumbers(), metavar="LIST", help="Average these classes only, such as 1,3,5-8.")
@click.option(
    "--members",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Table of memberships: class and pose for images of PARTICLES, each in any number of classes.",
)
@click.option("--plain", is_flag=True, help="Plain means, whatever the CTF.")
@click.option("--phase-flip", is_flag=True, help="Correct the phases of the CTF only.")
@click.option(
    "--ssnr",
    type=float,
    metavar="X",
    help="Signal-to-noise ratio (power) of one image for Wiener's filter, at all frequencies; 1e7 does not filter.  "
    "[default: by frequency, from the halves]",
)
@ctf_intact_first_peak_option
@click.option("--weights", metavar="COLUMN", help="Column of weights, 0 and more.")
@click.option(
    "--robust", type=click.Choice(["median", "winsorised", "sigma-clip"]), help="Robust means, pixel by pixel."
)
@click.option(
    "--sigma-clip", type=float, metavar="X", help="Limit of --robust sigma-clip in standard deviations.  [default: 3]"
)
@click.option("--variance", is_flag=True, help="Write maps of the variance within each class.")
@click.option("--scale", is_flag=True, help="Estimate the intensity of every particle and allow for it.")
@click.option("--recenter", is_flag=True, help="Bring the centre of mass of every average to the centre.")
@click.option(
    "--independent-halves",
    is_flag=True,
    help="Take it that the halves of rlnRandomSubset were aligned apart: give resolutions.",
)
@mask_diameter_option
@resampling_options
@run_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Average PARTICLES (.star, .mrcs, .mrc, .cs) by class with the poses that they have.

    Images are weighted by their CTF, and the averages are Wiener-filtered by what two halves agree on. Writes
    averages.mrcs + averages.star, averages_half1.mrcs, averages_half2.mrcs, frc.star, report.html, run.log and
    run.json into DIR.

    Exit status: 0 done, 1 failed, 2 usage, 130/143 interrupted.
    """
    return run_command(ctx, "average", options)
