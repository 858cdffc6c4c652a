"""Noise in place of particles: the spectra that were asked for, and every image the same whenever it is read."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.filters import radial_average
from cryoalign.core.source import ImageSource
from cryoalign.simulation.noise import NoiseSource, coloured

BOX = 32
POWER = np.stack([np.ones(17), 4.0 * coloured().ring_power(BOX, 4.0)])


def source(n: int = 400, **options) -> NoiseSource:
    return NoiseSource(POWER, np.arange(n) % 2, np.arange(n), **({"seed": 3} | options))


def spectrum(images):
    return radial_average(np.abs(np.fft.rfft2(images)) ** 2, BOX).mean(axis=0) / BOX**2


def test_each_group_has_its_spectrum():
    made = source()
    assert isinstance(made, ImageSource)
    assert (made.box, len(made)) == (BOX, 400)
    images = made.read(np.arange(400))
    assert images.dtype == np.float32
    for group in (0, 1):
        ratio = spectrum(images[group::2]) / POWER[group]
        assert ratio[1:] == pytest.approx(np.ones(16), abs=0.25)
        assert ratio[3:].mean() == pytest.approx(1.0, abs=0.03)


def test_an_image_depends_on_seed_and_row_alone():
    images = source().read(np.arange(100))
    some = np.array([70, 3, 3, 99])
    assert np.array_equal(source().read(some), images[some])
    moved = NoiseSource(POWER, np.array([1, 0]), np.array([71, 4]), seed=3)
    assert np.array_equal(moved.read(np.array([0, 1])), images[[71, 4]])
    assert not np.allclose(source(seed=4).read(some), images[some])
    assert abs(np.corrcoef(images[0].ravel(), images[2].ravel())[0, 1]) < 0.15


def test_noise_of_premultiplied_data_is_multiplied_by_the_ctf():
    ctf = CtfParameters(300.0, 2.7, 0.1, np.full(400, 15000.0), 15000.0, 0.0, premultiplied=np.arange(400) % 2 == 0)
    plain, weighted = source().read(np.arange(4)), source(ctf=ctf, pixel_size_angstrom=4.0).read(np.arange(4))
    gain = ctf_images(ctf.take([0]), BOX, 4.0)[0]
    assert np.array_equal(plain[1::2], weighted[1::2])
    assert np.fft.irfft2(np.fft.rfft2(plain[0]) * gain, s=(BOX, BOX)) == pytest.approx(weighted[0], abs=1e-5)


def test_odd_boxes_and_wrong_lengths():
    assert NoiseSource(POWER, np.zeros(1, int), np.zeros(1, int), seed=0, box=33).read(np.zeros(1, int)).shape[1] == 33
    with pytest.raises(ValueError, match="2 groups for 1 images"):
        NoiseSource(POWER, np.zeros(2, int), np.zeros(1, int), seed=0)
