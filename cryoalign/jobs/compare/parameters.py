"""Everything that `cryoalign compare` can be told, checked once; the defaults are the command's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryoalign.core.errors import InputError
from cryoalign.jobs.compare.named import named_image
from cryoalign.metrics.names import measure_class, measure_names
from cryoalign.runs.parameters import RunOptions
from cryoalign.runs.reads import Reads

EXPORTS = ("csv",)


@dataclass(frozen=True, kw_only=True)
class CompareParameters(RunOptions):
    """Parameters of one comparison.

    Attributes
    ----------
    a, b
        References and images: a file of images (.mrc, .mrcs, .star, .cs), or one image of it as ``N@FILE``.
    metric
        Names of measures, in the order wanted; empty = all that need no extra.
    max_shift, max_shift_px
        Largest shift, in A or in pixels; both None = box / 12.
    mirror
        Search mirrored images too.
    scale, scale_limit
        Search an isotropic scale too, from 1 / limit to the limit, round the ratio of the pixel sizes.
    mask_diameter
        Of the disc that is compared, in A; None = 0.8 of the box.
    ctf
        Undo the signs of the CTF in A and B, where the metadata allow.
    noise
        Measure the noise outside the mask, for the measures that filter by it; else images count as clean.
    angpix
        Pixel size of A and B in A, overriding the files.
    datadir
        Folder that image names in STAR files start from.
    invert
        Negate the pixels of B.
    normalize
        Take plane, level and scale of the background of particles off, and replace hot pixels, as they are read.
    apply_mag_matrix
        Correct particles by the magnification matrices of their optics table.
    all_pairs
        Every image of A against every image of B.
    by_class
        Each image of B against the image of A that its rlnClassNumber counts.
    check_poses
        Judge the poses that B came with, too.
    resize_reference
        Bring A to the box and the pixel size of B.
    pictures
        Pairs that are drawn.
    export
        Further forms of the table: csv.
    as_json
        Results on standard output for a program.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    a: str
    b: str
    metric: tuple[str, ...] = ()
    max_shift: float | None = None
    max_shift_px: float | None = None
    mirror: bool = False
    scale: bool = False
    scale_limit: float = 1.25
    mask_diameter: float | None = None
    ctf: bool = True
    noise: bool = True
    angpix: float | None = None
    datadir: Path | None = None
    invert: bool = False
    normalize: bool = True
    apply_mag_matrix: bool = False
    all_pairs: bool = False
    by_class: bool = False
    check_poses: bool = False
    resize_reference: bool = False
    pictures: int = 3
    export: tuple[str, ...] = ()
    as_json: bool = False

    command: ClassVar[str] = "compare"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.refuse_together(("max_shift", "max_shift_px"), ("all_pairs", "by_class"), ("check_poses", "scale"))
        for name in self.metric:
            measure_class(name)  # refuses names that are not known
        object.__setattr__(self, "metric", tuple(dict.fromkeys(self.metric)))
        object.__setattr__(self, "export", tuple(kind for kind in EXPORTS if kind in self.export))
        self.check_numbers("mask_diameter", "angpix")
        self.check_numbers("max_shift", "max_shift_px", "pictures", at_least=0)
        if not 1.0 < self.scale_limit <= 4.0:
            raise InputError("--scale-limit must be above 1 and at most 4", value=self.scale_limit)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measures that are used."""
        return self.metric or tuple(name for name in measure_names() if measure_class(name).needs_extra is None)

    def reads(self) -> Reads:
        """Return what is read: the images of A and of B."""
        return Reads(images=(named_image(self.a)[1], named_image(self.b)[1]), datadir=self.datadir)
