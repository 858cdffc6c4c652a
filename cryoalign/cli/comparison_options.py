"""Options of the commands that compare particles with each other: `rid-distance` and `classavg`."""

from __future__ import annotations

import click

from cryoalign.cli.options import ctf_intact_first_peak_option, mask_diameter_option, together

MEASURES = (
    "euclidean", "ncc", "absolute-difference", "ssd", "normalised-ssd", "correntropy", "mutual-information", "sw",
    "rfsw", "wavelet-emd", "auto",
)  # fmt: skip
"""Names of the registry of measures, which takes its time to import."""
neighbours_option = click.option(
    "-k", "k", type=click.IntRange(min=1), metavar="K", help="Neighbours of each particle.  [default: 50]"
)
comparison_options = together(
    click.option(
        "--score",
        type=click.Choice(["llr", "euclidean"]),
        default="llr",
        show_default=True,
        help="Compare by likelihood ratio (the same image, or two that have nothing in common), or by distance.",
    ),
    click.option(
        "--metric",
        type=click.Choice(["steerable-pca", "fourier-bessel"]),
        default="steerable-pca",
        show_default=True,
        help="What is compared: the components that stand above the noise, or all.",
    ),
    click.option("--mirror/--no-mirror", default=True, show_default=True, help="Mirrored views count as neighbours."),
    click.option("--shifts/--no-shifts", default=True, show_default=True, help="Search shifts between particles too."),
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
    click.option("--whiten/--no-whiten", default=True, help="Weight by the noise spectrum.  [default: whiten]"),
    click.option(
        "--noise-group",
        type=click.Choice(["optics", "micrograph"]),
        default="optics",
        show_default=True,
        help="Particles that share a noise spectrum.",
    ),
    click.option(
        "--downsample",
        type=click.IntRange(min=16),
        default=32,
        show_default=True,
        metavar="PX",
        help="Compare at so many pixels; smaller boxes stay as they are.",
    ),
)
