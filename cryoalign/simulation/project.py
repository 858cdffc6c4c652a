"""Projections of a map by the Fourier slice theorem.

A type-2 NUFFT (finufft, Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479) evaluates the exact
transform of the voxels on each slice, so that nothing is padded or interpolated. As in RELION, frequencies beyond the
Nyquist ring of the images are 0.
"""

from __future__ import annotations

import finufft
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.poses import Poses
from cryoalign.simulation.euler import euler_matrices

_ACCURACY = 1e-4
"""Relative accuracy of the transform."""


class MapProjector:
    """Projections of one map.

    Parameters
    ----------
    voxels
        Shape (D, D, D), [z, y, x], centred on voxel D // 2.
    voxel_size_angstrom
        Voxel size in A.
    """

    def __init__(self, voxels: NDArray[np.floating], voxel_size_angstrom: float) -> None:
        if voxels.ndim != 3 or len(set(voxels.shape)) != 1:
            raise ValueError(f"a map must be a cube, not {voxels.shape}")
        self._voxels = np.ascontiguousarray(voxels, dtype=np.complex64)
        self._voxel_size = float(voxel_size_angstrom)

    def project(
        self, rot_deg: ArrayLike, tilt_deg: ArrayLike, poses: Poses, box: int, pixel_size_angstrom: float
    ) -> NDArray[np.float32]:
        """Project n times, see `Projector`: sums over the voxels along the lines of sight, whatever the pixel size."""
        matrices = euler_matrices(rot_deg, tilt_deg, poses.psi)
        rows, columns = np.meshgrid(np.fft.fftfreq(box, 1.0 / box), np.arange(box // 2 + 1), indexing="ij")
        shrink = self._voxel_size / pixel_size_angstrom
        radius = np.hypot(rows, columns)
        # Within the images' Nyquist ring, and within the map's own; L // 2 as RELION has it.
        inside = (radius <= box // 2) & (radius * shrink <= 0.5 * box)
        kx, ky = columns[inside], rows[inside]
        # Radians per voxel, in the frame of the map: A^T (kx, ky, 0).
        slices = 2.0 * np.pi / box * shrink * np.einsum("nij,ip->njp", matrices[:, :2], np.stack([kx, ky]))
        # Single precision halves the time and the memory of the fine grid; its error is below the accuracy asked for.
        x, y, z = (np.ascontiguousarray(slices[:, i], dtype=np.float32).ravel() for i in range(3))
        values = finufft.nufft3d2(
            z,
            y,
            x,
            self._voxels,
            eps=_ACCURACY,
            isign=-1,
            nthreads=1,
            upsampfac=1.25,
        ).reshape(len(matrices), -1)
        # finufft counts modes from -(D // 2), so the map's centre is at 0; the image's goes to L // 2 - d.
        turns = (kx * (box // 2 - poses.dx[:, None]) + ky * (box // 2 - poses.dy[:, None])) / box
        spectrum = np.zeros((len(matrices), *inside.shape), np.complex128)
        spectrum[:, inside] = values * np.exp(-2j * np.pi * turns) * shrink**2
        return scipy.fft.irfft2(spectrum, s=(box, box), axes=(-2, -1), overwrite_x=True).astype(np.float32)
