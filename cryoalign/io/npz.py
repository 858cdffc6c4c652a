"""Arrays in .npz files that are the same bytes every day: no pickles, no compression, no date.

``numpy.savez`` stamps the time into every member of the archive.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import IO

import numpy as np
from numpy.typing import NDArray


def write_npz(handle: IO[bytes], arrays: Mapping[str, NDArray]) -> None:
    """Write arrays in the order given; ``numpy.load`` reads them.

    Parameters
    ----------
    handle
        A binary file open for writing.
    arrays
        Name and array.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            # A member made from a bare name is of 1 January 1980.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
