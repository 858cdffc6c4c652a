import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, soft_disc


@pytest.mark.parametrize("box", [32, 33])
def test_disc_is_one_inside_zero_outside_and_falls_between(box):
    disc = soft_disc(box, 14, 5)
    x, y = np.meshgrid(np.arange(box) - box // 2, np.arange(box) - box // 2)
    r = np.hypot(x, y)
    assert disc.dtype == np.float32
    assert (disc[r <= 7] == 1).all()
    assert (np.abs(disc[r >= 12]) < 1e-6).all()
    np.testing.assert_allclose(disc[(r > 9.4) & (r < 9.6)], 0.5, atol=0.05)
    order = np.argsort(r.ravel(), kind="stable")
    assert (np.diff(disc.ravel()[order]) <= 1e-6).all()


def test_hard_disc_and_background_are_complements():
    np.testing.assert_array_equal(soft_disc(40, 30, 0) == 0, background_region(40, 30))


def test_disc_without_background_is_refused():
    with pytest.raises(InputError, match="leaves no background in a box of 32 px"):
        background_region(32, 44)
