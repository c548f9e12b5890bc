"""The covariances of many fits, side by side.

The derivatives J of the residuals of each fit, with columns of length 1, become Q R by the modified method of Gram and
Schmidt, whose R is as exact as that of Householder's (A. Bjorck, Numerical Methods for Least Squares Problems, 1996,
section 2.4.4), and (J'J)^-1 = R^-1 R^-T. A column that the ones before it explain is left out, and the parameters with
a share in that are undetermined.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, elementwise, kernel, slice_of
from gradopt._core.protocol import value_and_grad
from gradopt._numerics.vectors import epsilon

# Where a direction in which nothing changes has at least this share of a parameter, the parameter is undetermined.
SHARE = 1e-3


class Covariances(NamedTuple):
    """The covariances of the fits of a block, without the variance of a residual; written."""

    sums: NDArray[np.float64]  # (fits, 2) of the squared slopes, of the curvatures
    inverse: NDArray[np.float64]  # (fits, n n) (J'J)^-1; 0 where a parameter is not free
    undetermined: NDArray[np.bool_]  # (fits, n) also of parameters that a bound holds


class Space(NamedTuple):
    """What the kernel works in."""

    factors: NDArray[Any]  # (n n lanes,) R
    norms: NDArray[Any]  # (n lanes,) of the columns of J
    spare: NDArray[Any]  # (lanes,)
    inverse: NDArray[np.float64]  # (n, n)


def new_space(lanes: int, n: int, dtype: Any) -> Space:
    """Space for so many lanes and parameters."""
    return Space(np.zeros(n * n * lanes, dtype), np.zeros(n * lanes, dtype), np.zeros(lanes, dtype), np.zeros((n, n)))


@kernel
def covariances(problem, inputs, free, m, found, space, work, out, x):
    """Compute the covariances of all fits.

    problem : the lowered tape, as `ResidualTapes.errors_in_lanes` makes it
    inputs : float array (fits, N), what the tape takes as x, the parameters first
    free : float array (fits, n), 1 for parameters that no bound holds, else 0
    m : the number of residuals
    found : Covariances
    work : the workspace of the tape
    out : float array ((2 + n m) lanes,), written by the tape
    x : float array (N lanes,), written
    """
    inputs, free, found, space = borrowed(inputs), borrowed(free), borrowed(found), borrowed(space)
    work, out, x = borrowed(work), borrowed(out), borrowed(x)
    lanes, (count, width), n = space.spare.size, inputs.shape, free.shape[1]
    table = slice_of(out, 2 * lanes, n * m * lanes)
    for first in range(0, count, lanes):
        for lane in range(lanes):
            fit = min(first + lane, count - 1)
            for i in range(width):
                x[i * lanes + lane] = inputs[fit, i]
        value_and_grad(problem, out, work, x)
        for lane in range(lanes):
            fit = min(first + lane, count - 1)
            found.sums[fit, 0], found.sums[fit, 1] = out[lane], out[lanes + lane]
            for j in range(n):
                space.norms[j * lanes + lane] = free[fit, j]
        orthogonalise(table, space.factors, space.norms, space.spare, m)
        for lane in range(min(lanes, count - first)):
            _invert(space.factors, space.norms, space.inverse, found, first + lane, lane, lanes)


@elementwise
def orthogonalise(table, factors, norms, spare, m) -> None:
    """Replace J by Q, with J = Q R D in each lane.

    table : float array (n m lanes,), columns of J, written: Q, with columns of 0 where the ones before explain J's
    factors : float array (n n lanes,), written: R; the diagonal is 0 where a column is left out
    norms : float array (n lanes,), 0 for columns to leave out, else 1; written: D, the norms of the columns
    spare : float array (lanes,), written
    m : the length of a column
    """
    lanes = spare.size
    n, size = norms.size // lanes, m * lanes
    least = 4.0 * max(m, n) * epsilon(spare)
    for j in range(n):
        column, norm = slice_of(table, j * size, size), slice_of(norms, j * lanes, lanes)
        for k in range(lanes):
            spare[k] = 0.0
        for i in range(m):
            for k in range(lanes):
                spare[k] += column[i * lanes + k] * column[i * lanes + k]
        for k in range(lanes):
            norm[k] *= np.sqrt(spare[k])
            spare[k] = 1.0 / norm[k] if norm[k] > 0.0 else 0.0
        for i in range(m):
            for k in range(lanes):
                column[i * lanes + k] *= spare[k]
        for before in range(j + 1):
            r = slice_of(factors, (before * n + j) * lanes, lanes)
            other = slice_of(table, before * size, size)
            for k in range(lanes):
                r[k] = 0.0
            for i in range(m):
                for k in range(lanes):
                    r[k] += other[i * lanes + k] * column[i * lanes + k]
            if before < j:
                for i in range(m):
                    for k in range(lanes):
                        column[i * lanes + k] -= r[k] * other[i * lanes + k]
            else:
                for k in range(lanes):
                    length = np.sqrt(r[k])
                    r[k] = length if length > least else 0.0
                    spare[k] = 1.0 / length if length > least else 0.0
                for i in range(m):
                    for k in range(lanes):
                        column[i * lanes + k] *= spare[k]


@kernel(late_bound=True)
def _invert(factors, norms, inverse, found, fit, lane, lanes):
    """Write (J'J)^-1 of one fit, and what is undetermined."""
    n = inverse.shape[0]
    for j in range(n):
        found.undetermined[fit, j] = False
    for j in range(n):  # inverse[:j + 1, j] becomes column j of R^-1
        pivot = np.float64(factors[(j * n + j) * lanes + lane])
        for i in range(n):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / pivot if pivot > 0.0 else 1.0
        for i in range(j - 1, -1, -1):
            total = 0.0
            for k in range(i + 1, j + 1):
                total += np.float64(factors[(i * n + k) * lanes + lane]) * inverse[k, j]
            diagonal = np.float64(factors[(i * n + i) * lanes + lane])
            inverse[i, j] = -total / diagonal if diagonal > 0.0 else 0.0
        if not pivot > 0.0:  # the column is a combination of the ones before, or 0
            length = 0.0
            for i in range(j + 1):
                length += inverse[i, j] ** 2
            for i in range(j + 1):
                if abs(inverse[i, j]) > SHARE * math.sqrt(length):
                    found.undetermined[fit, i] = True
                inverse[i, j] = 0.0
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(max(i, j), n):
                total += inverse[i, k] * inverse[j, k]
            size = np.float64(norms[i * lanes + lane]) * np.float64(norms[j * lanes + lane])
            found.inverse[fit, i * n + j] = total / size if size > 0.0 else 0.0
