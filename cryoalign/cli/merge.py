"""`cryoalign merge`: finish a run whose parts were done one by one."""

from __future__ import annotations

from pathlib import Path

import click

from cryoalign.cli.options import (
    suite_command,
    threads_option,
    typed_words,
    verbosity,
    verbosity_options,
)

_EPILOG = """\b
Examples:
  A job array of four tasks on a cluster, then the rest:
  \b
    cryoalign align particles.star --reference refs.mrcs -o out --part 1/4
    ... 2/4, 3/4, 4/4, in any order, at the same time if you like
    cryoalign merge out
\b
  The same under SLURM:
  \b
    sbatch --array=1-4 --wrap 'cryoalign align particles.star \\
        --reference refs.mrcs -o out --part $SLURM_ARRAY_TASK_ID/4'
    cryoalign merge out
"""


@suite_command("merge", _EPILOG)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@threads_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, directory: Path, threads: int | None, verbose: int, quiet: bool) -> int:
    """Finish the run in DIR once all its parts are done: same files as from one process.

    Run it where the parts were run. Names the parts that are missing.
    """
    from cryoalign.jobs.merge import run_merge
    from cryoalign.runs.cpus import available_cpus

    return run_merge(
        directory,
        argv=typed_words(ctx),
        threads=threads or available_cpus(),
        verbosity=verbosity(verbose, quiet),
    )
