"""`cryoalign compare`: options in, parameters out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cryoalign.cli.comparison_options import MeasureChoice
from cryoalign.cli.options import (
    json_option,
    mag_matrix_option,
    mask_diameter_option,
    normalize_option,
    output_option,
    overwrite_option,
    resume_option,
    run_command,
    suite_command,
    threads_option,
    verbosity_options,
)

_EPILOG = """\b
Examples:
  Does the third class average look like the first reference, and do the
  measures agree on how it lies?
  \b
    cryoalign compare 1@references.mrcs 3@averages.mrcs -o Compared --mirror
\b
  Are these alignments right? Each particle is laid on its class at its own pose:
  \b
    cryoalign compare averages.star particles.star -o Checked --by-class \\
        --check-poses --metric ncc --metric rfsw
\b
  Averages of two microscopes, whose magnifications may differ, each with each,
  by three measures:
  \b
    cryoalign compare krios.mrcs glacios.mrcs -o Scales --scale --all-pairs \\
        --metric ncc --metric mutual-information --metric rfsw --export csv
"""


@suite_command("compare", _EPILOG)
@click.argument("a", required=False)
@click.argument("b", required=False)
@click.option("--reference", "more_a", metavar="FILE", help="A, as an option.")
@click.option("--i", "--in_parts", "more_b", metavar="FILE", help="B, as an option.")
@output_option
@click.option(
    "--metric", type=MeasureChoice(), multiple=True,
    help="A measure of docs/metrics.md; may be repeated.  [default: all that need no extra]",
)  # fmt: skip
@click.option("--all-pairs", is_flag=True, help="Each of A with each of B.  [default: one with all, else row by row]")
@click.option("--by-class", is_flag=True, help="Each of B with the image of A that its rlnClassNumber counts.")
@click.option(
    "--check-poses", is_flag=True,
    help="Judge the poses of B's table, too (without a table: as B lies): the value there, the nearest optimum, and "
    "whether a better pose lies elsewhere.",
)  # fmt: skip
@click.option("--max-shift", type=float, metavar="A", help="Largest shift.")
@click.option("--max-shift-px", type=float, metavar="PX", help="The same in pixels.  [default: box / 12]")
@click.option("--mirror/--no-mirror", default=False, show_default=True, help="Search mirrored images too.")
@click.option("--scale", is_flag=True, help="Search what B must be magnified by, too.")
@click.option(
    "--scale-limit", type=float, default=1.25, show_default=True, metavar="FACTOR",
    help="Largest magnification with --scale; its inverse is the smallest.",
)  # fmt: skip
@mask_diameter_option
@click.option(
    "--ctf/--no-ctf", default=True, help="Undo the CTF's sign in A and B.  [default: where the metadata allow]"
)
@click.option(
    "--noise/--no-noise", default=True, show_default=True,
    help="Measure noise outside the mask, for measures that filter by it; else images count as clean.",
)  # fmt: skip
@click.option("--angpix", type=float, metavar="A", help="Pixel size of A and B, overriding the files.")
@click.option(
    "--datadir", type=click.Path(path_type=Path), metavar="DIR", help="Folder that names in STAR files start from."
)
@click.option("--invert", is_flag=True, help="Negate the pixels of B (dark particles).")
@normalize_option
@mag_matrix_option
@click.option("--resize-reference", is_flag=True, help="Bring A to the box and pixel size of B.")
@click.option(
    "--pictures", type=click.IntRange(min=0), default=3, show_default=True, metavar="N",
    help="Draw N pairs under every measure: the first, with --check-poses the worst.",
)  # fmt: skip
@click.option("--export", type=click.Choice(["csv"]), multiple=True, help="Write the table as text too.")
@json_option
@resume_option
@overwrite_option
@threads_option
@verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    a: str | None,
    b: str | None,
    more_a: str | None,
    more_b: str | None,
    **options: Any,
) -> int:
    """Compare images B with images A (.mrc, .mrcs, .star, .cs; N@FILE for one of them) under several measures.

    For each pair and measure the best pose of B on A is searched. Writes compare.star (value, pose, scale and rank of
    each pair under each measure), report.html (overlay, difference, joint histogram, the measure over the angle),
    run.log and run.json into DIR, and the first rows to stdout.

    Exit status: 0 done, 1 failed, 2 usage, 130/143 interrupted.
    """
    if a is not None and b is None and (more_a is None) != (more_b is None):
        # One as an argument, the other as an option.
        a, b = (None, a) if more_a is not None else (a, None)
    for name, one, other in (("A", a, more_a), ("B", b, more_b)):
        if one is not None and other is not None:
            raise click.UsageError(f"{name} is given twice, as an argument and as an option.", ctx)
    a, b = a if a is not None else more_a, b if b is not None else more_b
    if a is None or b is None:
        raise click.UsageError("Missing images: name A and B, such as references.mrcs particles.star.", ctx)
    return run_command(ctx, "compare", {"a": a, "b": b} | options)
