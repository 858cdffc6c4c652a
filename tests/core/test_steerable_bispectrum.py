"""The bispectrum: unchanged by rotations, conjugated by mirrors, different for different particles."""

from __future__ import annotations

import numpy as np

from cryoalign.core.steerable.basis import plan_basis
from cryoalign.core.steerable.bispectrum import bispectrum_invariants, bispectrum_terms
from helpers.blobs import random_blobs
from helpers.steerable import mirrored, rotated

FREQUENCY = np.array([0, 0, 1, 1, 2, 3])
EIGENVALUE = np.array([5.0, 2.0, 4.0, 1.0, 3.0, 0.5])


def test_frequencies_of_a_term_add_up_and_the_strongest_comes_first():
    terms = bispectrum_terms(FREQUENCY, EIGENVALUE, 1000)
    p, q, r = terms.T
    assert (FREQUENCY[p] + FREQUENCY[q] == FREQUENCY[r]).all() and (p <= q).all()
    strength = EIGENVALUE[terms].prod(axis=1)
    assert (np.diff(strength) <= 1e-9).all() and terms[0].tolist() == [0, 0, 0]
    # By brute force, every one and once.
    size = range(len(FREQUENCY))
    wanted = {
        (a, b, c) for a in size for b in size for c in size if a <= b and FREQUENCY[a] + FREQUENCY[b] == FREQUENCY[c]
    }
    assert {tuple(t) for t in terms.tolist()} == wanted and len(terms) == len(wanted)
    assert np.array_equal(bispectrum_terms(FREQUENCY, EIGENVALUE, 5), terms[:5])


def test_rotations_change_nothing_and_mirrors_conjugate():
    rng = np.random.default_rng(21)
    a = (rng.standard_normal((7, 6)) + 1j * rng.standard_normal((7, 6))).astype(np.complex64)
    a[:, FREQUENCY == 0] = a[:, FREQUENCY == 0].real
    terms = bispectrum_terms(FREQUENCY, EIGENVALUE)
    b = bispectrum_invariants(a, terms)
    assert b.dtype == np.complex64
    p, q, r = terms[10]
    assert np.allclose(b[:, 10], a[:, p] * a[:, q] * np.conj(a[:, r]), atol=1e-5)
    turned = bispectrum_invariants(rotated(a, FREQUENCY, rng.uniform(-180, 180, 7)), terms)
    assert np.abs(turned - b).max() < 1e-5 * np.abs(b).max()
    assert np.abs(bispectrum_invariants(mirrored(a, FREQUENCY), terms) - np.conj(b)).max() < 1e-6 * np.abs(b).max()


def test_images_at_any_angle_agree_and_other_images_do_not():
    rng, box = np.random.default_rng(22), 33
    basis = plan_basis(box)
    one, other = (random_blobs(rng, 8.0, width=(1.7, 2.5)) for _ in range(2))
    images = np.concatenate([one.images(box, psi=[0.0, 63.0, -140.0]), other.images(box)])
    mirror = one.images(box, psi=20.0, mirror=True)
    a = basis.expand(np.concatenate([images, mirror]))
    terms = bispectrum_terms(basis.frequency, np.mean(np.abs(a) ** 2, axis=0), 2000)
    b = bispectrum_invariants(a, terms)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    product = (b @ np.conj(b[0])).real
    assert product[1:3].min() > 0.9995 and product[3] < 0.98
    # What tells hands apart is in the imaginary parts.
    assert np.linalg.norm(b[4].imag + b[0].imag) < 0.2 * np.linalg.norm(b[0].imag)
    assert np.linalg.norm(b[4].imag - b[0].imag) > 1.8 * np.linalg.norm(b[0].imag)
