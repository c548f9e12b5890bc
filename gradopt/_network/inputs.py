"""How the rows of a batch become the input of a network: read where they are, or gathered into a matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import in_place, kernel, matrix


class SparseRows(NamedTuple):
    """A sparse matrix in the form of compressed rows; elements that are given twice are added."""

    values: NDArray[Any]  # float (k,)
    columns: NDArray[np.int64]  # (k,)
    starts: NDArray[np.int64]  # (m + 1,) where the rows begin


@kernel(late_bound=True)
def gather_sparse(out, sparse, rows, n) -> None:
    """Copy rows of a sparse matrix one after the other to out.

    out : float array (at least rows.size * n,), C order, written
    sparse : SparseRows, finite, with n columns, read
    rows : int64 array, each in [0, m), read
    """
    zero = out.dtype.type(0.0)
    for i in range(rows.size):
        row = rows[i]
        for j in range(n):
            out[i * n + j] = zero
        for k in range(sparse.starts[row], sparse.starts[row + 1]):
            out[i * n + sparse.columns[k]] += sparse.values[k]


@kernel(late_bound=True)
def gather(out, X, rows, known_finite):
    """Copy rows of X one after the other to out; returns the first row that is not finite, else -1.

    out : float array (at least rows.size * n_in,), C order, written
    X : real array (m, n_in), read
    rows : int64 array, each in [0, m), read
    known_finite : bool, whether the check can be skipped
    """
    infinity, n, faults = out.dtype.type(np.inf), X.shape[1], 0
    for i in range(rows.size):
        row = rows[i]
        for j in range(n):
            out[i * n + j] = X[row, j]
    if known_finite:
        return -1
    for i in range(rows.size * n):
        faults += not abs(out[i]) < infinity
    if faults == 0:
        return -1
    position = 0
    while abs(out[position]) < infinity:
        position += 1
    return rows[position // n]


@kernel(inline=True)
def inputs_of(work, X, sparse, rows, known_finite):
    """Return (bad, inputs): the result of `gather`, and the rows as a matrix, without a copy if possible.

    work : Scratch, written
    X, rows, known_finite : as for `gather`
    sparse : SparseRows in place of the rows of X, which has none then; or None
    """
    if sparse is not None:
        gather_sparse(work.inputs, sparse, rows, X.shape[1])
        return -1, matrix(work.inputs, 0, rows.size, X.shape[1])
    inputs = in_place(X, rows, work.inputs)
    if known_finite and inputs.shape[0] > 0:
        return -1, inputs
    return gather(work.inputs, X, rows, known_finite), matrix(work.inputs, 0, rows.size, X.shape[1])
