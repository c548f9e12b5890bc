"""Second derivatives as differences of gradients.

The workspace is that of `WithDifferences`: the plain problem's; the numbers of Hessians and of products, int64 (2,),
written; and a pair of a float array (4, n), written, and the number of gradients evaluated, int64 (1,), written.
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import portable
from gradopt._core.protocol import value_and_grad
from gradopt._numerics.vectors import copy, epsilon, fill

# A parameter that is smaller than this share of the largest one has its scale.
_NEGLIGIBLE = 1e-6


@portable
def differences_hessian(problem, low, high, power, matrix, work, x):
    """Write the differences of the gradient along each parameter; the rows and columns of fixed parameters are 0.

    problem : lowered, the plain one
    low, high : float arrays (n,), the bounds
    power : the steps are eps**power times the scale of a parameter
    matrix, x : as for `protocol.hessian`
    """
    n, (plain_work, counts, (vectors, gradients)) = x.size, work
    counts[0] += 1
    largest, direction = _largest(x), vectors[3]
    fill(direction, 0.0)
    for j in range(n):
        direction[j] = 1.0
        h = epsilon(x) ** power * _scale(x[j], largest)
        _difference(problem, low, high, h, vectors, gradients, plain_work, x)
        direction[j] = 0.0
        for i in range(n):
            matrix[i, j] = vectors[1, i] if low[i] < high[i] else 0.0
    for i in range(n):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = 0.5 * matrix[i, j] + 0.5 * matrix[j, i]


@portable
def differences_product(problem, low, high, power, out, work, x, v):
    """Write the difference of the gradient along v; the arguments are those of `differences_hessian`."""
    plain_work, counts, (vectors, gradients) = work
    counts[1] += 1
    largest, steepest = _largest(x), 0.0
    for j in range(x.size):
        steepest = max(steepest, abs(np.float64(v[j])) / _scale(x[j], largest))
    fill(vectors[1], 0.0)
    if steepest > 0.0:
        copy(vectors[3], v)
        _difference(problem, low, high, epsilon(x) ** power / steepest, vectors, gradients, plain_work, x)
    copy(out, vectors[1])


@portable
def _largest(x):
    largest = 0.0
    for j in range(x.size):
        largest = max(largest, abs(np.float64(x[j])))
    return largest


@portable
def _scale(x, largest):
    """The scale of a parameter, from the largest one; 1 where all are 0."""
    scale = max(abs(np.float64(x)), _NEGLIGIBLE * largest) if x != 0.0 else largest
    return scale if scale > 0.0 else 1.0


@portable
def _difference(problem, low, high, h, vectors, gradients, work, x):
    """Write to vectors[1] the derivative of the gradient along v = vectors[3], from points h v away on both sides.

    Next to a bound, both points are on the other side, or nearer.

    vectors : float array (4, n), the first three are written
    gradients : int64 array (1,), the number of gradients evaluated, written
    """
    point, slope, other, v = vectors[0], vectors[1], vectors[2], vectors[3]
    ahead, behind = np.inf, np.inf
    for j in range(x.size):
        if v[j] != 0.0:
            size = abs(np.float64(v[j]))
            up, down = (np.float64(high[j]) - x[j]) / size, (np.float64(x[j]) - low[j]) / size
            ahead, behind = min(ahead, up if v[j] > 0.0 else down), min(behind, down if v[j] > 0.0 else up)
    first, second = h, -h
    if min(ahead, behind) < h:
        h = min(h, 0.5 * max(ahead, behind))
        first, second = (h, 2.0 * h) if ahead >= behind else (-h, -2.0 * h)
    fill(slope, 0.0)
    fill(other, 0.0)
    if h == 0.0:  # a fixed parameter
        return
    # The parabola through the gradients g at 0, a and b has the slope (g(a) b/a - g(b) a/b) / (b - a), and g(0) takes
    # part if a and b are on the same side.
    toward, away = second / first / (second - first), -(first / second) / (second - first)
    if first * second > 0.0:
        value_and_grad(problem, slope, work, x)
        gradients[0] += 1
    for j in range(x.size):
        other[j] = -(toward + away) * slope[j]
    for turn in range(2):
        t, weight = (first, toward) if turn == 0 else (second, away)
        for j in range(x.size):
            point[j] = min(max(x[j] + x.dtype.type(t * v[j]), low[j]), high[j])
        value_and_grad(problem, slope, work, point)
        gradients[0] += 1
        for j in range(x.size):
            other[j] += weight * slope[j]
    copy(slope, other)
