"""`cryoalign select`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.cli.options import (
    json_option,
    output_option,
    overwrite_option,
    particle_tables_options,
    resume_option,
    run_command,
    seed_option,
    suite_command,
    threads_option,
    verbosity_options,
)

_EPILOG = """\b
Examples:
  Good particles of classes 1, 3 and 5 to 8 of an alignment:
  \b
    cryoalign select Aligned/particles.star -o Good --classes 1,3,5-8 \\
        --min-score 0.12 --good-flags
\b
  One particle where several were picked within 100 A, then 10,000 at random:
  \b
    cryoalign select Extract/job010/particles.star -o Sample \\
        --min-distance 100 --random 10000 --seed 1
"""


@suite_command("select", _EPILOG)
@particle_tables_options
@output_option
@click.option("--classes", metavar="LIST", help="Keep these classes, such as 1,3,5-8.")
@click.option("--exclude-classes", metavar="LIST", help="Remove these classes.")
@click.option(
    "--classes-from", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep the classes chosen in FILE: RELION's backup_selection.star, or any table with rlnClassNumber.",
)  # fmt: skip
@click.option("--min-class-size", type=click.IntRange(min=1), metavar="N", help="Keep classes of N particles or more.")
@click.option("--min-class-quality", type=float, metavar="X", help="Keep classes of this cryoalignQuality or more.")
@click.option(
    "--max-class-resolution", type=float, metavar="A", help="Keep classes with this rlnEstimatedResolution or better."
)
@click.option(
    "--class-where", multiple=True, metavar="CONDITION", help="Keep classes by any column of the class table."
)
@click.option(
    "--class-table", type=click.Path(path_type=Path), metavar="FILE",
    help="Table with a row for each class.  [default: averages.star beside the particles, or RELION's model.star]",
)  # fmt: skip
@click.option(
    "--where", multiple=True, metavar="CONDITION",
    help="Keep particles by any column, such as \"rlnDefocusU < 20000\"; operators >= <= > < == !=.",
)  # fmt: skip
@click.option("--min-score", type=float, metavar="X", help="Keep cryoalignScore of X or more.")
@click.option("--max-psi-error", type=float, metavar="DEG", help="Keep cryoalignPsiError of DEG or less.")
@click.option("--max-shift-error", type=float, metavar="A", help="Keep cryoalignShiftError of A or less.")
@click.option("--good-flags", is_flag=True, help="Keep cryoalignFlag 0.")
@click.option("--unique", is_flag=True, help="Keep one row of each image.")
@click.option(
    "--min-distance", type=float, metavar="A",
    help="Of centres within A of each other on a micrograph, keep the best.",
)  # fmt: skip
@click.option(
    "--coordinate-angpix", type=float, metavar="A",
    help="Pixel size of rlnCoordinateX and Y.  [default: from the metadata, where they are clear]",
)  # fmt: skip
@click.option("--best", metavar="N|P%", help="Keep the best N, or P percent, of what is left.")
@click.option(
    "--rank-by", metavar="COLUMN", help="What makes a particle better than another.  [default: cryoalignScore]"
)
@click.option("--rank-lowest", is_flag=True, help="The lowest value of --rank-by is the best.")
@click.option("--random", metavar="N|P%", help="Keep a random N, or P percent, of what is left; comes last.")
@click.option("--invert-selection", is_flag=True, help="Keep what would be removed.")
@json_option
@seed_option
@resume_option
@overwrite_option
@threads_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Keep some of PARTICLES (.star, .cs, .mrcs, .mrc): every criterion must hold.

    Writes particles.star with the rows kept, as they were and in their order, removed.star with the others and the
    criterion that removed each, run.log and run.json into DIR, and how many went by which criterion to stdout. The
    images are not read and may be absent.

    Criteria apply in the order of this list: classes, conditions, duplicates, the best, a random sample.
    """
    return run_command(ctx, "select", options)
