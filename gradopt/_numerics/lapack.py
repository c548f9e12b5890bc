"""Factorisations of matrices and the solutions of their equations, by scipy's LAPACK and BLAS, in place.

Arrays are float32 or float64, in C order. Fortran's order is the other one: LAPACK sees each matrix transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numba import types
from numba.extending import overload
from scipy.linalg import cython_blas, cython_lapack

from gradopt._compiler import by_reference
from gradopt._compiler.kernel import kernel

_potrf = [by_reference(cython_lapack, name, returns_info=True) for name in ("spotrf", "dpotrf")]
_getrf = [by_reference(cython_lapack, name, returns_info=True) for name in ("sgetrf", "dgetrf")]
_trsm = [by_reference(cython_blas, name, returns_info=False) for name in ("strsm", "dtrsm")]
_LOWER, _UPPER, _RIGHT, _AS_IT_IS, _TRANSPOSED, _UNIT, _NOT_UNIT = map(ord, "LURNTUN")


def _of(functions: Any, numba_type: Any) -> Any:
    return functions[numba_type.dtype == types.float64]


def factor_cholesky(a: Any) -> int:
    """Replace the lower triangle of a (n, n) by Cholesky's L; returns 0 if it is positive definite."""
    factor, info = scipy.linalg.get_lapack_funcs("potrf", (a,))(a.T, lower=0, clean=0)
    a[...] = factor.T
    return int(info)


@overload(factor_cholesky)
def _(a):
    potrf = _of(_potrf, a)

    def implementation(a):
        n = a.shape[0]
        return potrf((_UPPER, n, a, n))

    return implementation


def factor_lu(a: Any, pivots: Any) -> int:
    """Replace a (n, n) by the LU factors of its transpose, and pivots, int32 (n,), by the rows that were swapped."""
    factor, swapped, info = scipy.linalg.get_lapack_funcs("getrf", (a,))(a.T)
    a[...], pivots[...] = factor.T, swapped + 1
    return int(info)


@overload(factor_lu)
def _(a, pivots):
    getrf = _of(_getrf, a)

    def implementation(a, pivots):
        n = a.shape[0]
        return getrf((n, n, a, n, pivots))

    return implementation


def _solve_from_right(t: Any, y: Any, one: Any, upper: Any, transposed: Any, unit: Any) -> None:
    """Replace Y, the transpose of y (n, k), by the solution Z of Z op(T) = Y, where T is the transpose of t."""
    if upper == _LOWER:
        triangle = np.tril(t.T, -1) if unit == _UNIT else np.tril(t.T)
    else:
        triangle = np.triu(t.T, 1) if unit == _UNIT else np.triu(t.T)
    matrix = (triangle + np.eye(len(t), dtype=t.dtype) if unit == _UNIT else triangle).T
    with np.errstate(all="ignore"):
        solved = _substituted(matrix if transposed == _AS_IT_IS else matrix.T, y)
    y[...] = solved


def _substituted(t: Any, y: Any) -> Any:
    """The solution of t z = y, for a triangular t; not finite where t has a 0 on its diagonal."""
    z, n = y.copy(), len(t)
    lower = not np.triu(t, 1).any()
    for i in range(n) if lower else range(n - 1, -1, -1):
        before = slice(0, i) if lower else slice(i + 1, n)
        z[i] = (z[i] - t[i, before] @ z[before]) / t[i, i]
    return z


@overload(_solve_from_right)
def _(t, y, one, upper, transposed, unit):
    trsm = _of(_trsm, t)

    def solve_from_right(t, y, one, upper, transposed, unit):
        n, k = y.shape
        trsm((_RIGHT, upper, transposed, unit, k, n, one, t, n, y, k))

    return solve_from_right


@kernel
def cholesky(a):
    """Replace a by the L of a = L L', with zeros above; by NaN if it is not positive definite.

    a : float array (n, n), C order, written; its lower triangle is read
    """
    n = a.shape[0]
    definite = factor_cholesky(a) == 0 and np.isfinite(a[n - 1, n - 1])
    for i in range(n):
        for j in range(n):
            if not definite:
                a[i, j] = np.nan
            elif j > i:
                a[i, j] = 0.0


@kernel
def solve_triangular(t, y, lower, transposed, unit) -> None:
    """Replace y by the solution z of t z = y, or of t'z = y.

    t : float array (n, n), C order, read; its lower or upper triangle, with ones on the diagonal if `unit`
    y : float array (n, k), C order, written
    lower, transposed, unit : 0 or 1
    """
    one = t.dtype.type(1.0)
    how = _TRANSPOSED if transposed else _AS_IT_IS
    _solve_from_right(t, y, one, _UPPER if lower else _LOWER, how, _UNIT if unit else _NOT_UNIT)


@kernel
def lu(a, pivots) -> None:
    """Factor a, for `lu_solve`.

    a : float array (n, n), C order, written
    pivots : int32 array (n,), written
    """
    factor_lu(a, pivots)


@kernel
def lu_solve(factors, pivots, y, transposed) -> None:
    """Replace y by the solution z of a z = y, or of a'z = y, where `lu` made factors and pivots of a.

    The transpose of a is P'L U: so z'P'L U = y' for a, and U'L'P z = y for its transpose.

    factors : float array (n, n), C order, read
    pivots : int32 array (n,), read
    y : float array (n, k), C order, written
    transposed : 0 or 1
    """
    n, k = y.shape
    one = factors.dtype.type(1.0)
    if transposed:
        for i in range(n):
            _swap(y, i, pivots[i] - 1, k)
        _solve_from_right(factors, y, one, _LOWER, _TRANSPOSED, _UNIT)
        _solve_from_right(factors, y, one, _UPPER, _TRANSPOSED, _NOT_UNIT)
    else:
        _solve_from_right(factors, y, one, _UPPER, _AS_IT_IS, _NOT_UNIT)
        _solve_from_right(factors, y, one, _LOWER, _AS_IT_IS, _UNIT)
        for i in range(n - 1, -1, -1):
            _swap(y, i, pivots[i] - 1, k)


@kernel(inline=True)
def _swap(y, i, j, k):
    if i != j:
        for column in range(k):
            y[i, column], y[j, column] = y[j, column], y[i, column]
