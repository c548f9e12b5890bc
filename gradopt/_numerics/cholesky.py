"""Cholesky's factorisation of small matrices, which need no library and no memory: of one, or of many side by side."""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import kernel, slice_of
from gradopt._numerics.vectors import epsilon


@kernel(late_bound=True)
def factor(matrix):
    """Replace the lower triangle of a symmetric matrix by L, with matrix = L L'; whether it is positive definite.

    A pivot that is left by rounding alone, within n eps of the element it came from, is none.

    matrix : float array (n, n), C order, written; only the lower triangle is used
    """
    n = matrix.shape[0]
    for i in range(n):
        largest = matrix[i, i]
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i > j:
                matrix[i, j] = total / matrix[j, j]
            elif total > n * epsilon(matrix) * largest:
                matrix[i, i] = math.sqrt(total)
            else:
                return False
    return True


@kernel(late_bound=True)
def solve_lower(matrix, v) -> None:
    """Solve L u = v, in place; matrix holds L in its lower triangle."""
    for i in range(v.size):
        total = v[i]
        for k in range(i):
            total -= matrix[i, k] * v[k]
        v[i] = total / matrix[i, i]


@kernel(late_bound=True)
def solve_upper(matrix, v) -> None:
    """Solve L'u = v, in place; matrix holds L in its lower triangle."""
    n = v.size
    for i in range(n - 1, -1, -1):
        total = v[i]
        for k in range(i + 1, n):
            total -= matrix[k, i] * v[k]
        v[i] = total / matrix[i, i]


# The same for many matrices side by side. Arrays (..., lanes) are vectors in C order.


@kernel(inline=True)
def row_of(vector, i, lanes):
    """Row i of an array (any, lanes)."""
    return slice_of(vector, i * lanes, lanes)


@kernel(late_bound=True)
def factor_in_lanes(factors, matrices, damping, definite) -> None:
    """Write L to `factors`, with L L' = matrix + damping I in each lane; 1 for pivots that rounding alone has left.

    factors : float array (n, n, lanes), written; only the lower triangles are used
    matrices : float array (n, n, lanes), read; only the lower triangles are used
    damping : float array (lanes,), read
    definite : bool array (lanes,), written: whether all pivots are sound
    """
    lanes = damping.size
    n, one = _order(factors, lanes), factors.dtype.type(1.0)
    few = factors.dtype.type(n) * factors.dtype.type(epsilon(factors))
    for k in range(lanes):
        definite[k] = True
    for i in range(n):
        for j in range(i + 1):
            row, source = row_of(factors, i * n + j, lanes), row_of(matrices, i * n + j, lanes)
            for k in range(lanes):
                row[k] = source[k] + damping[k] if i == j else source[k]
            for before in range(j):
                u, v = row_of(factors, i * n + before, lanes), row_of(factors, j * n + before, lanes)
                for k in range(lanes):
                    row[k] -= u[k] * v[k]
            if i > j:
                pivots = row_of(factors, j * n + j, lanes)
                for k in range(lanes):
                    row[k] /= pivots[k]
            else:
                for k in range(lanes):
                    sound = row[k] > few * (source[k] + damping[k])
                    definite[k] = definite[k] & sound
                    row[k] = np.sqrt(row[k]) if sound else one


@kernel(late_bound=True)
def solve_lower_in_lanes(factors, v, lanes) -> None:
    """Solve L u = v in each lane, in place; v : float array (n, lanes)."""
    n = _order(factors, lanes)
    for i in range(n):
        u, pivots = row_of(v, i, lanes), row_of(factors, i * n + i, lanes)
        for j in range(i):
            row, other = row_of(factors, i * n + j, lanes), row_of(v, j, lanes)
            for k in range(lanes):
                u[k] -= row[k] * other[k]
        for k in range(lanes):
            u[k] /= pivots[k]


@kernel(late_bound=True)
def solve_upper_in_lanes(factors, v, lanes) -> None:
    """Solve L'u = v in each lane, in place; v : float array (n, lanes)."""
    n = _order(factors, lanes)
    for i in range(n - 1, -1, -1):
        u, pivots = row_of(v, i, lanes), row_of(factors, i * n + i, lanes)
        for j in range(i + 1, n):
            row, other = row_of(factors, j * n + i, lanes), row_of(v, j, lanes)
            for k in range(lanes):
                u[k] -= row[k] * other[k]
        for k in range(lanes):
            u[k] /= pivots[k]


@kernel(inline=True)
def _order(factors, lanes):
    n = 0
    while (n + 1) * (n + 1) * lanes <= factors.size:
        n += 1
    return n
