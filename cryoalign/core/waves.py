"""Sine and cosine that a compiler can run in vector lanes.

The math library's functions are called one number at a time and would dominate the search; these are Chebyshev fits
over one whole turn, good to 4e-7 in float32. Arguments are in turns (cycles), so that the reduction is one rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_S0, _S1, _S2, _S3 = np.float32(6.2831853), np.float32(-41.3417004), np.float32(81.6051314), np.float32(-76.7030157)
_S4, _S5, _S6 = np.float32(42.0259286), np.float32(-14.8998494), np.float32(3.23813788)
_C0, _C1, _C2, _C3 = np.float32(1.0), np.float32(-19.7392045), np.float32(64.9391175), np.float32(-85.4501404)
_C4, _C5, _C6 = np.float32(60.1676347), np.float32(-25.9676056), np.float32(6.52865912)


@njit(inline="always")
def sine_of_turns(turns):  # type: ignore[no-untyped-def]
    """Compute sin(2 pi turns) in float32."""
    r = turns - np.rint(turns)
    s = r * r
    return r * (_S0 + s * (_S1 + s * (_S2 + s * (_S3 + s * (_S4 + s * (_S5 + s * _S6))))))


@njit(inline="always")
def cosine_of_turns(turns):  # type: ignore[no-untyped-def]
    """Compute cos(2 pi turns) in float32."""
    r = turns - np.rint(turns)
    s = r * r
    return _C0 + s * (_C1 + s * (_C2 + s * (_C3 + s * (_C4 + s * (_C5 + s * _C6)))))
