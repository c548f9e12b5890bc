"""The matrix product."""

from __future__ import annotations

from gradopt._compiler import COMPILING, TILE_ROWS, VECTOR_BYTES, kernel, tile


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
    while j < n:  # columns outside, so that a strip of b stays in the cache
        i = 0
        if j + 2 * width <= n:
            while i + TILE_ROWS <= m:
                tile(TILE_ROWS, 2, 0, c, first, a, b, i, j)
                i += TILE_ROWS
            while i < m:
                tile(1, 2, 0, c, first, a, b, i, j)
                i += 1
            j += 2 * width
        else:
            while i + TILE_ROWS <= m:
                tile(TILE_ROWS, 1, 1, c, first, a, b, i, j)
                i += TILE_ROWS
            while i < m:
                tile(1, 1, 1, c, first, a, b, i, j)
                i += 1
            j += width
