"""`cryoalign simulate-graph`: options in, parameters out."""

from __future__ import annotations

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
  One point of the published curve: 100 nodes, all pairs, lambda 1.5; the angles
  that the published algorithm finds:
  \b
    cryoalign simulate-graph -o graph -n 100 --signal 1.5 --seed 1
    cryoalign sync graph/graph.npz -o angles --algorithm ppe --k-max 16
\b
  A large sparse graph with handedness: 100 edges a node, a fifth of them right
  to 5 degrees; as a table too:
  \b
    cryoalign simulate-graph -o large -n 20000 --degree 100 --good-share 0.2 \\
        --jitter 5 --mirrors --export csv
"""


@suite_command("simulate-graph", _EPILOG)
@output_option
@click.option(
    "--model",
    type=click.Choice(["corruption", "gaussian", "geometric", "adversarial"]),
    default="corruption",
    show_default=True,
    help="How edges go wrong; see above.",
)
@click.option(
    "-n", "--nodes", "nodes", type=click.IntRange(min=1), default=300, show_default=True, metavar="N", help="Nodes."
)
@click.option(
    "--degree", type=float, metavar="D",
    help="Edges at a node on average; with geometric its D nearest.  [default: all pairs; geometric: 20]",
)  # fmt: skip
@click.option("--edge-probability", type=float, metavar="P", help="Share of all pairs that are edges.")
@click.option(
    "--signal", type=float, metavar="LAMBDA",
    help="Share of right edges r = LAMBDA / sqrt(edges at a node), on a complete graph LAMBDA / sqrt(N).",
)  # fmt: skip
@click.option("--good-share", type=float, metavar="R", help="Share of right edges.  [default: 0.3; adversarial: 1]")
@click.option(
    "--jitter", type=float, default=0.0, show_default=True, metavar="DEG",
    help="Standard deviation of the error of right angles, in degrees.",
)  # fmt: skip
@click.option(
    "--sigma", type=float, metavar="S",
    help="Noise of gaussian, in units of sqrt(edges at a node), on a complete graph sqrt(N).  [default: 0.2]",
)  # fmt: skip
@click.option("--wrong-share", type=float, metavar="Q", help="Share of false edges of adversarial.  [default: 0.3]")
@click.option(
    "--adversary", type=click.Choice(["block", "spread"]),
    help="False edges: all those inside a group of nodes, or anywhere.  [default: block]",
)  # fmt: skip
@click.option("--mirrors", is_flag=True, help="Give nodes a handedness: half of the edges are mirrored.")
@click.option(
    "--components", type=click.IntRange(min=1), default=1, show_default=True, metavar="C",
    help="Graphs that are not joined.",
)  # fmt: skip
@click.option(
    "--shift-sd", type=float, default=0.0, show_default=True, metavar="PX",
    help="Standard deviation of the nodes' x and y shifts, in pixels.",
)  # fmt: skip
@click.option(
    "--shift-jitter", type=float, default=0.0, show_default=True, metavar="PX",
    help="Standard deviation of the error of right shifts, in pixels.",
)  # fmt: skip
@click.option(
    "--export", type=click.Choice(["csv", "star"]), multiple=True, help="Write the graph as text too; may be repeated."
)
@resume_option
@overwrite_option
@threads_option
@seed_option
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Make a graph of pairwise in-plane angles whose truth is known, for `cryoalign sync`.

    Nodes have random true angles; a right edge (i, j) holds the pose that brings j onto i. Models: corruption, other
    edges have uniform angles; gaussian, phases of a matrix with Gaussian noise; geometric, corruption between
    neighbours on a sphere; adversarial, false edges that agree with each other.

    Writes graph.npz, truth.star (the nodes), truth_edges.star (which edges are right), run.log and run.json into DIR.
    The same options and seed give the same files.
    """
    return run_command(ctx, "simulate-graph", options)
