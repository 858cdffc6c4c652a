"""Hand-written digits turned, shifted and made noisy, and deformed blobs: truth for the measures.

Seven digits of the MNIST test set, padded from 28 to 65 pixels. The reference is the digit nearest the class mean; the
others follow in the order of the file. Poses and noise are made here, by cubic splines of scipy.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BOX = 65
DIGITS = (2, 3, 4, 5, 6, 7, 9)
PER_DIGIT = 200


@dataclass(frozen=True)
class Group:
    """Images of one reference: float32 (n, L, L) and (L, L), angles in degrees and shifts in pixels, (n,)."""

    reference: NDArray
    images: NDArray
    psi: NDArray
    dx: NDArray
    dy: NDArray


def read_digits(folder: Path) -> tuple[NDArray, NDArray]:
    """Return pixels (10000, 28, 28) in [0, 1] and labels."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28) / 255.0
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return pixels, labels


def padded(pixels: NDArray) -> NDArray:
    """Put (n, 28, 28) into the middle of boxes of 65 pixels."""
    edge = (BOX - 28) // 2
    return np.pad(pixels, ((0, 0), (edge, BOX - 28 - edge), (edge, BOX - 28 - edge)))


def posed(images: NDArray, psi: NDArray, dx: NDArray, dy: NDArray) -> NDArray:
    """Render image(q) = original(R(psi) (q + d)) by cubic splines."""
    result, centre = np.empty(images.shape, np.float32), images.shape[-1] // 2
    for i, image in enumerate(images):
        c, s = np.cos(np.deg2rad(psi[i])), np.sin(np.deg2rad(psi[i]))
        turn = np.array([[c, s], [-s, c]])  # on (y, x)
        offset = centre + turn @ (np.array([dy[i], dx[i]]) - centre)
        result[i] = ndimage.affine_transform(image, turn, offset, order=3)
    return result


def groups(folder: Path, seed: int, *, first: int = 0, count: int = PER_DIGIT, shift_px: float = 0.0) -> list[Group]:
    """Turn ``count`` others of each digit from the ``first`` on by whole degrees; shift each axis by +-``shift_px``."""
    pixels, labels = read_digits(folder)
    rng, result = np.random.default_rng(seed), []
    for digit in DIGITS:
        own = pixels[labels == digit]
        middle = np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=(1, 2)))
        others = padded(np.delete(own, middle, axis=0)[first : first + count])
        psi = rng.integers(0, 360, len(others)).astype(float)
        dx, dy = shift_px * rng.choice([-1.0, 1.0], (2, len(others)))
        reference = padded(own[middle : middle + 1])[0].astype(np.float32)
        result.append(Group(reference, posed(others, psi, dx, dy), psi, dx, dy))
    return result


def noisy(clean: list[Group], snr: float, seed: int) -> tuple[list[Group], float]:
    """Add white noise: SNR is the images' variance over the frame over that of the noise. Also its variance."""
    rng = np.random.default_rng(seed)
    variance = float(np.concatenate([g.images for g in clean]).var(axis=(1, 2)).mean() / snr)
    result = []
    for g in clean:
        images = g.images + np.sqrt(variance) * rng.normal(size=g.images.shape)
        result.append(Group(g.reference, images.astype(np.float32), g.psi, g.dx, g.dy))
    return result, variance


def blobs(box: int, x: NDArray, y: NDArray, width: NDArray, height: NDArray, psi: float = 0.0) -> NDArray:
    """Render image(q) = sum of Gaussians at R(psi) q, float32."""
    offset = np.arange(box) - box // 2
    qy, qx = np.meshgrid(offset, offset, indexing="ij")
    c, s = np.cos(np.deg2rad(psi)), np.sin(np.deg2rad(psi))
    total = np.zeros((box, box))
    for bx, by, w, h in zip(x, y, width, height, strict=True):
        total += h * np.exp(-((c * qx - s * qy - bx) ** 2 + (s * qx + c * qy - by) ** 2) / (2 * w**2))
    return total.astype(np.float32)


def jittered(seed: int, molecules: int = 20, copies: int = 20) -> list[Group]:
    """Eight blobs of a molecule, each moved by 5 px (standard deviation along each axis), turned at random."""
    rng, result = np.random.default_rng(seed), []
    for _ in range(molecules):
        r, a = 18 * np.sqrt(rng.random(8)), 2 * np.pi * rng.random(8)
        x, y, width, height = r * np.cos(a), r * np.sin(a), np.full(8, 1.5), rng.uniform(0.5, 1.5, 8)
        psi, still = rng.uniform(-180, 180, copies), np.zeros(copies)
        moved = [
            blobs(BOX, x + 5 * rng.normal(size=8), y + 5 * rng.normal(size=8), width, height, angle) for angle in psi
        ]
        result.append(Group(blobs(BOX, x, y, width, height), np.array(moved), psi, still, still))
    return result


def head_and_tail() -> Group:
    """Two blobs of unequal width that move apart, turned by 75 degrees."""
    width, height = np.array([4.0, 3.0]), np.ones(2)
    reference = blobs(96, np.array([14.0, -14.0]), np.zeros(2), width, height)
    moved = blobs(96, np.array([24.0, -12.0]), np.array([4.0, -3.0]), width, height, 75.0)
    return Group(reference, moved[None], np.array([75.0]), np.zeros(1), np.zeros(1))
