"""A guard against model bias: images aligned on coarse rings alone must show the reference's detail on fine ones.

Noise aligned to a reference averages to that reference on the rings that were aligned ("Einstein from noise";
Henderson, PNAS 110:18037, 2013), and on no others. So each image is aligned on rings <= k0, and on rings > k0 + 2 (the
gap is what a mask smears) its inner product with the reference is taken, u = sum 1/N Re[(C F) conj G], N the noise
power. Noise gives a mean of 0 and real particles sum 1/N C^2 |G|^2: a one-sided z test without a noise model and
without replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from cryoalign.averaging.ctf_sums import POWER_SCALE
from cryoalign.core.filters import apply_ring_gain, conjugate_weight, radial_average, ring_counts, ring_index
from cryoalign.core.masks import background_region, background_statistics, centre_offsets, soft_disc

BAND_RING = 8
"""k0: images are aligned on rings up to here. A ring is one cycle over the box, so that the number suits any box."""
GAP = 2
"""Rings beyond the aligned band that are not judged: the reference's mask mixes neighbouring rings."""
LEAST_Z = 3.1
"""z below which noise is suspected: 1 in 1,000 for noise alone."""
LEAST_EXPECTED_Z = 8.0
"""A right reference must be expected to reach this z before its absence means anything (twice the threshold and more:
what is expected of very noisy images is up to a third too much)."""
FEWEST_IMAGES = 20
"""With fewer images nothing is said against them."""
LEAST_SHARE = 0.2
"""z below this share of what is expected is no signal, however many images make it significant: two molecules that are
not the same are not entirely unlike either (0.09 sd, measured), and most images may be noise."""
FADE = 10 / 64
"""Share of the box over which images fade out to either side."""
DETECTABLE = 4.0
"""Height of the right peak of a search, in standard deviations of the noise, at which half of the images are aligned to
some other peak (measured)."""
DIRECTIONS = 2**0.5
"""What the z of two cross-fitted directions add up to is divided by: they are independent on noise."""

VerdictName = Literal["signal", "no signal", "cannot tell"]


@dataclass(frozen=True)
class GuardVerdict:
    """What the guard found.

    Parameters
    ----------
    z
        mean(u) sqrt(n) / sd(u): of noise, normal with mean 0 and standard deviation 1. 0 where there is none.
    share
        A = mean(u) / mean(energy): the share of images that carry the reference's detail, if its intensity is right.
    share_error
        Standard error of A.
    n
        Images that were judged.
    intensity
        Mean fitted intensity on the aligned rings, relative to the reference: what A would be if all were real. Noise
        has a fitted intensity too, so that A far below it means something only where noise would be fitted less.
    expected_z
        What z would be if the images carried the fine detail of the reference as strongly as its coarse features.
    verdict
        "signal"; "no signal": it should have been seen; "cannot tell": too few images, no detail to look for, or detail
        that is there with the wrong sign (`contrary`).
    """

    z: float
    share: float
    share_error: float
    n: int
    intensity: float
    expected_z: float
    verdict: VerdictName

    @property
    def contrary(self) -> bool:
        """Whether the detail is there with the wrong sign: contrast inverted, or the CTF not what it is taken for."""
        return self.z <= -LEAST_Z and self.verdict == "cannot tell"

    @property
    def warned(self) -> bool:
        """Whether the images look like noise, or like something else than the reference."""
        return self.verdict == "no signal"


def faded(images: NDArray[np.float32], mask_diameter_px: float) -> NDArray[np.float32]:
    """Prepare images for the guard's alignment and products alike: background 0, fading out towards the box's edge.

    A sharp edge lets rings leak into rings far away: noise alone would reach z = 1 with 10,000 images. It also shuts
    out noise.

    Parameters
    ----------
    images
        Raw images, (n, L, L).
    mask_diameter_px
        The background lies outside this diameter, in pixels.
    """
    box = images.shape[-1]
    level, _ = background_statistics(images, background_region(box, mask_diameter_px))
    edge = FADE * box
    return (images - level[:, None, None].astype(np.float32)) * soft_disc(box, box - 2 * edge, edge)


def judged_references(references: NDArray[np.float32], mask_diameter_px: float) -> NDArray[np.float32]:
    """Return what aligned images are multiplied with: references without their coarse rings, then masked.

    A mask that comes first would carry coarse rings, which images were aligned to, into the judged ones.

    Parameters
    ----------
    references
        Not masked, at the images' box and pixel size, (m, L, L).
    mask_diameter_px
        Of the mask that the search uses, in pixels.
    """
    box = references.shape[-1]
    fine = apply_ring_gain(references, (np.arange(box // 2 + 1) > BAND_RING + GAP).astype(np.float32))
    return np.asarray(fine * soft_disc(box, mask_diameter_px), np.float32)


def held_out_products(
    aligned: NDArray[np.float32],
    references: NDArray[np.float32],
    reference: NDArray[np.integer],
    ctf_power: NDArray[np.int64],
    noise_power: NDArray[np.float64],
    first_ring: int,
    scale: NDArray[np.float64] | None = None,
    judged: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiply aligned images with their references on the rings that did not take part in the alignment.

    Parameters
    ----------
    aligned
        C F: images after :func:`faded`, times their CTF, then brought onto the reference. Shape (n, L, L).
    references
        As the search takes them, masked, without CTF, (m, L, L).
    reference
        0-based reference of each image, (n,).
    ctf_power
        Ring means of C^2 in units of 1 / POWER_SCALE, (n, L // 2 + 1), from
        :func:`cryoalign.averaging.ctf_sums.multiply_by_ctf`.
    noise_power
        Noise power E|F|^2 / L^2 per ring of each image, (n, L // 2 + 1).
    first_ring
        First ring that is judged; the last is (L - 1) // 2.
    scale
        Fitted intensity of each image relative to its reference, (n,), for references far weaker than the images; 1 if
        None.
    judged
        Of the same references, from :func:`judged_references`, (m, L, L); the references as they are if None.

    Returns
    -------
    u, energy
        Products, and their mean if the image is its reference exactly, seen through the noise: float64 (n,). Both are
        0 where the rings of the reference hold nothing.
    """
    judged = references if judged is None else judged
    box, last = aligned.shape[-1], (aligned.shape[-1] - 1) // 2
    n, rings = len(aligned), last + 1 - first_ring
    if rings < 1 or n == 0:
        return np.zeros(n), np.zeros(n)
    ring = ring_index(box).ravel()
    chosen = np.flatnonzero((ring >= first_ring) & (ring <= last))
    place = ring[chosen] - first_ring
    weight = conjugate_weight(box).ravel()[chosen] / box**2
    used, which = np.unique(reference, return_inverse=True)
    weighted = _spectra(judged[used], chosen) * weight
    inverse = 1.0 / np.asarray(noise_power, np.float64)
    u = np.empty(n)
    for i, f in enumerate(_spectra(aligned, chosen)):
        g = weighted[which[i]]
        u[i] = np.bincount(place, f.real * g.real + f.imag * g.imag, rings) @ inverse[i, first_ring : last + 1]
    information = (ctf_power / POWER_SCALE * inverse)[:, : last + 1]
    # Noise is fitted weakly, and must not count as less for that: only what is stronger than its reference is told.
    strength = np.ones(n) if scale is None else np.maximum(scale, 1.0)
    return u, _expected_products(references[used], judged[used], which, information, strength, first_ring)


def _expected_products(
    references: NDArray[np.float32],
    judged: NDArray[np.float32],
    which: NDArray[np.intp],
    information: NDArray[np.float64],
    strength: NDArray[np.float64],
    first_ring: int,
) -> NDArray[np.float64]:
    """Return the mean of u for real particles: the reference's power, less what errors of angle and shift smear.

    The errors are the least that the noise allows on the aligned rings (Cramer and Rao's bound). They depend on
    reference, CTF and noise alone, not on the image, so that noise images do not count as less.

    Parameters
    ----------
    references, judged, which
        Each (m, L, L), and which of them is each image's, (n,).
    information
        C^2 / N per ring 0 .. (L - 1) // 2, (n, rings).
    strength
        Intensity of each image relative to its reference, (n,).
    """
    box, rings = references.shape[-1], information.shape[1]
    power, turned, product = (table[:, :rings] for table in _ring_powers(references, judged))
    moved = (2 * np.pi * np.arange(rings) / box) ** 2
    aligned = slice(1, first_ring - GAP)
    with np.errstate(divide="ignore"):
        turn_variance = 1.0 / (information * turned[which])[:, aligned].sum(axis=1)
        shift_variance = 1.0 / (0.5 * information * moved * power[which])[:, aligned].sum(axis=1)
    # On ring k a shift of variance s^2 on either axis turns phases by 2 pi k s / L; rotation acts through the mean
    # squared angular order, which is the power of dG/dpsi over that of G.
    order = np.divide(turned, power, out=np.zeros_like(power), where=power > 0)
    # Where the right peak of the search drowns among those of noise, nothing but noise is seen.
    found = ndtr(strength * np.sqrt((information * power[which])[:, aligned].sum(axis=1)) - DETECTABLE)
    loss = (turn_variance[:, None] * order[which] + shift_variance[:, None] * moved) / strength[:, None] ** 2
    return np.asarray(found * (information * product[which] * np.exp(-0.5 * loss))[:, first_ring:].sum(axis=1))


def _ring_powers(
    references: NDArray[np.float32], judged: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return sums over rings of |G|^2, |dG/dpsi|^2 (psi in radians) and Re(G conj J), over L^2, (m, L // 2 + 1)."""
    box = references.shape[-1]
    spectrum, fine = (scipy.fft.rfft2(r.astype(np.float64), axes=(-2, -1), workers=1) for r in (references, judged))
    kx, ky = 2j * np.pi * np.fft.rfftfreq(box), 2j * np.pi * np.fft.fftfreq(box)[:, None]
    along_x, along_y = (scipy.fft.irfft2(spectrum * k, s=(box, box), workers=1) for k in (kx, ky))
    x, y = centre_offsets(box)
    derivative = scipy.fft.rfft2(x * along_y - y * along_x, axes=(-2, -1), workers=1)
    counts = ring_counts(box) / box**2
    pairs = ((spectrum, spectrum), (derivative, derivative), (spectrum, fine))
    power, turned, product = (radial_average((a * b.conj()).real, box) * counts for a, b in pairs)
    return power, turned, product


def judge(u: NDArray[np.float64], energy: NDArray[np.float64], scale: NDArray[np.float64]) -> GuardVerdict:
    """Judge images against references that owe nothing to them.

    Parameters
    ----------
    u, energy
        From :func:`held_out_products`, shape (n,).
    scale
        Fitted intensity of each image relative to its reference on the aligned rings, (n,); see
        :class:`cryoalign.core.search.result.SearchResult`.
    """
    z, expected = _z_values(u, energy, scale)
    return _verdict(u, energy, scale, z, expected)


def judge_cross_fitted(
    u: NDArray[np.float64], energy: NDArray[np.float64], scale: NDArray[np.float64], half: NDArray[np.integer]
) -> GuardVerdict:
    """Judge images of each half against averages of the other half.

    Each direction alone has a z of standard deviation 1 on noise. Were both the same product, their sum would be
    divided by 2; were they independent, by the square root of 2. They are independent: alignment to another
    reference moves most noise images, and so makes new noise of them (measured correlation: -.1 to .0).

    Parameters
    ----------
    u, energy, scale
        As in :func:`judge`, shape (n,); with references from
        :func:`cryoalign.averaging.cross_fit.cross_fit_references`.
    half
        Half of each image, 0 or 1, (n,).
    """
    both = [_z_values(u[half == h], energy[half == h], scale[half == h]) for h in (0, 1)]
    z, expected = ((both[0][i] + both[1][i]) / DIRECTIONS for i in (0, 1))
    return _verdict(u, energy, scale, z, expected)


def judge_classes(
    u: NDArray[np.float64],
    energy: NDArray[np.float64],
    scale: NDArray[np.float64],
    reference: NDArray[np.integer],
    n_classes: int,
    half: NDArray[np.integer] | None = None,
) -> tuple[GuardVerdict, ...]:
    """Judge each class by itself.

    Parameters
    ----------
    u, energy, scale
        As in :func:`judge`, shape (n,).
    reference
        0-based class of each image, (n,).
    n_classes
        Number of classes.
    half
        Half of each image where references were averages of the other half, else None.
    """
    verdicts = []
    for c in range(n_classes):
        members = np.flatnonzero(reference == c)
        columns = u[members], energy[members], scale[members]
        verdicts.append(judge(*columns) if half is None else judge_cross_fitted(*columns, half[members]))
    return tuple(verdicts)


def _spectra(images: NDArray[np.float32], chosen: NDArray[np.intp]) -> NDArray[np.complex128]:
    """Return the chosen frequencies of an ``rfft2``, (n, p)."""
    spectra = scipy.fft.rfft2(np.asarray(images, np.float32), axes=(-2, -1), workers=1)
    return spectra.reshape(len(images), -1)[:, chosen].astype(np.complex128)


def _z_values(u: NDArray[np.float64], energy: NDArray[np.float64], scale: NDArray[np.float64]) -> tuple[float, float]:
    """Return z and expected z; zeros where there is no spread to measure by."""
    n = len(u)
    spread = float(np.std(u, ddof=1)) if n > 1 else 0.0
    if not spread > 0:
        return 0.0, 0.0
    unit = np.sqrt(n) / spread
    return float(np.mean(u) * unit), float(np.mean(scale) * np.mean(energy) * unit)


def _verdict(
    u: NDArray[np.float64], energy: NDArray[np.float64], scale: NDArray[np.float64], z: float, expected: float
) -> GuardVerdict:
    n = len(u)
    total = float(np.mean(energy)) if n else 0.0
    share = float(np.mean(u)) / total if total > 0 else 0.0
    error = float(np.std(u, ddof=1)) / np.sqrt(n) / total if total > 0 and n > 1 else 0.0
    # With few images z has Student's distribution: the same chance of 1 in 1,000 is found further out.
    least = float(stdtrit(n - 1, ndtr(LEAST_Z))) if n > 1 else np.inf
    name: VerdictName = "cannot tell"
    if z >= max(least, LEAST_SHARE * expected):
        name = "signal"
    elif z > -least and n >= FEWEST_IMAGES and expected >= LEAST_EXPECTED_Z + (least - LEAST_Z):
        name = "no signal"
    return GuardVerdict(z, share, error, n, float(np.mean(scale)) if n else 0.0, expected, name)
