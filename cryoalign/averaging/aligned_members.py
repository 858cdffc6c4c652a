"""Members of a class in its aligned frame: phases flipped, poses applied, and what the CTF lets through there.

A member is x = T G + noise, with G the class average and T = abs(C) in the aligned frame (C^2 where the data were
multiplied by their CTF before): the form in which members are compared with their average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import SumSettings
from cryoalign.averaging.ctf_sums import aligned_ctf, resample_with_ctf
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.filters import match_geometry
from cryoalign.core.poses import Poses


def aligned_members(
    images: NDArray[np.float32], poses: Poses, ctf: CtfParameters | None, settings: SumSettings
) -> NDArray[np.float32]:
    """Bring raw images into the aligned frame.

    Parameters
    ----------
    images
        Raw images, (n, L, L).
    poses, ctf
        Of the n images; None for C = 1.
    settings
        Geometry and interpolation; unless the treatment is "plain", phases are flipped.

    Returns
    -------
    NDArray
        float32, (n, out_box, out_box).
    """
    s = settings
    treatment = "plain" if s.treatment == "plain" else "flip"
    aligned = resample_with_ctf(
        images, poses, ctf, s.pixel_size_angstrom, treatment=treatment, intact_first_peak=s.intact_first_peak,
        interpolation=s.interpolation, edge=s.edge,
    )  # fmt: skip
    return match_geometry(aligned, s.pixel_size_angstrom, s.out_box, s.out_pixel_size_angstrom)


def member_transfer(poses: Poses, ctf: CtfParameters | None, settings: SumSettings) -> NDArray[np.float32] | None:
    """Return T of each member on the frequencies of the aligned frame, float32 (n, out_box, out_box // 2 + 1).

    None where the averages hold the CTF still (without one, "flip" and "plain"): T = 1.
    """
    if ctf is None or settings.treatment != "wiener":
        return None
    values = np.abs(
        aligned_ctf(ctf, poses, settings.out_box, settings.out_pixel_size_angstrom, settings.intact_first_peak)
    )
    values[ctf.premultiplied] **= 2
    return values
