"""The innermost part of a matrix product: one tile of the result, in loops that LLVM turns into vectors as it can."""

from __future__ import annotations

from gradopt._compiler.kernel import kernel

VECTOR_BYTES, TILE_ROWS = 16, 4


@kernel(inline=True)
def tile(rows, vectors, partial, c, first, a, b, i, j):
    """Write one tile of c = first + a b, the one that begins at [i, j].

    rows, vectors : int, the size of the tile; a vector has VECTOR_BYTES
    partial : int, whether c may end before the tile
    first : array (m, n), may be c itself; read; or an array without elements, for 0
    c, a, b : arrays (m, n), (m, k), (k, n) of one dtype; written, read, read
    i, j : int
    """
    end = min(j + vectors * VECTOR_BYTES // c.itemsize, c.shape[1])
    for r in range(i, i + rows):
        for v in range(j, end):
            c[r, v] = first[r, v] if first.size > 0 else c.dtype.type(0)
        for t in range(b.shape[0]):
            for v in range(j, end):
                c[r, v] += a[r, t] * b[t, v]
