"""Rosenbrock's valley.

H. H. Rosenbrock, An automatic method for finding the greatest or least value of a function, The Computer Journal 3,
1960; in n dimensions as in scipy.optimize.rosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import hessian, hessian_product, value_and_grad
from gradopt.problems.base import Problem


@config
class Rosenbrock(Problem):
    """f(x) = sum over i < n - 1 of b (x[i+1] - x[i]**2)**2 + (a - x[i])**2.

    A narrow curved valley: easy to enter, slow to follow. With n = 2 the minimum is 0 at (a, a**2); with a = 1 it is 0
    at (1, ..., 1) for every n. For n >= 4 there is also a local minimum.

    Parameters
    ----------
    a : float
        The position of the valley's lowest point.
    b : float
        The steepness of the walls, >= 0.
    n : int
        The number of parameters, >= 2.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Rosenbrock(n=4)
    >>> problem.x0, problem.value(problem.minimizer)
    (array([-1.2,  1. , -1.2,  1. ]), 0.0)
    """

    a: float = 1.0
    b: float = 100.0
    n: int = 2

    def __post_init__(self) -> None:
        self._check("a", validate.number)
        self._check("b", validate.number, 0)
        self._check("n", validate.integer, 2)

    @property
    def x0(self) -> NDArray[np.float64]:
        start = np.empty(self.n)
        start[::2], start[1::2] = -1.2, 1.0
        return start

    @property
    def minimizer(self) -> NDArray[np.float64] | None:
        if self.n == 2:
            return np.array([self.a, self.a**2])
        return np.ones(self.n) if self.a == 1.0 else None

    @property
    def minimum(self) -> float | None:
        return None if self.minimizer is None else 0.0


@value_and_grad.on(Rosenbrock)
def _(problem, grad, work, x):
    # With r = x[i+1] - x[i]**2 and s = a - x[i], the term b r**2 + s**2 adds -4 b x[i] r - 2 s to grad[i] and 2 b r to
    # grad[i+1]. The products are grouped so that few operations lie between x[i] and grad[i].
    real = x.dtype.type
    two_b, four_b = real(2.0 * problem.b), real(4.0 * problem.b)
    f = 0.0
    from_last_term = real(0.0)
    for i in range(x.size - 1):
        r = x[i + 1] - x[i] * x[i]
        s = problem.a - x[i]
        f += problem.b * (r * r) + s * s
        grad[i] = (from_last_term - (s + s)) - (four_b * x[i]) * r
        from_last_term = two_b * r
    grad[x.size - 1] = from_last_term
    return f


@hessian.on(Rosenbrock)
def _(problem, matrix, work, x):
    for i in range(x.size):
        for j in range(x.size):
            matrix[i, j] = 0.0
    for i in range(x.size - 1):
        matrix[i, i] += 2.0 + problem.b * (12.0 * x[i] * x[i] - 4.0 * x[i + 1])
        matrix[i, i + 1] = matrix[i + 1, i] = -4.0 * problem.b * x[i]
        matrix[i + 1, i + 1] += 2.0 * problem.b


@hessian_product.on(Rosenbrock)
def _(problem, out, work, x, v):
    from_last_term = x.dtype.type(0.0)
    for i in range(x.size - 1):
        own, mixed = 2.0 + problem.b * (12.0 * x[i] * x[i] - 4.0 * x[i + 1]), -4.0 * problem.b * x[i]
        out[i] = from_last_term + own * v[i] + mixed * v[i + 1]
        from_last_term = mixed * v[i] + 2.0 * problem.b * v[i + 1]
    out[x.size - 1] = from_last_term
