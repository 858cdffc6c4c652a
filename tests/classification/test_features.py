"""Components of prepared images and of their shifted copies: what they are, and the same bytes for any threads."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.features import MAX_COMPONENTS, prepare_features
from cryoalign.classification.settings import SearchSettings
from cryoalign.core.steerable.basis import shifted_images
from helpers.blobs import random_blobs
from helpers.steerable import back, mirrored, rotated


def noisy(box, n=700, seed=31, sd_px=0.0, mirror=False):
    """Views of one particle at any angle with noise of variance 1, their shifts, and the images without noise."""
    rng = np.random.default_rng(seed)
    psi, d = rng.uniform(-180, 180, n), rng.normal(0, sd_px, (n, 2)) if sd_px else np.zeros((n, 2))
    clean = random_blobs(rng, 0.25 * box, width=(1.7, 2.5)).images(box, psi=psi, dx=d[:, 0], dy=d[:, 1], mirror=mirror)
    return (clean + rng.standard_normal(clean.shape)).astype(np.float32), psi, d, clean.astype(np.float32)


@pytest.mark.parametrize("box", [32, 33])
def test_components_are_those_of_the_image_turned_back(box):
    images, psi, _, clean = noisy(box)
    features = prepare_features(images, SearchSettings())
    assert features.coefficients.dtype == np.complex64 and len(features) == len(images)
    assert (np.diff(features.frequency) >= 0).all() and (features.eigenvalue > 0).all()
    seen = prepare_features(clean, SearchSettings(), pca=features.pca).coefficients
    unturned = rotated(seen, features.frequency, psi)
    assert np.abs(unturned - unturned[0]).max() < 0.01 * np.abs(unturned[0]).max()
    # What is left of the noisy ones is noise of variance 1.
    rest = features.coefficients - seen
    assert abs(np.mean(np.abs(rest) ** 2) - 1) < 0.05


def test_eigenvalues_are_the_variance_of_the_clean_images():
    images, _, _, clean = noisy(32, n=3000)
    features = prepare_features(images, SearchSettings())
    clean_part = prepare_features(clean, SearchSettings(), pca=features.pca).coefficients
    strong = np.flatnonzero((features.frequency > 0) & (features.eigenvalue > 0.5))
    assert len(strong) > 3
    wanted = np.mean(np.abs(clean_part[:, strong]) ** 2, axis=0)
    assert np.abs(features.eigenvalue[strong] / wanted - 1).max() < 0.15


@pytest.mark.parametrize("box", [32, 33])
def test_shifted_copies_are_those_of_moved_images(box):
    images, _, _, _ = noisy(box, n=100)
    centre = np.random.default_rng(32).normal(0, 1, (100, 2))
    features = prepare_features(images, SearchSettings(), centre)
    # One after the other: at the Nyquist frequency of even boxes two shifts are not their sum.
    moved = shifted_images(shifted_images(images, centre), (1.2, -0.5))
    wanted = prepare_features(moved, SearchSettings(), pca=features.pca).coefficients
    assert np.abs(features.shifted((1.2, -0.5)) - wanted).max() < 1e-4
    assert np.array_equal(features.shifted((0.0, 0.0)), features.coefficients)


def test_centres_bring_displaced_particles_back():
    images, psi, d, clean = noisy(32, sd_px=1.0)
    features = prepare_features(images, SearchSettings(), d)
    seen = prepare_features(clean, SearchSettings(), d, pca=features.pca).coefficients
    unturned = rotated(seen, features.frequency, psi)
    assert np.abs(unturned - unturned[0]).max() < 0.02 * np.abs(unturned[0]).max()


def test_mirrored_images_have_the_same_components_and_mirrored_coefficients():
    images, _, _, _ = noisy(33)
    features = prepare_features(images, SearchSettings())
    flipped = prepare_features(images[:, :, ::-1].copy(), SearchSettings())
    assert np.allclose(flipped.eigenvalue, features.eigenvalue, rtol=1e-3)
    same = prepare_features(images[:, :, ::-1].copy(), SearchSettings(), pca=features.pca)
    assert np.abs(same.coefficients - mirrored(features.coefficients, features.frequency)).max() < 1e-4


def test_all_fourier_bessel_components_hold_the_whole_disc():
    images, _, _, clean = noisy(32)
    features = prepare_features(images, SearchSettings(features="fourier-bessel"))
    assert len(features.frequency) == len(features.basis.frequency) > MAX_COMPONENTS
    seen = prepare_features(clean, SearchSettings(), pca=features.pca)
    held = seen.basis.synthesize(back(seen.pca, seen.coefficients))
    assert np.linalg.norm(held - clean) < 5e-3 * np.linalg.norm(clean)


def test_the_same_bytes_for_any_threads_and_from_a_file(tmp_path):
    images, _, d, _ = noisy(32, n=1300, sd_px=0.7)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    one, four = (prepare_features(x, SearchSettings(), d, threads=threads) for x, threads in ((images, 1), (mapped, 4)))
    assert np.array_equal(one.coefficients, four.coefficients)
    assert np.array_equal(one.eigenvalue, four.eigenvalue)
    assert np.array_equal(one.shifted((0.6, 0.2)), four.shifted((0.6, 0.2)))
    four.images._mmap.close()


def test_noise_alone_is_said_to_have_no_component():
    noise = np.random.default_rng(34).standard_normal((2000, 32, 32)).astype(np.float32)
    assert prepare_features(noise, SearchSettings()).pca.n_above_noise == 0
