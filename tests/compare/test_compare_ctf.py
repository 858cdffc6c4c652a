"""``compare`` and the CTF of raw particles: its signs are undone once, where the metadata say it."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.ctf import ctf_images
from helpers.align import FEI, angle_difference, phantom_set, run, star, write_mrcs
from helpers.compare import compare, rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with three noisy particles of 48 px far from focus, and the clean view; and their truth."""
    folder = tmp_path_factory.mktemp("ctf")
    made = phantom_set(3, 48, 3.0, snr=2.0, seed=4, ctf=True, defocus=(25000, 32000))
    return folder, made.write(folder)


def found(folder, b: str, *words: object):
    """Compare the clean view with particles by correlation."""
    compare(folder, "ref.mrcs", b, "--metric", "ncc", "--overwrite", *words)
    return rows(folder)


def test_signs_of_the_ctf_are_undone_where_the_metadata_have_one(made):
    folder, truth = made
    corrected, raw = found(folder, "particles.star"), found(folder, "particles.star", "--no-ctf")
    assert np.abs(angle_difference(corrected.rlnAnglePsi, truth.poses.psi)).max() < 2
    shift = np.hypot(corrected.cryoalignShiftX - truth.poses.dx, corrected.cryoalignShiftY - truth.poses.dy)
    assert shift.max() < 0.3
    assert (corrected.cryoalignCorrelation > raw.cryoalignCorrelation + 0.05).all()


def test_a_stack_has_no_metadata_and_the_log_says_so(made):
    folder, _ = made
    ran = run(folder, "compare", "ref.mrcs", "particles.mrcs", "--metric", "ncc", "-j", 1, "-o", "bare")
    assert "CTF: A not known; B not known" in ran.lines
    ran = run(folder, "compare", "ref.mrcs", "2@particles.star", "--metric", "ncc", "-j", 1, "-o", "one")
    assert "CTF: A not known; B phases corrected" in ran.lines


@pytest.mark.parametrize("label", ["rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"])
def test_what_was_corrected_before_is_left_alone(made, label):
    folder, truth = made
    ctf = ctf_images(truth.ctf, 48, 3.0)
    gain = np.sign(ctf) if "Flipped" in label else ctf
    flipped = np.fft.irfft2(np.fft.rfft2(truth.images) * gain, s=(48, 48)).astype(np.float32)
    write_mrcs(folder / "done.mrcs", flipped, 3.0)
    star(
        folder / "done.star", optics={"rlnOpticsGroup": 1, "rlnImagePixelSize": 3.0, "rlnImageSize": 48,
                                      "rlnImageDimensionality": 2, **FEI, label: 1},
        particles={"rlnImageName": [f"{i}@done.mrcs" for i in (1, 2, 3)], "rlnOpticsGroup": 1, **truth.columns},
    )  # fmt: skip
    done, undone = found(folder, "done.star"), found(folder, "done.star", "--no-ctf")
    assert done.drop(columns="rlnImageName").equals(undone.drop(columns="rlnImageName"))
    if "Flipped" in label:
        # A plane that is taken off after phases were flipped is another one.
        done, once = (found(folder, name, "--no-normalize") for name in ("done.star", "particles.star"))
        assert np.allclose(done.cryoalignValue, once.cryoalignValue, atol=1e-4)


def test_particles_of_a_cs_file(made):
    folder, truth = made
    (folder / "P1" / "J1").mkdir(parents=True)
    write_mrcs(folder / "P1" / "J1" / "stack.mrc", truth.images, 3.0)
    fields = [
        ("uid", "<u8"), ("blob/path", "S30"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("blob/sign", "<f4"), ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"),
        ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"),
        ("ctf/phase_shift_rad", "<f4"),
    ]  # fmt: skip
    data = np.zeros(3, fields)
    data["uid"], data["blob/path"], data["blob/idx"] = np.arange(1, 4), b"J1/stack.mrc", np.arange(3)
    data["blob/shape"], data["blob/psize_A"], data["blob/sign"] = 48, 3.0, 1
    data["ctf/accel_kv"], data["ctf/cs_mm"], data["ctf/amp_contrast"] = 300, 2.7, 0.1
    data["ctf/df1_A"], data["ctf/df2_A"] = truth.ctf.defocus_u_angstrom, truth.ctf.defocus_v_angstrom
    data["ctf/df_angle_rad"] = np.deg2rad(truth.ctf.defocus_angle_deg)
    with (folder / "P1" / "p.cs").open("wb") as stream:
        np.save(stream, data)
    there, same = found(folder, "P1/p.cs"), found(folder, "particles.star")
    assert np.allclose(there.rlnAnglePsi, same.rlnAnglePsi, atol=0.01)
    assert np.allclose(there.cryoalignCorrelation, same.cryoalignCorrelation, atol=1e-3)
    assert len(found(folder, "2@P1/p.cs")) == 1
