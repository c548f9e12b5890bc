"""Factorisations of matrices and the solutions of their equations, one stack after another."""

from __future__ import annotations

import numpy as np

from gradopt._compiler import borrowed, kernel, matrix
from gradopt._numerics import lapack
from gradopt._numerics.expm import expm
from gradopt._tape.machine.transfers import chosen

OPERATIONS = (
    *("cholesky", "triangular_solve", "lu", "lu_solve", "determinant", "log_determinant", "sign_of_determinant"),
    *("eigh", "qr", "expm"),
)
CHOLESKY, TRIANGULAR_SOLVE, LU, LU_SOLVE, DETERMINANT, LOG_DETERMINANT, SIGN_OF_DETERMINANT, EIGH, QR, EXPM = range(10)


@kernel(late_bound=True)
def of_matrices(tables, at, arrays) -> None:
    """Apply an operation to each matrix of a stack.

    tables[at:] : its number in OPERATIONS; the place of the result in `work`; how many matrices; the rows and columns
    of its last matrix; the sides of a triangular matrix, or whether a matrix is transposed; array and place of up to
    three inputs. All inputs lie in C order.
    """
    constants, grad, work, x = borrowed(arrays)
    operation, out, count = tables[at], tables[at + 1], tables[at + 2]
    m, n, sides = tables[at + 3], tables[at + 4], tables[at + 5]
    a, first_a = chosen(tables[at + 6], constants, grad, work, x), tables[at + 7]
    b, first_b = chosen(tables[at + 8], constants, grad, work, x), tables[at + 9]
    c, first_c = chosen(tables[at + 10], constants, grad, work, x), tables[at + 11]
    if operation == CHOLESKY:
        _cholesky(work, out, a, first_a, count, n)
    elif operation == TRIANGULAR_SOLVE:
        _solve_triangular(work, out, a, first_a, b, first_b, count, m, n, sides)
    elif operation == LU:
        _factor(work, out, a, first_a, count, n)
    elif operation == LU_SOLVE:
        _solve(work, out, b, first_b, c, first_c, count, m, n, sides)
    elif operation == EIGH:
        _eigh(work, out, a, first_a, count, n)
    elif operation == QR:
        _qr(work, out, a, first_a, count, m, n)
    elif operation == EXPM:
        _expm(work, out, a, first_a, count, n)
    else:
        _determinant(operation, work, out, b, first_b, count, n)


@kernel(inline=True)
def _copied(work, to, source, first, size):
    for i in range(size):
        work[to + i] = source[first + i]


@kernel(late_bound=True)
def _cholesky(work, out, a, first, count, n) -> None:
    for i in range(count):
        to = out + i * n * n
        _copied(work, to, a, first + i * n * n, n * n)
        lapack.cholesky(matrix(borrowed(work), to, n, n))


@kernel(late_bound=True)
def _solve_triangular(work, out, t, first_t, y, first_y, count, n, k, sides) -> None:
    for i in range(count):
        to = out + i * n * k
        _copied(work, to, y, first_y + i * n * k, n * k)
        one = matrix(borrowed(t), first_t + i * n * n, n, n)
        lapack.solve_triangular(one, matrix(borrowed(work), to, n, k), sides & 1, sides & 2, sides & 4)


@kernel(late_bound=True)
def _factor(work, out, a, first, count, n) -> None:
    pivots = np.empty(n, np.int32)
    for i in range(count):
        to = out + i * (n * n + n)
        _copied(work, to, a, first + i * n * n, n * n)
        lapack.lu(matrix(borrowed(work), to, n, n), pivots)
        for j in range(n):
            work[to + n * n + j] = pivots[j]


@kernel(late_bound=True)
def _solve(work, out, factors, first, y, first_y, count, n, k, transposed) -> None:
    pivots = np.empty(n, np.int32)
    for i in range(count):
        to, begin = out + i * n * k, first + i * (n * n + n)
        _copied(work, to, y, first_y + i * n * k, n * k)
        for j in range(n):
            pivots[j] = np.int32(factors[begin + n * n + j])
        one = matrix(borrowed(factors), begin, n, n)
        lapack.lu_solve(one, pivots, matrix(borrowed(work), to, n, k), transposed)


@kernel(late_bound=True)
def _determinant(operation, work, out, factors, first, count, n) -> None:
    """The determinant from LU factors, its sign, or the logarithm of its size."""
    real = work.dtype.type
    for i in range(count):
        begin = first + i * (n * n + n)
        sign, size, logarithm = real(1.0), real(1.0), real(0.0)
        for j in range(n):
            pivot = factors[begin + j * n + j]
            swapped = factors[begin + n * n + j] != j + 1
            if pivot != pivot:
                sign = pivot
            elif (pivot < 0.0) != swapped:
                sign = -sign
            sign = sign * real(0.0) if pivot == 0.0 else sign
            size *= abs(pivot)
            logarithm += np.log(abs(pivot))
        if operation == DETERMINANT:
            work[out + i] = sign * size
        else:
            work[out + i] = logarithm if operation == LOG_DETERMINANT else sign


@kernel(inline=True)
def _is_finite(a, first, size):
    finite = True
    for i in range(size):
        finite = finite and np.isfinite(a[first + i])
    return finite


@kernel(inline=True)
def _fill_with_nan(work, to, size):
    for i in range(size):
        work[to + i] = np.nan


@kernel(late_bound=True)
def _eigh(work, out, a, first, count, n) -> None:
    """Eigenvalues, and below them the eigenvectors as rows."""
    for i in range(count):
        to, begin = out + i * (n + 1) * n, first + i * n * n
        if not _is_finite(a, begin, n * n):
            _fill_with_nan(work, to, (n + 1) * n)
            continue
        values, vectors = np.linalg.eigh(matrix(a, begin, n, n).copy())
        for j in range(n):
            work[to + j] = values[j]
            for k in range(n):
                work[to + n + j * n + k] = vectors[k, j]


@kernel(late_bound=True)
def _qr(work, out, a, first, count, m, n) -> None:
    """Q, and below it R."""
    for i in range(count):
        to, begin = out + i * (m + n) * n, first + i * m * n
        if not _is_finite(a, begin, m * n):
            _fill_with_nan(work, to, (m + n) * n)
            continue
        q, r = np.linalg.qr(matrix(a, begin, m, n).copy())
        for j in range(n):
            for row in range(m):
                work[to + row * n + j] = q[row, j]
            for row in range(n):
                work[to + (m + row) * n + j] = r[row, j]


@kernel(late_bound=True)
def _expm(work, out, a, first, count, n) -> None:
    for i in range(count):
        to, begin = out + i * n * n, first + i * n * n
        if _is_finite(a, begin, n * n):
            result = expm(matrix(a, begin, n, n).copy())
            for j in range(n):
                for k in range(n):
                    work[to + j * n + k] = result[j, k]
        else:
            _fill_with_nan(work, to, n * n)
