"""`cryoalign align`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.alignment.names import STRATEGIES
from cryoalign.cli.comparison_options import MeasureChoice
from cryoalign.cli.options import (
    LateChoice,
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
  Align the particles of a RELION project to two-dimensional references,
  150 A mask, shifts up to 20 A, on 8 threads:
  \b
    cryoalign align Extract/job010/particles.star \\
        --reference Select/job020/class_averages.mrcs \\
        -o Aligned --mask-diameter 150 --max-shift 20 -j 8
\b
  From given references to averages with a resolution, in halves that never meet:
  \b
    cryoalign align Extract/job010/particles.star \\
        --reference Select/job020/class_averages.mrcs -o Refined --halves
\b
  Without any reference: particles that show one side, or few (here four):
  \b
    cryoalign align Extract/job010/particles.star -o Found \\
        --strategy synchronized --classes 4 --max-shift 20
\b
  Align a bare stack of dark particles at 1.3 A per pixel, and write poses only:
  \b
    cryoalign align stack.mrcs --reference template.mrc -o out \\
        --angpix 1.3 --invert --no-write-stack
"""


@suite_command("align", _EPILOG)
@particles_options
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="One or many references: .mrc, .mrcs, or a .star that lists them.  [required, but with synchronized]",
)
@click.option(
    "--strategy",
    type=LateChoice(lambda: STRATEGIES),
    default="references",
    show_default=True,
    help="Align to --reference, or to averages that the particles make: angles between neighbours put into one frame.",
)
@click.option(
    "--classes",
    type=click.IntRange(min=1),
    metavar="K",
    help="With synchronized, how many averages: views to be told apart.  [default: 1]",
)
@output_option
@mask_diameter_option
@click.option("--ctf/--no-ctf", default=True, help="Take the CTF into account.  [default: where the metadata allow]")
@ctf_intact_first_peak_option
@click.option("--whiten/--no-whiten", default=True, help="Weight by the noise spectrum.  [default: whiten]")
@click.option(
    "--noise-group",
    type=click.Choice(["optics", "micrograph"]),
    default="optics",
    show_default=True,
    help="Particles that share a noise spectrum.",
)
@click.option("--lowpass", type=float, metavar="A", help="Use nothing finer than this.")
@click.option("--highpass", type=float, metavar="A", help="Use nothing coarser than this.")
@click.option("--max-shift", type=float, metavar="A", help="Largest shift from the input origin.")
@click.option("--max-shift-px", type=float, metavar="PX", help="The same in pixels.  [default: box / 12]")
@click.option(
    "--metric",
    type=MeasureChoice("weighted"),
    default="weighted",
    show_default=True,
    help="Measure by which references and poses are found; weighted: by CTF and noise.  See docs/metrics.md.",
)
@click.option(
    "--local",
    type=float,
    metavar="DEG",
    help="Search psi only within DEG of rlnAnglePsiPrior, else rlnAnglePsi.  [default: full circle]",
)
@click.option("--local-flip", is_flag=True, help="With --local, also round psi + 180 (filaments).")
@click.option(
    "--mirror/--no-mirror", default=False, show_default=True, help="Search mirrored images too; not with --local."
)
@click.option("--fast", is_flag=True, help="Search fewer candidates.")
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rounds; later ones align to the averages of the last.  [default: 1; 5 with --halves or synchronized]",
)
@click.option(
    "--halves/--no-halves",
    default=None,
    help="Refine two halves that never meet, each on its own averages, for a resolution that can be trusted.  "
    "[default: with more than one round]",
)
@click.option(
    "--initial-lowpass",
    type=float,
    metavar="A",
    help="With --halves, use the given references to this resolution only.  [default: their box in A / 8]",
)
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Test on detail that took no part in the alignment whether the particles hold what the references show; "
    "exit status 3 if they do not.",
)
@click.option(
    "--null-test",
    is_flag=True,
    help="Align as many images of pure noise to the references too, and show their averages.",
)
@click.option("--resize-reference", is_flag=True, help="Bring references to the particles' box and pixel size.")
@click.option(
    "--write-stack/--no-write-stack", default=True, show_default=True, help="Write the aligned particles too."
)
@resampling_options
@click.option(
    "--normalize-stack/--no-normalize-stack",
    default=False,
    show_default=True,
    help="Write aligned particles normalised; else as they are on disk.",
)
@click.option("--allow-no-signal", is_flag=True, help="Exit with 0, not 3, where no consistent signal was found.")
@run_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Align PARTICLES (.star, .mrcs, .mrc, .cs) in plane to references, and write them so that RELION reads them.

    Every rotation and every shift in range is searched against every reference. Writes particles.star with the new
    poses, aligned.mrcs + aligned.star, averages.mrcs + averages.star, averages_half1.mrcs, averages_half2.mrcs,
    frc.star, report.html, run.log and run.json into DIR. A resolution is given with --halves only.

    Exit status: 0 done, 1 failed, 2 usage, 3 done but no consistent signal found (see --guard), 130/143 interrupted.
    """
    return run_command(ctx, "align", options)
