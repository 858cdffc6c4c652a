"""Particle tables without their stacks, and names of stacks that are found."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.particle_tables import read_particle_tables

LABELS = ["rlnImageName", "rlnOpticsGroup"]
OPTICS = {"rlnOpticsGroup": 1, "rlnImagePixelSize": 2, "rlnImageSize": 8, "rlnVoltage": 300}


def test_stacks_may_be_absent(here, star_file):
    star_file(here / "p.star", LABELS, [["3@gone/a.mrcs", 1], ["b.mrc", 1]], optics=OPTICS)
    particles, missing = read_particle_tables(["p.star"])
    assert missing == ["gone/a.mrcs", "b.mrc"]
    assert particles.image_names() == ["3@gone/a.mrcs", "b.mrc"]
    assert particles.box.tolist() == [8, 8] and particles.headers is None and particles.warnings == []


def test_stacks_beside_the_table_or_in_datadir_are_named_from_here(here, mrc_file, star_file, images):
    (here / "job").mkdir()
    (here / "data").mkdir()
    mrc_file(here / "job" / "a.mrcs", images)
    mrc_file(here / "data" / "b.mrcs", images)
    mrc_file(here / "c.mrcs", images)
    rows = [["7@a.mrcs", 1], ["00002@b.mrcs:mrcs", 1], ["1@c.mrcs", 1], ["1@d.mrcs", 1]]
    star_file(here / "job" / "p.star", LABELS, rows, optics=OPTICS)
    particles, missing = read_particle_tables(["job/p.star"], datadir=here / "data")
    # Frames past the end are no matter of the table's.
    assert particles.image_names() == ["000007@job/a.mrcs", "000002@data/b.mrcs", "1@c.mrcs", "1@d.mrcs"]
    assert missing == ["d.mrcs"]
    assert particles.warnings == ["job/p.star: a.mrcs found at, and written as, job/a.mrcs (and 1 more)"]


def test_stacks_are_opened_where_the_table_lacks_the_box(here, mrc_file, star_file, images):
    mrc_file(here / "a.mrcs", images)
    without = {label: value for label, value in OPTICS.items() if label != "rlnImageSize"}
    star_file(here / "p.star", LABELS, [["1@a.mrcs", 1]], optics=without)
    assert read_particle_tables(["p.star"])[0].box.tolist() == [8]
    star_file(here / "q.star", LABELS, [["1@b.mrcs", 1]], optics=without)
    particles, missing = read_particle_tables(["q.star"])
    assert particles.box.tolist() == [0] and missing == ["b.mrcs"]


def test_a_table_without_pixel_size_and_stacks_says_what_to_do(here, star_file):
    star_file(here / "p.star", ["rlnImageName"], [["1@a.mrcs"]])
    with pytest.raises(InputError, match="no pixel size; give it in Angstrom with --angpix"):
        read_particle_tables(["p.star"])
    assert read_particle_tables(["p.star"], angpix=1.5)[0].pixel_size_angstrom.tolist() == [1.5]


def test_stacks_and_joined_tables(here, mrc_file, star_file, images):
    mrc_file(here / "a.mrcs", images)
    assert len(read_particle_tables(["a.mrcs"])[0]) == 6
    star_file(here / "p.star", LABELS, [["1@x.mrcs", 1]], optics=OPTICS)
    star_file(here / "q.star", LABELS, [["2@x.mrcs", 1], ["1@y.mrcs", 1]], optics=OPTICS)
    particles, missing = read_particle_tables(["p.star", "q.star"])
    assert particles.image_names() == ["1@x.mrcs", "2@x.mrcs", "1@y.mrcs"]
    assert missing == ["x.mrcs", "y.mrcs"]
    np.testing.assert_array_equal(particles.optics_index, [0, 1, 1])


def test_nothing_and_absent_files(here):
    with pytest.raises(InputError, match="no input particles"):
        read_particle_tables([])
    with pytest.raises(InputError, match="no such file"):
        read_particle_tables(["absent.star"])


def test_real_tables(real_data):
    particles, missing = read_particle_tables([real_data / "em-testdata" / "particles_1k.star"])
    assert len(particles) > 900 and missing
    particles, _ = read_particle_tables([real_data / "cryodrgn" / "cryosparc_J2_particles_exported.cs"])
    assert len(particles) == 22
