"""The exponential of a matrix, by scaling, Pade's approximation of order 13, and squaring.

N. Higham, The scaling and squaring method for the matrix exponential revisited, SIAM J. Matrix Anal. Appl. 26 (2005).
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import kernel
from gradopt._numerics import lapack

# The numerators' coefficients, and the largest 1-norm for which the approximation is exact to rounding.
_PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0),
    *(10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)
_LARGEST_NORM = 5.371920351148152


@kernel(late_bound=True)
def expm(a):
    """The exponential of a matrix.

    a : finite float array (n, n), C order, written
    """
    n, real = a.shape[0], a.dtype.type
    norm = 0.0
    for j in range(n):
        column = 0.0
        for i in range(n):
            column += abs(a[i, j])
        norm = max(norm, column)
    squarings = 0
    while norm > _LARGEST_NORM and squarings < 1100:
        norm *= 0.5
        squarings += 1
    # In two factors, neither of which is subnormal; then a is small or the result is not finite anyway.
    half = squarings // 2
    a *= real(math.pow(0.5, half))
    a *= real(math.pow(0.5, squarings - half))
    one = np.eye(n).astype(a.dtype)
    a2 = np.dot(a, a)
    a4 = np.dot(a2, a2)
    a6 = np.dot(a4, a2)
    b = _PADE
    odd = np.dot(a6, real(b[13]) * a6 + real(b[11]) * a4 + real(b[9]) * a2)
    odd = np.dot(a, odd + real(b[7]) * a6 + real(b[5]) * a4 + real(b[3]) * a2 + real(b[1]) * one)
    even = np.dot(a6, real(b[12]) * a6 + real(b[10]) * a4 + real(b[8]) * a2)
    even = even + real(b[6]) * a6 + real(b[4]) * a4 + real(b[2]) * a2 + real(b[0]) * one
    factors, result, pivots = even - odd, even + odd, np.empty(n, np.int32)
    lapack.lu(factors, pivots)
    lapack.lu_solve(factors, pivots, result, 0)
    for _ in range(squarings):
        result = np.dot(result, result)
    return result
