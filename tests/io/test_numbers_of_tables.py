"""Numbers that cannot be meant: angles that are unknown, origins outside, sizes and counts beyond everything."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.particles import read_particles


@pytest.fixture
def table(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)

    def write(rows: int = 3, name: str = "{}@a.mrcs", group=None, **columns):
        labels = ["rlnImageName", "rlnOpticsGroup", *columns]
        cells = [[name.format(i + 1), 1, *(values[i] for values in columns.values())] for i in range(rows)]
        return read_particles([star_file(here / "p.star", labels, cells, optics={**optics, **(group or {})})])

    return write


def test_psi_that_nobody_knows_is_not_there(table):
    particles = table(rlnAnglePsi=["-999.00000"] * 3, rlnAnglePsiPrior=[-999] * 3)
    assert particles.angles("rlnAnglePsi") is None
    assert particles.psi_prior() is None
    assert particles.poses().psi.tolist() == [0, 0, 0]


def test_a_prior_that_is_not_known_leaves_the_angle(table):
    assert table(rlnAnglePsi=[1, 2, 3], rlnAnglePsiPrior=[-999] * 3).psi_prior().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "words"),
    [("-999.0", "unknown, as -999 stands for"), ("1e18", "no angle in degrees"), ("-1e300", "no angle in degrees"),
     ("nan", "not a number"), ("1e400", "not a number")],
)  # fmt: skip
@pytest.mark.parametrize("label", ["rlnAnglePsi", "rlnAnglePsiPrior"])
def test_an_angle_that_is_none_names_its_row(table, label, value, words):
    particles = table(**{label: [10, value, 20]})
    with pytest.raises(InputError) as caught:
        particles.psi_prior()
    assert (
        str(caught.value).partition("/p.star")[2]
        == f", row 2: {label} is {words} ({value!r}); correct or remove the row"
    )
    if words != "not a number":
        assert particles.poses(with_psi=False).psi.tolist() == [0, 0, 0]


def test_turns_add_up(table):
    np.testing.assert_allclose(table(rlnAnglePsi=[725, -540.5, 360]).poses().psi, [5, 179.5, 0])


@pytest.mark.parametrize(("label", "value"), [("rlnOriginXAngst", 16.5), ("rlnOriginY", -8.5), ("rlnOriginX", 1e18)])
def test_origin_outside_of_the_image(table, label, value):
    particles = table(**{label: [1, -2, value]})
    with pytest.raises(InputError, match=rf"p\.star, row 3: {label} lies outside of the image \('"):
        particles.poses()
    assert len(table(**{label: [1, -2, value / abs(value) * 7]}).poses()) == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [("1e300", "too large"), ("9007199254740994", "too large"), ("-1e19", "too large"), ("1.5", "not a whole number"),
     ("nan", "not a number"), ("1e999", "not a number")],
)  # fmt: skip
def test_class_that_is_no_number(table, value, words):
    with pytest.raises(InputError, match=rf"p\.star, row 2: rlnClassNumber is {words} \('{value}'\)"):
        table(rlnClassNumber=[1, value, 2]).whole_numbers("rlnClassNumber")


@pytest.mark.parametrize("value", ["1e-40", "0.009", "1000.5", "1e40", "1e308"])
def test_pixel_size_of_no_microscope(table, star_file, here, value):
    said = r"is not from 0\.01 to 1000 A"
    with pytest.raises(InputError, match=rf"p\.star, row 1: rlnImagePixelSize in the optics table {said}"):
        table(group={"rlnImagePixelSize": value})
    star_file(here / "old.star", ["rlnImageName", "rlnPixelSize"], [["1@a.mrcs", 2], ["2@a.mrcs", value]])
    with pytest.raises(InputError, match=rf"old\.star, row 2: rlnPixelSize {said}"):
        read_particles(["old.star"])
    labels = ["rlnImageName", "rlnDetectorPixelSize", "rlnMagnification"]
    star_file(here / "old.star", labels, [["1@a.mrcs", value, "1e-7"]])
    with pytest.raises(InputError, match=r"old\.star, row 1: .*(rlnDetectorPixelSize|not a number|above 0)"):
        read_particles(["old.star"])


@pytest.mark.parametrize("value", ["1e300", "-8", "70000"])
def test_image_size_of_no_image(table, value):
    with pytest.raises(InputError, match=r"p\.star, row 1: rlnImageSize is (no box in pixels|too large)"):
        table(group={"rlnImageSize": value})


@pytest.mark.parametrize("number", ["0", "-1", "1" * 16, "9" * 5000, "x", "٣", "1.0"])
def test_image_number_that_is_none(table, number):
    with pytest.raises(InputError, match=r"p\.star, row 1: image index is not a whole number from 1 up"):
        table(rows=1, name=number + "@a.mrcs")
