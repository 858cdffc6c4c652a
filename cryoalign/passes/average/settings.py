"""What averages are told, whichever command makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryoalign.core.errors import InputError
from cryoalign.passes.settings import ImageSettings, ResamplingSettings

Robust = Literal["median", "winsorised", "sigma-clip"]
Treatment = Literal["wiener", "flip", "plain"]


@dataclass(frozen=True, kw_only=True)
class AverageSettings(ImageSettings, ResamplingSettings):
    """How members of classes are averaged.

    Attributes
    ----------
    plain, phase_flip, ssnr
        Treatment of the CTF: none, phases only, or (neither) weighting and Wiener's filter, with a flat SSNR of one
        image instead of the estimated one.
    robust, sigma_clip
        Robust means, and the limit of sigma-clip in standard deviations.
    recenter
        Averages brought to the centre.
    independent_halves
        Take the user's word that the halves of rlnRandomSubset were aligned apart.
    memory, block_size
        Bytes to stay within, by which the order of the work is chosen, and rows of a part.
    """

    plain: bool = False
    phase_flip: bool = False
    ssnr: float | None = None
    robust: Robust | None = None
    sigma_clip: float | None = None
    recenter: bool = False
    independent_halves: bool = False
    memory: int | None = None
    block_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_numbers("ssnr", "sigma_clip")
        self.check_choices({"robust": Robust})
        self.refuse_together(("plain", "phase_flip"), ("plain", "ssnr"), ("phase_flip", "ssnr"))
        if self.sigma_clip is not None and self.robust != "sigma-clip":
            raise InputError("--sigma-clip goes with --robust sigma-clip", value=self.sigma_clip)

    @property
    def uses_ctf(self) -> bool:
        """Whether the CTF is looked for."""
        return not self.plain

    @property
    def treatment(self) -> Treatment:
        """How images are treated before they are added."""
        return "plain" if self.plain else "flip" if self.phase_flip else "wiener"


@dataclass(frozen=True, kw_only=True)
class MembershipOptions:
    """Who is averaged with whom.

    Attributes
    ----------
    members
        A table of memberships: class and pose for images of the input, each of which may be in many classes.
    by, one_class, classes
        What makes a class: a column (None = rlnClassNumber), or everything in one; and the class numbers wanted, as
        ranges (first, last), None = all.
    weights
        A column of weights.
    """

    members: Path | None = None
    by: str | None = None
    one_class: bool = False
    classes: tuple[tuple[int, int], ...] | None = None
    weights: str | None = None
