"""Anisotropic magnification undone: images as they would be had all directions been magnified alike.

With the matrix M of an optics group (rlnMagMat00, 01, 10, 11), RELION takes the frequency k of an image for the
frequency M k of what it shows, evaluates the CTF there, and counts origins in the pixels of the stored image:

    F_stored(k) = CTF(M k) exp(2 pi i k d / N) F_reference(R(psi) M k)

J. Zivanov, T. Nakane, S. H. W. Scheres, "Estimation of high-order aberrations and anisotropic magnification from
cryo-EM data sets in RELION-3.1", IUCrJ 7 (2020). So F_corrected(q) = F_stored(M^-1 q), which in pixels is
corrected(x) = |det M| stored(M^T x), x from the centre pixel N // 2. The CTF of a corrected image is CTF(q), with the
same parameters, its origin M^-T d, its angle psi.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses


def correct_magnification(images: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return corrected images.

    Parameters
    ----------
    images
        As stored, float32 of shape (n, L, L), L >= 8, even or odd.
    matrix
        M, shape (2, 2), acting on (x, y).

    Returns
    -------
    ndarray
        float32 of shape (n, L, L). The trigonometric polynomial of each image is evaluated to 3e-4 of its norm, so that
        what lies beyond an edge comes from the opposite one. Nothing is left outside the Nyquist disc, of the image
        as stored and as corrected: no frequency is folded back. Each image is corrected by itself, so that no bit
        depends on the others.
    """
    # Imported here: tables are read and written without any compiled code.
    from cryoalign.core.resample.fourier import fourier_resample_into, gain_frequencies

    images = np.ascontiguousarray(images, dtype=np.float32)
    corrected = np.empty_like(images)
    kx, ky = gain_frequencies(images.shape[-1])
    qx, qy = matrix[0, 0] * kx + matrix[0, 1] * ky, matrix[1, 0] * kx + matrix[1, 1] * ky
    gain = np.where(qx**2 + qy**2 < 0.25, abs(np.linalg.det(matrix)), 0.0).astype(np.float32)
    # Where the corrected image's offset (x, y) lies in the stored one: M^T (x, y).
    lookup = np.array([matrix[0, 0], matrix[1, 0], 0.0, matrix[0, 1], matrix[1, 1], 0.0])
    fourier_resample_into(
        corrected,
        images,
        np.broadcast_to(lookup, (len(images), 6)),
        "wrap",
        np.broadcast_to(gain, (len(images), *gain.shape)),
    )
    return corrected


def corrected_poses(poses: Poses, matrices: NDArray[np.float64]) -> Poses:
    """Return the poses that corrected images have where the stored ones have these.

    Parameters
    ----------
    poses
        Of n images as stored.
    matrices
        M of each, shape (n, 2, 2).
    """
    return _with_shifts(poses, np.asarray(np.linalg.inv(matrices), np.float64))


def stored_poses(poses: Poses, matrices: NDArray[np.float64]) -> Poses:
    """Return the poses of the images as stored: what `corrected_poses` undoes; same parameters."""
    return _with_shifts(poses, matrices)


def _with_shifts(poses: Poses, matrices: NDArray[np.float64]) -> Poses:
    """Multiply shifts by the transposed matrices. A flipped image has the matrix F M F: its mirror comes first."""
    sign = np.where(poses.mirror, -1.0, 1.0)
    m = matrices
    dx = m[:, 0, 0] * poses.dx + sign * m[:, 1, 0] * poses.dy
    dy = sign * m[:, 0, 1] * poses.dx + m[:, 1, 1] * poses.dy
    return Poses(poses.psi, dx, dy, poses.mirror)
