"""`cryoalign check`: options in, parameters out; results on stdout, talk on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cryoalign.cli.options import (
    mask_diameter_option,
    overwrite_option,
    particle_tables_options,
    suite_command,
    threads_option,
    typed_words,
    verbosity,
    verbosity_options,
)

_EPILOG = """\b
Examples:
  Whether particles and references are fit to be aligned:
  \b
    cryoalign check particles.star --reference refs.mrcs
\b
  A stack without metadata made into particles that RELION reads:
  \b
    cryoalign check stack.mrc --angpix 1.06 --voltage 300 --cs 2.7 \\
        --amplitude-contrast 0.1 --fix Repaired
"""


@suite_command("check", _EPILOG)
@particle_tables_options
@click.option(
    "--reference", "references", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Reference images that the particles are to be aligned to.",
)  # fmt: skip
@click.option(
    "--graph", "graphs", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Graph or table of edges between the particles; a .npz among PARTICLES is one too.",
)  # fmt: skip
@click.option(
    "--pixels", type=click.Choice(["all", "sample", "none"]), default="sample", show_default=True,
    help="Which images are looked at.",
)  # fmt: skip
@mask_diameter_option
@click.option("--voltage", type=float, metavar="KV", help="Voltage of all optics groups, overriding the metadata.")
@click.option("--cs", type=float, metavar="MM", help="Spherical aberration of all optics groups.")
@click.option("--amplitude-contrast", type=float, metavar="Q", help="Amplitude contrast of all optics groups.")
@click.option("--fix", type=click.Path(path_type=Path), metavar="DIR", help="Write a repaired copy into DIR.")
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Write all that was found as JSON.")
@threads_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, verbose: int, quiet: bool, **options: Any) -> int:
    """Tell everything that is wrong with PARTICLES (.star, .mrcs, .mrc, .cs), at once, before a run is started.

    Reads what a run would read: tables, headers, a sample of the images. Names every problem with file, row, value and
    what to do; says whether images are normalised and particles bright, and which images stand out. Writes nothing
    without --fix.

    Exit status: 0 nothing that a run would refuse, 1 something, 2 usage.
    """
    from cryoalign.core.errors import InputError
    from cryoalign.jobs.check.job import run_check
    from cryoalign.jobs.check.parameters import CheckParameters
    from cryoalign.runs.cpus import available_cpus

    options["threads"] = options["threads"] or available_cpus()
    options["inputs"] = (*options.pop("particles"), *options.pop("more_particles"))
    try:
        parameters = CheckParameters(**options)
    except InputError as error:
        raise click.UsageError(str(error), ctx) from None
    talks = verbosity(verbose, quiet) >= 0
    reports = run_check(parameters, typed_words(ctx), lambda text: click.echo(text, err=True) if talks else None)
    if as_json:
        found = reports[0].to_json() | ({} if len(reports) < 2 else {"repaired": reports[1].to_json()})
        click.echo(json.dumps(found, indent=2))
    else:
        for report in reports:
            click.echo("\n".join(report.lines()))
    return reports[-1].exit_status
