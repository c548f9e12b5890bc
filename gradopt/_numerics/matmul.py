"""The matrix product."""

from __future__ import annotations

from gradopt._compiler import COMPILING, TILE_ROWS, VECTOR_BYTES, kernel, tile

# The rows that are left over: one at a time, a tile would wait for each sum to end before the next number is added.
_HALF, _QUARTER = TILE_ROWS // 2, TILE_ROWS // 4

# With fewer rows than that, tiles are wider: there are not enough sums else to keep the processor busy.
_FEW = 4


@kernel(late_bound=True)
def product(c, first, a, b) -> None:
    """Compute c = first + a b.

    c : float array (m, n), C order, written
    first : float array (m, n), rows contiguous, read: c itself, to add to it, or another. Without elements: 0
    a : float array (m, k), any strides, read
    b : float array (k, n), C order, read

    Each element is summed in the order of k, whatever the sizes.
    """
    if not COMPILING:
        c[:] = (first if first.size else 0) + a @ b
        return
    width = VECTOR_BYTES // c.itemsize
    (m, n), j = c.shape, 0
    if 0 < m < _FEW:
        while m == 1 and j + 8 * width <= n:
            tile(1, 8, 0, c, first, a, b, 0, j)
            j += 8 * width
        while j + 4 * width <= n:
            if m == 1:
                tile(1, 4, 0, c, first, a, b, 0, j)
            elif m == 2:
                tile(2, 4, 0, c, first, a, b, 0, j)
            else:
                tile(3, 4, 0, c, first, a, b, 0, j)
            j += 4 * width
    while j < n:  # columns outside, so that a strip of b stays in the cache
        i = 0
        if j + 2 * width <= n:
            while i + TILE_ROWS <= m:
                tile(TILE_ROWS, 2, 0, c, first, a, b, i, j)
                i += TILE_ROWS
            if i + _HALF <= m:
                tile(_HALF, 2, 0, c, first, a, b, i, j)
                i += _HALF
            if i + _QUARTER <= m:
                tile(_QUARTER, 2, 0, c, first, a, b, i, j)
                i += _QUARTER
            if i < m:
                tile(1, 2, 0, c, first, a, b, i, j)
            j += 2 * width
        else:
            while i + TILE_ROWS <= m:
                tile(TILE_ROWS, 1, 1, c, first, a, b, i, j)
                i += TILE_ROWS
            if i + _HALF <= m:
                tile(_HALF, 1, 1, c, first, a, b, i, j)
                i += _HALF
            if i + _QUARTER <= m:
                tile(_QUARTER, 1, 1, c, first, a, b, i, j)
                i += _QUARTER
            if i < m:
                tile(1, 1, 1, c, first, a, b, i, j)
            j += width
