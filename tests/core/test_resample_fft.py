"""Transforms along columns against numpy's."""

import numpy as np
import pytest

from cryoalign.core.resample.fft import factors_of, radices_of, transform_columns


def transform(x, *, inverse=False):
    size, columns = x.shape
    planes = [np.ascontiguousarray(part, np.float32).ravel() for part in (x.real, x.imag)]
    work = [np.full(x.size, np.nan, np.float32) for _ in range(2)]
    if inverse:  # the planes change places, going in and coming out
        planes.reverse()
    result = list(transform_columns(*planes, *work, size, columns, radices_of(size), factors_of(size))[:2])
    if inverse:
        result.reverse()
    return (result[0] + 1j * result[1]).reshape(size, columns)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 30, 65, 80, 100, 127, 128, 150, 160, 242])
@pytest.mark.parametrize("columns", [8, 24])
def test_transform_agrees_with_numpy(size, columns):
    rng = np.random.default_rng(size)
    x = rng.standard_normal((size, columns)) + 1j * rng.standard_normal((size, columns))
    for found, expected in [
        (transform(x), np.fft.fft(x, axis=0)),
        (transform(x, inverse=True), np.fft.ifft(x, axis=0) * size),
    ]:
        assert np.linalg.norm(found - expected) < 5e-7 * np.linalg.norm(expected)


def test_a_column_does_not_depend_on_the_others():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 16)) + 1j * rng.standard_normal((60, 16))
    whole = transform(x)
    x[:, 3] = np.nan
    others = np.arange(16) != 3
    np.testing.assert_array_equal(transform(x)[:, others], whole[:, others])


@pytest.mark.parametrize("size", [1, 2, 14, 16, 64, 128, 160, 320, 338, 451])
def test_radices_multiply_to_the_size(size):
    assert np.prod(radices_of(size)) == size
