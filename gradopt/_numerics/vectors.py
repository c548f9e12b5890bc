"""Kernels on whole vectors. Arrays are float arrays (n,), C order.

`static_length` is None, or a tuple of n <= 4 numbers, which makes n part of the type. Such vectors are handled without
loops: LLVM does not unroll a loop that it has optimised before in another function, and a loop over an array keeps the
array out of registers.
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import kernel, noinline, summation


@kernel(inline=True)
def epsilon(v):
    """The distance from 1 to the next larger number in the precision of v."""
    return 2.0**-23 if v.itemsize == 4 else 2.0**-52  # np.finfo takes a tenth of a second to compile


@kernel(inline=True)
def copy(out, v):
    """Copy v to out."""
    for j in range(v.size):
        out[j] = v[j]


@kernel(inline=True)
def fill(out, value):
    """Set each element of out."""
    for j in range(out.size):
        out[j] = value


@kernel(inline=True)
def copy_to_row(out, row, v):
    """Copy v to a row of out, a float array (m, n)."""
    for j in range(v.size):
        out[row, j] = v[j]


@kernel(inline=True)
def subtract(out, u, v):
    """Write u - v to out."""
    for j in range(v.size):
        out[j] = u[j] - v[j]


@kernel(inline=True)
def norm(static_length, v):
    """The Euclidean norm of v, without overflow or underflow; not finite where v is not."""
    if static_length is None:
        return _norm_of_many(v)
    a, b, c, d = _elements(v)
    squares = (a * a + b * b) + (c * c + d * d)
    if 1e-290 < squares < np.inf:
        return math.sqrt(squares)
    # Not math.hypot: a call here would push the loop's numbers out of their registers.
    scale = max(abs(a), abs(b), abs(c), abs(d))
    if not 0.0 < scale < np.inf:
        return squares
    a, b, c, d = a / scale, b / scale, c / scale, d / scale
    return scale * math.sqrt((a * a + b * b) + (c * c + d * d))


@kernel(inline=True)
def inner(static_length, u, v):
    """The inner product of u and v, in float64."""
    if static_length is None:
        return _inner_of_many(u, v)
    a, b, c, d = _elements(u)
    e, f, g, h = _elements(v)
    return (a * e + b * f) + (c * g + d * h)


@kernel(inline=True)
def within(static_length, v, norm_of_v, bound):
    """Whether the largest abs(v[j]) is at most `bound` >= 0; v is finite."""
    # The norm is at most sqrt(n) times the largest element, so most calls need not look at v.
    if norm_of_v > 1.01 * math.sqrt(v.size) * bound:
        return False
    if static_length is None:
        return _largest(v) <= bound
    a, b, c, d = _elements(v)
    return max(abs(a), abs(b), abs(c), abs(d)) <= bound


@kernel(inline=True)
def _elements(v):
    size = v.size
    b = np.float64(v[1]) if size > 1 else 0.0
    c = np.float64(v[2]) if size > 2 else 0.0
    d = np.float64(v[3]) if size > 3 else 0.0
    return np.float64(v[0]), b, c, d


@kernel(late_bound=True)
def _norm_of_many(v):
    squares = 0.0
    if v.size < 16:  # not worth a call
        for j in range(v.size):
            squares += np.float64(v[j]) * np.float64(v[j])
    else:
        squares = _sum_of_squares(v)
    if 1e-30 < squares < np.inf:  # far from where float32 underflows or overflows
        return math.sqrt(squares)
    scale = _largest(v)
    if not 0.0 < scale < np.inf:
        return squares
    total = 0.0
    for j in range(v.size):
        total += (v[j] / scale) ** 2
    return scale * math.sqrt(total)


@kernel(inline=True)
def _inner_of_many(u, v):
    if u.size >= 16:
        return dot(u, v)
    total = 0.0  # not worth a call
    for j in range(u.size):
        total += np.float64(u[j]) * np.float64(v[j])
    return total


@kernel(late_bound=True)
def _largest(v):
    largest = 0.0
    for j in range(v.size):
        largest = max(largest, abs(np.float64(v[j])))
    return largest


@summation
def _sum_of_squares(v):
    """The sum of v[j]**2, in the precision of v: summed over many lanes, it is as accurate as v."""
    noinline()
    total = v.dtype.type(0.0)
    for j in range(v.size):
        total += v[j] * v[j]
    return np.float64(total)


@summation(late_bound=True)
def dot(u, v):
    """The inner product of u and v, in float64."""
    total = 0.0
    for j in range(v.size):
        total += np.float64(u[j]) * np.float64(v[j])
    return total
