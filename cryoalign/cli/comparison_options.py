"""Options of the commands that compare particles with each other: `rid-distance` and `classavg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cryoalign.cli.options import LateChoice, ctf_intact_first_peak_option, mask_diameter_option, together
from cryoalign.metrics.names import measure_names, ranking_names

Decorator = Callable[[Any], Any]
COMPONENTS = ("steerable-pca", "fourier-bessel")


class MeasureChoice(LateChoice):
    """Names of measures.

    Parameters
    ----------
    *others
        Names that can be chosen besides, before them.
    rankings
        Whether what ranks images without aligning them can be chosen too.
    """

    def __init__(self, *others: str, rankings: bool = False) -> None:
        super().__init__(lambda: (*others, *(ranking_names() if rankings else measure_names())))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name that was chosen; what only ranks is told from a name that is unknown."""
        if value in ranking_names() and value not in self.choices:
            self.fail(f"{value} only ranks images, for rid-distance: it does not align them.", param, ctx)
        return super().convert(value, param, ctx)


neighbours_option = click.option(
    "-k", "k", type=click.IntRange(min=1), metavar="K", help="Neighbours of each particle.  [default: 50]"
)
_components = click.option(
    "--metric",
    type=click.Choice(COMPONENTS),
    default="steerable-pca",
    show_default=True,
    help="What is compared: the components that stand above the noise, or all.",
)
_components_or_measure = click.option(
    "--metric",
    type=MeasureChoice(*COMPONENTS, rankings=True),
    default="steerable-pca",
    show_default=True,
    help="What is compared: the components that stand above the noise, or all; or clean images themselves, by a "
    "measure of docs/metrics.md.",
)
_whiten = click.option("--whiten/--no-whiten", default=True, help="Weight by the noise spectrum.  [default: whiten]")
_whiten_components = click.option(
    "--whiten/--no-whiten",
    default=None,
    help="Weight by the noise spectrum.  [default: whiten; not where images themselves are compared]",
)
_downsample = click.option(
    "--downsample",
    type=click.IntRange(min=16),
    default=32,
    show_default=True,
    metavar="PX",
    help="Compare at so many pixels; smaller boxes stay as they are.",
)
_downsample_less = click.option(
    "--downsample",
    type=click.IntRange(min=16),
    metavar="PX",
    help="Compare at so many pixels; smaller boxes stay as they are.  [default: 32; 64 for images themselves]",
)


def _comparison(metric: Decorator, whiten: Decorator, downsample: Decorator) -> Decorator:
    return together(
        click.option(
            "--score",
            type=click.Choice(["llr", "euclidean"]),
            default="llr",
            show_default=True,
            help="Compare by likelihood ratio (the same image, or two that have nothing in common), or by distance.",
        ),
        metric,
        click.option(
            "--mirror/--no-mirror", default=True, show_default=True, help="Mirrored views count as neighbours."
        ),
        click.option(
            "--shifts/--no-shifts", default=True, show_default=True, help="Search shifts between particles too."
        ),
        click.option(
            "--shift-sd",
            type=float,
            metavar="PX",
            help="Standard deviation of either coordinate of the particles' centres, in their pixels.  "
            "[default: from the data]",
        ),
        click.option(
            "--candidates",
            type=click.IntRange(min=0),
            metavar="N",
            help="Particles that are compared exactly with each one; 0 = all.  [default: by the number of particles]",
        ),
        mask_diameter_option,
        click.option("--ctf/--no-ctf", default=True, help="Undo the CTF's sign.  [default: where the metadata allow]"),
        ctf_intact_first_peak_option,
        whiten,
        click.option(
            "--noise-group",
            type=click.Choice(["optics", "micrograph"]),
            default="optics",
            show_default=True,
            help="Particles that share a noise spectrum.",
        ),
        downsample,
    )


comparison_options = _comparison(_components, _whiten, _downsample)
"""Of commands that compare components."""
distance_options = _comparison(_components_or_measure, _whiten_components, _downsample_less)
"""Of `rid-distance`, which compares images too."""
