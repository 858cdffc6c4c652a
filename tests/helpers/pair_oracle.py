"""Scores of pairs the slow way: coefficients are turned and mirrored one by one; and random data to try them on."""

from __future__ import annotations

import numpy as np

COMPONENTS = (9, 8, 8, 7, 6, 6, 5, 4, 3, 2, 1, 1)
"""Components of each angular frequency."""


def frequencies(components=COMPONENTS):
    """Return the frequency of each component."""
    return np.repeat(np.arange(len(components)), components).astype(np.int64)


def random_coefficients(n, frequency, seed, decay=0.2):
    """Draw weighted coefficients with a falling spectrum; real where the frequency is 0."""
    rng = np.random.default_rng(seed)
    value = rng.standard_normal((n, len(frequency), 2)) @ [1, 1j] * np.exp(-decay * frequency)
    value[:, frequency == 0] = value[:, frequency == 0].real
    return value.astype(np.complex64)


def turned(coefficients, frequency, psi_deg):
    """Return coefficients of images rotated by psi."""
    return coefficients * np.exp(-1j * np.deg2rad(psi_deg) * frequency)


def mirrored(coefficients, frequency):
    """Return coefficients of images with x flipped."""
    return np.where(frequency % 2 == 0, 1, -1) * np.conj(coefficients)


def turned_scores(first, second, frequency, step_deg=0.25):
    """Return scores of one image against another at all angles, for both hands: angles (a,), scores (2, a)."""
    angle = np.arange(0, 360, step_deg)
    scores = [
        [np.vdot(turned(b, frequency, psi), first.astype(complex)).real for psi in angle]
        for b in (second.astype(complex), mirrored(second.astype(complex), frequency))
    ]
    return angle, np.array(scores)


def best_scores(first, second, frequency, step_deg=0.25, mirror=True):
    """Return the highest score over angles of each of m images against each of n: (m, n), its angle and hand."""
    angle = np.arange(0, 360, step_deg)
    waves = np.exp(1j * np.deg2rad(np.outer(frequency, angle)))
    hands = [second.astype(complex)] + ([mirrored(second.astype(complex), frequency)] if mirror else [])
    score = np.full((len(first), len(second)), -np.inf)
    psi, flip = np.zeros(score.shape), np.zeros(score.shape, bool)
    for h, b in enumerate(hands):
        for j in range(len(second)):
            curve = ((first.astype(complex) * b[j].conj()) @ waves).real
            top = curve.argmax(1)
            value = np.take_along_axis(curve, top[:, None], 1)[:, 0]
            better = value > score[:, j]
            score[better, j], psi[better, j], flip[better, j] = value[better], angle[top[better]], h == 1
    return score, psi, flip


def angle_between(one, two):
    """Return how far two angles are apart, in degrees."""
    return np.abs((np.asarray(one, float) - two + 180) % 360 - 180)
