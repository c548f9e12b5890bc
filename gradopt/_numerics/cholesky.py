"""Cholesky's factorisation of small matrices, which need no library and no memory."""

from __future__ import annotations

import math

from gradopt._compiler import kernel
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
