"""The built-in particle as a map: what projections of voxels are compared with its closed form by."""

from __future__ import annotations

import numpy as np


def phantom_map(phantom, box, pixel_size_angstrom):
    """Render a phantom as a map, float32 of shape (box, box, box), [z, y, x], centred on box // 2."""
    offset = np.arange(box) - box // 2
    width = phantom.width_angstrom[:, None] / pixel_size_angstrom
    along = [
        np.exp(-0.5 * ((offset - p[:, None] / pixel_size_angstrom) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
        for p in phantom.position_angstrom.T
    ]
    return np.einsum("a,az,ay,ax->zyx", phantom.weight, *along[::-1], optimize=True).astype(np.float32)
