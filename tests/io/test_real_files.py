"""Files that others made, read as they are known to be."""

from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.mrc import read_mrc_header
from cryoalign.io.particles import read_particles, write_particles
from cryoalign.io.references import read_references
from cryoalign.io.stacks import StackSource, bad_images
from cryoalign.io.star import read_star, write_star


def test_every_star_file_survives_the_round_trip(real_data, tmp_path):
    count = 0
    for path in sorted(real_data.rglob("*.star")):
        try:
            star = read_star(path)
        except InputError as error:
            # Templates with the same block twice: a reader would silently lose one.
            assert "second block named data_block_3" in str(error), path
            assert path.parent.name == "starfile"
            continue
        write_star(tmp_path / "copy.star", star.blocks)
        again = read_star(tmp_path / "copy.star").blocks
        assert list(again) == list(star.blocks)
        for name, block in star.blocks.items():
            same = again[name] == block if isinstance(block, dict) else again[name].equals(block)
            assert same, (path, name)
        count += 1
    assert count > 30


@pytest.mark.parametrize(
    ("name", "count", "box", "pixel", "dialect"),
    [
        ("aspire/sample_particles_relion30.star", 17, 200, 1.338, "3.0"),
        ("aspire/sample_particles_relion31.star", 17, 200, 1.4, "3.1"),
        ("aspire/rln_proj_64_centered.star", 4, 64, 1.0, "3.1"),
        ("aspire/rln_proj_64_shifted.star", 4, 64, 1.0, "3.1"),
        ("aspire/rln_proj_65_centered.star", 4, 65, 1.0, "3.1"),
        ("aspire/rln_proj_65_shifted.star", 4, 65, 1.0, "3.1"),
        ("cryodrgn/relion31.star", 5, 256, 2.806, "3.1"),
        ("cryodrgn/relion31.v2.star", 5, 256, 2.806, "3.1"),
    ],
)
def test_particles_with_their_stacks(real_data, here, name, count, box, pixel, dialect):
    particles = read_particles([real_data / name])
    assert (len(particles), particles.dialect) == (count, dialect)
    assert set(particles.box.tolist()) == {box}
    np.testing.assert_allclose(particles.pixel_size_angstrom, pixel, rtol=1e-9)
    images = StackSource(particles).read(np.arange(count))
    assert images.shape == (count, box, box)
    assert bad_images(images) == []
    assert np.isfinite(particles.poses().psi).all()
    write_particles("out.star", particles)
    again = read_particles(["out.star"])
    np.testing.assert_array_equal(StackSource(again).read(np.arange(count)), images)
    np.testing.assert_allclose(again.poses().dx, particles.poses().dx, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count", "pixel"),
    [
        ("jianglab_relion/ap_s_c2d.star", 8915, 3.540002),
        ("sod-cryoem/images.star", 6496, 3.540002),
        ("em-testdata/particles_1k.star", 1000, 1.36793),
        ("topaz/particles.star", 1500, 0.981862),
        ("starfile/optics_group_inter1965.star", 1, 1.04),
    ],
)
def test_tables_without_their_stacks(real_data, name, count, pixel):
    particles = read_particles([real_data / name], check_stacks=False)
    assert len(particles) == count
    np.testing.assert_allclose(particles.pixel_size_angstrom, pixel, atol=1e-6)
    assert len(particles.poses()) == count
    ctf = read_ctf(particles)
    assert ctf is None or len(ctf.voltage_kv) == count
    with pytest.raises(InputError, match=r"stacks? not found"):
        read_particles([real_data / name])


def test_shifted_and_centred_projections_fix_the_shift(real_data):
    for size in (64, 65):
        shifted, centred = (
            StackSource(read_particles([real_data / f"aspire/rln_proj_{size}_{kind}.star"])).read(np.arange(4))
            for kind in ("shifted", "centered")
        )
        poses = read_particles([real_data / f"aspire/rln_proj_{size}_shifted.star"]).poses()
        for i in range(4):
            moved = np.roll(shifted[i], (int(poses.dy[i]), int(poses.dx[i])), (0, 1))
            assert np.corrcoef(moved.ravel(), centred[i].ravel())[0, 1] > 0.95


def test_toy_projections_by_their_real_name(real_data, here):
    (here / "toy_projections.mrcs").symlink_to(real_data / "cryodrgn/toy_projections.mrc")
    particles = read_particles([real_data / "cryodrgn/toy_projections.star"], angpix=3.0)
    assert (len(particles), set(particles.box.tolist()), particles.dialect) == (1000, {30}, "3.0")
    assert particles.particles["dummyVariable"][:2].tolist() == ["1", "2"]
    assert any("no map id" in warning for warning in particles.warnings)
    assert StackSource(particles).read(np.arange(990, 1000)).std() > 0.1
    with pytest.raises(InputError, match=r"1 stack not found: toy_projections\.mrcs.*toy_projections\.mrc exists"):
        here.joinpath("toy_projections.mrcs").unlink()
        read_particles([real_data / "cryodrgn/toy_projections.star"], angpix=3.0)


def test_cryosparc_particles(real_data):
    path = real_data / "cryodrgn/cryosparc_J2_particles_exported.cs"
    particles = read_particles([path], check_stacks=False)
    raw = np.load(path, allow_pickle=False)
    assert (len(particles), set(particles.box.tolist())) == (22, {300})
    assert particles.image_names()[1] == "000002@J1/imported/000090334788266266069_18jam15b_0345_ali_DW.mrcs"
    np.testing.assert_allclose(particles.pixel_size_angstrom, 1.345)
    wrapped = np.exp(1j * np.deg2rad(particles.poses().psi))
    np.testing.assert_allclose(wrapped, np.exp(1j * raw["alignments2D/pose"].astype(float)), atol=1e-6)
    np.testing.assert_allclose(particles.poses().dx, raw["alignments2D/shift"][:, 0], atol=1e-5)
    np.testing.assert_allclose(particles.poses().dy, raw["alignments2D/shift"][:, 1], atol=1e-5)
    assert particles.whole_numbers("rlnClassNumber").tolist() == (raw["alignments2D/class"] + 1).tolist()
    assert any("22 of 22 particles are dark" in warning for warning in particles.warnings)
    np.testing.assert_allclose(read_ctf(particles).defocus_u_angstrom, raw["ctf/df1_A"], rtol=1e-6)
    with pytest.raises(InputError, match=r"stacks? not found"):
        read_particles([path])


@pytest.mark.parametrize(
    ("name", "shape", "mode", "voxel", "oddities"),
    [
        ("aspire/sample.mrcs", (17, 200, 200), 2, None, 0),
        ("bioem/TwoImages.mrc", (2, 220, 220), 2, None, 1),
        ("cryodrgn/relion31.mrcs", (5, 256, 256), 2, 1.0, 2),
        ("cryodrgn/toy_projections.mrc", (1000, 30, 30), 2, 1.0, 2),
        ("mrcfile/float16.mrc", (1, 64, 64), 12, 3.59531, 0),
        ("mrcfile/EMD-3197.map", (20, 20, 20), 2, 11.4, 0),
        ("mrcfile/EMD-3197.map.bz2", (20, 20, 20), 2, 11.4, 0),
        ("mrcfile/emd_3197.map.gz", (20, 20, 20), 2, 11.4, 0),
        ("openncem/temp.mrc", (3, 128, 128), 2, 2.0, 1),
        ("xmipp/smallStack.mrcs", (4, 64, 64), 2, 1.0, 0),
        ("aspire/clean70SRibosome_vol_65p.mrc", (65, 65, 65), 2, None, 0),
    ],
)
def test_headers(real_data, name, shape, mode, voxel, oddities):
    header = read_mrc_header(real_data / name)
    assert (header.count, header.ny, header.nx) == shape
    assert (header.mode, header.voxel_size_angstrom, len(header.oddities)) == (mode, voxel, oddities)


def test_pixels_are_those_of_mrcfile(real_data, tmp_path):
    import mrcfile

    for name in ("mrcfile/float16.mrc", "xmipp/smallStack.mrcs", "aspire/sample.mrcs"):
        images = StackSource(read_particles([real_data / name], angpix=1.0)).read([0])
        expected = mrcfile.read(real_data / name)
        np.testing.assert_array_equal(images[0], expected if expected.ndim == 2 else expected[0])


def test_packed_maps_equal_the_plain_one(real_data, here):
    link = {"EMD-3197.map": "a.mrcs", "EMD-3197.map.bz2": "a.mrcs.bz2", "emd_3197.map.gz": "a.mrcs.gz"}
    found = []
    for source, name in link.items():
        Path(name).symlink_to(real_data / "mrcfile" / source)
        found.append(StackSource(read_particles([name])).read(np.arange(20)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_class_averages_as_references(real_data):
    images, pixel = read_references(real_data / "xmipp/smallStack.mrcs", default_angpix=2.0)
    assert (images.shape, pixel) == ((4, 64, 64), 2.0)
    with pytest.raises(InputError, match="is a 3-D map"):
        read_references(real_data / "aspire/clean70SRibosome_vol_65p.mrc")
