"""The Fourier-Bessel basis: orthonormal on pixels, and right about Gaussian blobs at any pose."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.core.steerable.basis import multiplicity, plan_basis, shifted_images
from cryoalign.simulation.phantom import built_in_phantom
from helpers.blobs import random_blobs
from helpers.steerable import mirrored, rotated

BOXES = (32, 33)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def blob_particle(rng, box):
    return random_blobs(rng, 0.25 * box, width=(1.7, 2.5))


@pytest.mark.parametrize("box", BOXES)
def test_functions_are_orthonormal_within_a_frequency_and_nearly_so_across(box):
    basis = plan_basis(box)
    functions = basis.matrix.view(np.complex64).astype(np.complex128)
    gram = np.conj(functions.T) @ functions
    same = basis.frequency[:, None] == basis.frequency
    assert np.abs(gram - np.eye(len(gram)))[same].max() < 1e-5
    # Frequencies 4 apart meet on a square grid; little of that.
    assert np.abs(gram[~same]).max() < 0.1
    assert (np.diff(basis.frequency) >= 0).all() and basis.frequency[0] == 0


@pytest.mark.parametrize("box", BOXES)
def test_nothing_lies_outside_the_disc(box):
    radius = 11.0
    basis = plan_basis(box, radius)
    offset = np.arange(box) - box // 2
    outside = np.hypot(offset[:, None], offset).ravel() > radius
    assert not basis.matrix[outside].any() and basis.matrix[~outside].any(axis=1).all()


@pytest.mark.parametrize("box", BOXES)
def test_white_noise_stays_white_with_variance_1(box):
    basis = plan_basis(box)
    noise = np.random.default_rng(3).standard_normal((4000, box, box)).astype(np.float32)
    a = basis.expand(noise)
    zero = basis.frequency == 0
    assert not a[:, zero].imag.any()
    power = np.mean(np.abs(a) ** 2, axis=0)
    # Standard errors: sqrt(2 / 4000) for real, sqrt(1 / 4000) for complex coefficients.
    assert np.abs(power - 1).max() < 5 * np.sqrt(2 / 4000)
    assert np.abs(power - 1).mean() < np.sqrt(1 / 4000)
    assert np.abs(a[:, ~zero].real.var() - 0.5) < 0.005


@pytest.mark.parametrize("box", BOXES)
def test_coefficients_are_integrals_with_the_phase_of_minus_k_phi(box):
    # A spot at angle phi from the centre has phase e^{-ik phi} in each frequency.
    basis = plan_basis(box)
    image = np.zeros((1, box, box), np.float32)
    image[0, box // 2 + 4, box // 2 + 3] = 1.0  # row is y
    phase = basis.expand(image)[0] * np.exp(1j * basis.frequency * np.arctan2(4, 3))
    assert np.abs(phase.imag).max() < 1e-6 * np.abs(phase).max()


@pytest.mark.parametrize("box", BOXES)
def test_a_smooth_particle_is_held_whole(box):
    images = blob_particle(np.random.default_rng(5), box).images(box)
    basis = plan_basis(box)
    back = basis.synthesize(basis.expand(images))
    assert back.dtype == np.float32
    assert relative(back, images) < 5e-3
    # Taking the image again changes next to nothing: expansion and synthesis project onto the basis.
    assert relative(basis.synthesize(basis.expand(back)), back) < 5e-3


@pytest.mark.parametrize("box", BOXES)
def test_rotation_mirror_and_shift_agree_with_blobs(box):
    particle = blob_particle(np.random.default_rng(6), box)
    basis = plan_basis(box)
    plain = basis.expand(particle.images(box))
    turned = basis.expand(particle.images(box, psi=[37.0, -111.0]))
    # image(q) = density(R(psi) q): turned by psi, it is the density.
    assert relative(rotated(turned, basis.frequency, [37.0, -111.0]), np.repeat(plain, 2, 0)) < 2e-3
    assert relative(rotated(turned, basis.frequency, [-37.0, 111.0]), np.repeat(plain, 2, 0)) > 0.2
    flipped = basis.expand(particle.images(box, mirror=True))
    assert relative(mirrored(flipped, basis.frequency), plain) < 1e-5
    away = particle.images(box, dx=1.3, dy=-0.7)
    assert relative(basis.expand(shifted_images(away, (1.3, -0.7))), plain) < 2e-3
    assert relative(basis.expand(shifted_images(away, (-1.3, 0.7))), plain) > 0.3


def test_a_projection_at_another_psi_is_the_same_projection_rotated():
    # Projections of a built-in particle of Gaussian atoms have a formula; a pose brings them back onto their view.
    phantom, box = built_in_phantom(60.0, 6.0), 32
    psi = np.array([0.0, 25.0, 140.0, -77.5])
    poses = Poses(psi, np.zeros(4), np.zeros(4))
    images = phantom.project(np.full(4, 40.0), np.full(4, 65.0), poses, box, 3.0)
    basis = plan_basis(box)
    back = rotated(basis.expand(images), basis.frequency, psi)
    assert relative(back[1:], np.repeat(back[:1], 3, 0)) < 2e-3


@pytest.mark.parametrize("box", BOXES)
def test_whole_pixel_shifts_roll_the_image(box):
    image = np.random.default_rng(7).standard_normal((1, box, box)).astype(np.float32)
    moved = shifted_images(image, (2.0, -1.0))  # x is the last axis
    assert np.abs(moved - np.roll(image, (-1, 2), (1, 2))).max() < 1e-5


def test_each_image_has_its_own_shift():
    images = np.random.default_rng(8).standard_normal((3, 32, 32)).astype(np.float32)
    shifts = np.array([[0.3, 1.0], [0.0, 0.0], [-2.2, 0.4]])
    alone = np.concatenate([shifted_images(images[i : i + 1], shifts[i]) for i in range(3)])
    assert np.array_equal(shifted_images(images, shifts), alone)
    assert np.abs(alone[1] - images[1]).max() < 1e-6


@pytest.mark.parametrize("radius", [1.0, 16.0])
def test_a_disc_that_does_not_fit_is_refused(radius):
    with pytest.raises(ValueError, match=f"radius {radius} pixels does not suit a box of 32"):
        plan_basis(32, radius)


def test_frequencies_above_zero_count_twice():
    assert multiplicity(np.array([0, 0, 1, 1, 2, 5, 8])).tolist() == [1, 1, 2, 2, 2, 2, 2]
