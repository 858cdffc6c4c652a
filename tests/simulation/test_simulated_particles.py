import numpy as np
import pytest
import scipy.fft

from cryoalign.core.ctf import ctf_images
from cryoalign.core.errors import InputError
from cryoalign.core.filters import radial_average
from cryoalign.simulation.noise import coloured, noise_image, tabulated, white
from cryoalign.simulation.particles import CtfRecipe, Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom
from cryoalign.simulation.project import MapProjector
from helpers.maps import phantom_map

CTF = CtfRecipe(8e3, 2.5e4, 1e3, 300, 2.7, 0.1)
PHANTOM = built_in_phantom(0.66 * 48 * 3, 3.75)


def recipe(**changes):
    values = {
        "count": 90, "box": 48, "pixel_size_angstrom": 3.0, "views": None, "shift_sd_px": 2.0, "ctf": CTF,
        "noise": coloured(), "snr": 0.2, "seed": 7,
    }  # fmt: skip
    return Recipe(**(values | changes))


@pytest.mark.parametrize("make", [lambda: PHANTOM, lambda: MapProjector(phantom_map(PHANTOM, 47, 3.0), 3.0)])
@pytest.mark.parametrize("box", [48, 47])
def test_any_block_order_or_subset_gives_the_same_bytes(make, box):
    simulation = Simulation(make(), recipe(box=box))
    whole = simulation.images(np.arange(90))
    blocks = np.concatenate([simulation.images(np.arange(i, min(i + 7, 90))) for i in range(0, 90, 7)])
    np.testing.assert_array_equal(blocks, whole)
    rows = np.random.default_rng(0).permutation(90)[:31]
    again = Simulation(make(), recipe(box=box)).images(rows)
    np.testing.assert_array_equal(again, whole[rows])


def test_seeds_and_rows_differ():
    one, other = Simulation(PHANTOM, recipe()), Simulation(PHANTOM, recipe(seed=8))
    a, b = one.truth(np.arange(90)), other.truth(np.arange(90))
    assert len(set(np.concatenate([a.poses.psi, b.poses.psi]))) == 180
    noise = [s.images(np.arange(3)) - s.clean(np.arange(3)) for s in (one, other)]
    flat = np.concatenate(noise).reshape(6, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(6)).max() < 0.1


@pytest.mark.parametrize("noise", [white(), coloured()])
@pytest.mark.parametrize("ctf", [None, CTF])
def test_snr_is_signal_variance_over_noise_variance(noise, ctf):
    simulation = Simulation(PHANTOM, recipe(count=300, noise=noise, ctf=ctf, snr=0.05))
    rows = np.arange(300)
    clean = simulation.clean(rows)
    variance = (simulation.images(rows) - clean).var()
    assert variance == pytest.approx(1, abs=0.02)
    assert clean.var(axis=(1, 2)).mean() / variance == pytest.approx(0.05, rel=0.02)


def test_without_noise_images_are_the_projections():
    simulation = Simulation(PHANTOM, recipe(noise=None, ctf=None))
    rows = np.array([3, 50])
    truth = simulation.truth(rows)
    np.testing.assert_array_equal(
        simulation.images(rows), PHANTOM.project(truth.rot_deg, truth.tilt_deg, truth.poses, 48, 3.0)
    )


def test_ctf_of_the_truth_is_the_ctf_of_the_pixels():
    rows = np.arange(20)
    plain, with_ctf = (Simulation(PHANTOM, recipe(noise=None, ctf=ctf)) for ctf in (None, CTF))
    expected = scipy.fft.rfft2(plain.images(rows)) * ctf_images(with_ctf.truth(rows).ctf, 48, 3.0)
    got = scipy.fft.rfft2(with_ctf.images(rows))
    # Rows and columns at Nyquist are their own conjugates: an astigmatic CTF cannot act on them as on the others.
    inner = np.abs(expected[:, 1:24, :24] - got[:, 1:24, :24])
    assert inner.max() < 1e-5 * np.abs(expected).max()


def test_truth_has_the_distributions_it_is_said_to_have():
    simulation = Simulation(PHANTOM, recipe(count=4000, noise=None))
    truth = simulation.truth(np.arange(4000))
    psi = np.deg2rad(truth.poses.psi)
    assert abs(np.exp(1j * psi).mean()) < 0.05
    assert np.cos(np.deg2rad(truth.tilt_deg)).std() == pytest.approx(1 / np.sqrt(3), abs=0.02)
    assert abs(np.exp(1j * np.deg2rad(truth.rot_deg)).mean()) < 0.05
    assert [truth.poses.dx.std(), truth.poses.dy.std()] == pytest.approx([2, 2], abs=0.1)
    assert abs(np.corrcoef(truth.poses.dx, truth.poses.dy)[0, 1]) < 0.05
    u, v = truth.ctf.defocus_u_angstrom, truth.ctf.defocus_v_angstrom
    assert (u >= v).all()
    assert (u - v).max() <= 1000.02
    assert (0.5 * (u + v)).min() >= 8e3
    assert (0.5 * (u + v)).max() <= 2.5e4
    assert np.mean(0.5 * (u + v)) == pytest.approx(16500, rel=0.03)


def test_few_views_share_poses_with_all_views_and_have_references():
    views = np.array([[0.0, 30.0], [90.0, 100.0], [200.0, 60.0]])
    few, all_of = Simulation(PHANTOM, recipe(views=views, noise=None, ctf=None)), Simulation(PHANTOM, recipe())
    rows = np.arange(90)
    truth = few.truth(rows)
    np.testing.assert_array_equal(truth.poses.psi, all_of.truth(rows).poses.psi)
    assert np.bincount(truth.view, minlength=3).min() > 15
    np.testing.assert_array_equal(views[truth.view], np.stack([truth.rot_deg, truth.tilt_deg], axis=1))
    references = few.references()
    assert references.shape == (3, 48, 48)
    with pytest.raises(ValueError, match="no references"):
        all_of.references()
    resting = Simulation(PHANTOM, recipe(views=views[:1], noise=None, ctf=None, shift_sd_px=0.0))
    assert resting.images(rows[:1])[0].sum() == pytest.approx(references[0].sum(), rel=1e-3)


@pytest.mark.parametrize("box", [48, 49])
@pytest.mark.parametrize("spectrum", [white(), coloured()])
def test_noise_has_its_spectrum_and_variance_one(box, spectrum):
    power = spectrum.ring_power(box, 3.0)
    generator = np.random.Generator(np.random.Philox(3))
    images = np.stack([noise_image(generator, power, box) for _ in range(600)])
    assert images.dtype == np.float32
    assert images.var() == pytest.approx(1, abs=0.01)
    measured = radial_average((np.abs(np.fft.rfft2(images)) ** 2).mean(0), box) / box**2
    np.testing.assert_allclose(measured[2:], power[2:], rtol=0.08)
    assert np.mean(measured[1:] / power[1:]) == pytest.approx(1, abs=0.01)


def test_table_of_a_spectrum_is_interpolated_and_shell_zero_replaced():
    spectrum = tabulated([0.0, 0.1, 0.2], [50.0, 4.0, 1.0])
    power = spectrum.ring_power(32, 2.5)
    assert power[0] == power[1]
    assert power[0] / power[-1] == pytest.approx(4)
    assert power[12] / power[-1] == pytest.approx(2.5)  # 0.15 1/A


@pytest.mark.parametrize(
    ("frequency", "power", "words"),
    [
        ([0.0], [1.0], "at least two shells"),
        ([0.0, 0.2, 0.1], [1.0, 1.0, 1.0], "must increase"),
        ([0.0, 0.1], [1.0, -1.0], "not negative"),
        ([0.0, 0.1], [1.0, np.nan], "finite"),
    ],
)
def test_impossible_spectra_are_refused(frequency, power, words):
    with pytest.raises(InputError, match=words):
        tabulated(frequency, power)


def test_spectrum_of_zeros_is_refused():
    with pytest.raises(InputError, match="zero at every frequency"):
        tabulated([0.0, 0.1], [0.0, 0.0]).ring_power(32, 3.0)
