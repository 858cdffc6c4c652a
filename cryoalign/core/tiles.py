"""The tile: 64 rows that are computed together.

BLAS and vector code give bits that depend on a row's place among its neighbours. A row's slot in its tile is its
global row number modulo 64 and work starts at multiples of 64, so no block size, thread count or resumed run can
change the arithmetic.
"""

TILE = 64
"""Rows of a tile."""
