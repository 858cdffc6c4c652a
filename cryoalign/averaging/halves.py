"""Which half of the data an image belongs to: a property of the image, never of its place in a table.

Halves are compared to tell signal from noise, so neighbouring segments of one helical tube, which share pixels, must
lie in the same half.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError


def assign_halves(
    names: Sequence[str], subset: ArrayLike | None = None, tubes: Sequence[str] | None = None
) -> NDArray[np.int8]:
    """Give each image its half.

    Parameters
    ----------
    names
        Image names such as ``000012@Extract/job001/stack.mrcs``, length n. Only the frame and the base name of the
        stack count, so that moving a project changes nothing.
    subset
        rlnRandomSubset, values 1 or 2, shape (n,); it rules where given.
    tubes
        Name of the helical tube of each image (unique over micrographs), length n: a tube stays in one half.

    Returns
    -------
    NDArray
        int8 of 0 or 1, shape (n,): ``subset - 1``, else a bit of a hash (BLAKE2b, the same everywhere).

    Raises
    ------
    InputError
        For a subset other than 1 and 2; rows count from 1.
    ValueError
        If lengths differ.
    """
    if subset is not None:
        values = np.asarray(subset)
        if len(values) != len(names):
            raise ValueError(f"{len(values)} subsets for {len(names)} images")
        wrong = np.flatnonzero(~np.isin(values, (1, 2)))
        if len(wrong):
            raise InputError("a half is 1 or 2", row=int(wrong[0]) + 1, value=values[wrong[0]].item())
        return (values - 1).astype(np.int8)
    if tubes is not None and len(tubes) != len(names):
        raise ValueError(f"{len(tubes)} tubes for {len(names)} images")
    keys = [_image_key(name) for name in names] if tubes is None else tubes
    return np.fromiter((blake2b(key.encode(), digest_size=1).digest()[0] & 1 for key in keys), np.int8, len(keys))


def _image_key(name: str) -> str:
    """Reduce an image name to its frame and the base name of its stack."""
    frame, at, stack = name.partition("@")
    if not at:
        return PurePosixPath(name).name
    # Programs pad the frame with zeros or not.
    return f"{frame.strip().lstrip('0') or '0'}@{PurePosixPath(stack.strip()).name}"
