"""Sine and cosine in turns against the math library."""

import numpy as np
import pytest
from numba import njit

from cryoalign.core.search.weigh import cosine_of_turns, sine_of_turns


@njit
def both(turns):
    sine, cosine = np.empty_like(turns), np.empty_like(turns)
    for i in range(len(turns)):
        sine[i], cosine[i] = sine_of_turns(turns[i]), cosine_of_turns(turns[i])
    return sine, cosine


@pytest.mark.parametrize("start", [-1.0, -0.5, 0.0, 100.0, -1000.0])
def test_sine_and_cosine_of_turns(start):
    turns = (start + np.linspace(0, 1, 4001)).astype(np.float32)
    exact = 2 * np.pi * turns.astype(np.float64)
    sine, cosine = both(turns)
    assert sine.dtype == cosine.dtype == np.float32
    # A few roundings of float32 at 1.
    np.testing.assert_allclose(sine, np.sin(exact), atol=6e-7)
    np.testing.assert_allclose(cosine, np.cos(exact), atol=6e-7)
