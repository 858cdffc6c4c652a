"""Seven digits of the MNIST test set, turned and shifted by cubic splines of scipy: truth that is not the package's."""

from __future__ import annotations

import gzip

import numpy as np
from scipy import ndimage

BOX = 65
DIGITS = (2, 3, 4, 5, 6, 7, 9)


def read_digits(folder):
    """Return pixels, float64 (10000, 28, 28) in [0, 1], and labels from the idx files of a folder."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28) / 255.0
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return pixels, labels


def padded(pixels):
    """Put (n, 28, 28) into the middle of boxes of 65 pixels."""
    edge = (BOX - 28) // 2
    return np.pad(pixels, ((0, 0), (edge, BOX - 28 - edge), (edge, BOX - 28 - edge)))


def posed(images, psi, dx, dy):
    """Render image(q) = original(R(psi) (q + d)) by cubic splines, float32."""
    result, centre = np.empty(images.shape, np.float32), images.shape[-1] // 2
    for i, image in enumerate(images):
        c, s = np.cos(np.deg2rad(psi[i])), np.sin(np.deg2rad(psi[i]))
        turn = np.array([[c, s], [-s, c]])  # on (y, x)
        offset = centre + turn @ (np.array([dy[i], dx[i]]) - centre)
        result[i] = ndimage.affine_transform(image, turn, offset, order=3)
    return result


def sets(folder, count, seed, shift_px=0.0, first=0):
    """Return (reference, images, psi, dx, dy) for each digit: the digit nearest the class mean, and others, posed.

    Angles are whole degrees; each axis is shifted by plus or minus ``shift_px``.
    """
    pixels, labels = read_digits(folder)
    rng, result = np.random.default_rng(seed), []
    for digit in DIGITS:
        own = pixels[labels == digit]
        middle = np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=(1, 2)))
        others = padded(np.delete(own, middle, axis=0)[first : first + count])
        psi = rng.integers(0, 360, len(others)).astype(float)
        dx, dy = shift_px * rng.choice([-1.0, 1.0], (2, len(others)))
        reference = padded(own[middle : middle + 1])[0].astype(np.float32)
        result.append((reference, posed(others, psi, dx, dy), psi, dx, dy))
    return result


def apart(a, b):
    """Return the absolute difference of angles in degrees."""
    return np.abs((np.asarray(a) - b + 180.0) % 360.0 - 180.0)
