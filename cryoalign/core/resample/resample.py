"""Apply poses to pixels: one resampling from the raw image, whatever the interpolation.

The geometry is that of :class:`cryoalign.core.poses.Poses`: ``aligned(c + R(psi)(F^m q + d)) = image(c + q)`` with the
centre pixel c = N // 2. Every output pixel is looked up in the raw image at the point that the pose carries onto it.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses

Interpolation = Literal["fourier", "nearest", "linear", "cubic", "quintic"]
Edge = Literal["wrap", "mirror", "zero", "mean"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
EDGES: tuple[str, ...] = get_args(Edge)


def sampling_matrices(poses: Poses) -> NDArray[np.float64]:
    """Return where output pixels come from: the inverse of each pose as an affine map of offsets from the centre.

    Returns
    -------
    ndarray
        Shape (n, 6) float64, rows (a, b, tx, c, d, ty): the output offset (x, y) is looked up at the image offset
        (a x + b y + tx, c x + d y + ty), all in pixels.
    """
    radians = np.deg2rad(poses.psi)
    cosine, sine = np.cos(radians), np.sin(radians)
    flip = np.where(poses.mirror, -1.0, 1.0)
    return np.stack([flip * cosine, flip * sine, -flip * poses.dx, -sine, cosine, -poses.dy], axis=1)


def resample(
    images: NDArray[np.float32],
    poses: Poses,
    *,
    interpolation: Interpolation = "fourier",
    edge: Edge = "wrap",
    gains: NDArray[np.float32] | None = None,
    image_of: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Apply poses to images.

    Parameters
    ----------
    images
        Raw images, float32 of shape (n, L, L), L >= 8, even or odd.
    poses
        The n poses, offsets in pixels.
    interpolation
        ``"fourier"`` zeroes everything outside the Nyquist disc and evaluates the trigonometric polynomial that is
        left, to 3e-4 of its norm: it keeps the power of every ring, and takes the share of the corners (white noise of
        variance 1 becomes pi / 4). ``"linear"`` with ``edge="zero"`` is what ``relion_stack_create
        --apply_transformation`` does. ``"cubic"`` and ``"quintic"`` are interpolating B-splines.
    edge
        What lies outside the box: ``"wrap"`` the image again, ``"mirror"`` its reflection about the outermost pixel
        centres, ``"zero"``, or ``"mean"`` the mean of the image. The last two fill the output pixels that come from
        outside the outermost pixel centres.
    gains
        For ``"fourier"`` only: what the spectrum of each image is multiplied by on the way (a CTF), float32 of shape
        (n, L, (L + 1) // 2) at :func:`cryoalign.core.resample.fourier.gain_frequencies`; symmetric about the origin.
    image_of
        Image of each pose, shape (m,), where images have several poses; then there are m poses and results. Poses of
        one image are best neighbours: what does not depend on them is done once.

    Returns
    -------
    ndarray
        The aligned images, float32 of shape (n, L, L), or (m, L, L); none depends on the others of the call.

    Raises
    ------
    ValueError
        If the shapes do not fit, a pose is not finite, or an option is unknown.
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] < 8:
        raise ValueError(f"images must have shape (n, L, L) with L of 8 or more, not {images.shape}")
    if image_of is None and len(images) != len(poses):
        raise ValueError(f"{len(images)} images but {len(poses)} poses")
    if image_of is not None and len(image_of) != len(poses):
        raise ValueError(f"image_of names {len(image_of)} images for {len(poses)} poses")
    if image_of is not None and not ((image_of >= 0) & (image_of < len(images))).all():
        raise ValueError(f"image_of names images that are not among {len(images)}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}")
    if edge not in EDGES:
        raise ValueError(f"edge must be one of {', '.join(EDGES)}, not {edge!r}")
    if gains is not None and interpolation != "fourier":
        raise ValueError("gains go with fourier interpolation only")
    if gains is not None and gains.shape != (len(images), images.shape[-1], (images.shape[-1] + 1) // 2):
        raise ValueError(f"gains of shape {gains.shape} do not fit images of shape {images.shape}")
    images = np.ascontiguousarray(images, dtype=np.float32)
    matrices = sampling_matrices(poses)
    if not np.isfinite(matrices).all():
        raise ValueError(f"pose {int(np.flatnonzero(~np.isfinite(matrices).all(axis=1))[0])} is not finite")
    aligned = np.empty((len(poses), *images.shape[1:]), np.float32)
    # Imported here: each of the two compiles its kernels when it is first used.
    if interpolation == "fourier":
        from cryoalign.core.resample.fourier import fourier_resample_into

        fourier_resample_into(aligned, images, matrices, edge, gains, image_of)
    else:
        from cryoalign.core.resample.spline import spline_resample_into

        degree = {"nearest": 0, "linear": 1, "cubic": 3, "quintic": 5}[interpolation]
        spline_resample_into(aligned, images if image_of is None else images[image_of], matrices, edge, degree=degree)
    return aligned
