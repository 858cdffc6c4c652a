"""``check`` from start to finish: read everything that a run would read, say what is wrong with it, repair a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryoalign.core.blas import one_blas_thread
from cryoalign.jobs.check.fix import write_repaired
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.pixels import look_at_pixels
from cryoalign.jobs.check.problems import Problems
from cryoalign.jobs.check.references import check_graphs, check_references
from cryoalign.jobs.check.report import CheckReport
from cryoalign.jobs.check.tables import read_tables

Say = Callable[[str], None]


@one_blas_thread()
def run_check(p: CheckParameters, argv: Sequence[str], say: Say) -> list[CheckReport]:
    """Check, and repair a copy where that was asked for and can be done.

    Parameters
    ----------
    p
        What.
    argv
        The command line as typed, for the record of the copy.
    say
        Told what goes on.

    Returns
    -------
    list
        What was found and, where a copy was written, what is left of it there.

    Raises
    ------
    InputError
        Where the folder for the copy cannot be used.
    """
    report = examine(p, say)
    if p.fix is None:
        return [report]
    if report.particles is None or report.problems.refused:
        say("no copy is written: what a run would refuse has to be mended by hand first")
        return [report]
    say(f"writing a repaired copy into {p.fix}")
    table = write_repaired(p, report.particles, report.looks, argv)
    say(f"checking {table}")
    return [report, examine(replace(p, inputs=(table,), datadir=None, fix=None, overwrite=False), say)]


def examine(p: CheckParameters, say: Say) -> CheckReport:
    """Read everything and return what was found."""
    problems = Problems()
    say("reading tables and headers")
    particles = read_tables(p, problems) if p.particles else None
    looks = []
    if particles is not None and p.pixels != "none":
        say("looking at images")
        looks = look_at_pixels(p, particles, problems)
    others = [*check_references(p, particles, problems), *check_graphs(p, particles, problems)]
    return CheckReport(problems, particles, looks, others)
