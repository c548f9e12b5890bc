"""Quadratic functions."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import hessian, hessian_product, value_and_grad
from gradopt._numerics.vectors import dot
from gradopt.problems.base import Problem


@config
class Quadratic(Problem):
    """f(x) = 1/2 x'Ax - b'x + c.

    If A is positive definite, the minimum is at the solution of Ax = b.

    Parameters
    ----------
    A : array_like (n, n) or float
        A number is a 1-by-1 matrix: Quadratic(2.0) is x**2. Only the symmetric part of A is kept, because f depends on
        nothing else.
    b : array_like (n,) or float, optional
        Default zeros.
    c : float
        Added to f.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Quadratic([[3.0, 1.0], [1.0, 2.0]], b=[1.0, 1.0])
    >>> problem.minimizer, problem.minimum
    (array([0.2, 0.4]), -0.3)
    """

    A: Any
    b: Any = None
    c: float = 0.0

    def __post_init__(self) -> None:
        A = validate.array("A", np.atleast_2d(self.A) if np.ndim(self.A) == 0 else self.A, 2)
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"A must be square, got shape {A.shape}")
        b = np.zeros(len(A), A.dtype) if self.b is None else validate.array("b", np.atleast_1d(self.b), 1, A.dtype)
        if b.size != len(A):
            raise ValueError(f"b must have {len(A)} elements, one for each row of A, got {b.size}")
        object.__setattr__(self, "A", A / 2 + A.T / 2)
        object.__setattr__(self, "b", b)
        self._check("c", validate.number)

    def __repr__(self) -> str:
        return f"Quadratic(A={self.A.shape}, b={self.b.shape}, c={self.c})"

    @property
    def n(self) -> int:
        return len(self.A)

    @property
    def x0(self) -> NDArray[Any]:
        return np.ones_like(self.b)

    @cached_property
    def minimizer(self) -> NDArray[np.float64] | None:
        """The solution of Ax = b; None if A is not positive definite to working precision."""
        A = self.A.astype(np.float64)
        try:
            np.linalg.cholesky(A)
        except np.linalg.LinAlgError:
            return None
        return np.linalg.solve(A, self.b.astype(np.float64))

    @property
    def minimum(self) -> float | None:
        return None if self.minimizer is None else float(self.c - 0.5 * (self.b @ self.minimizer))


@value_and_grad.on(Quadratic)
def _(problem, grad, work, x):
    n = x.size
    f = 0.0
    for i in range(n):
        product = 0.0
        if n < 16:
            for j in range(n):
                product += np.float64(problem.A[i, j]) * np.float64(x[j])
        else:
            product = dot(problem.A[i], x)
        grad[i] = product - problem.b[i]
        f += x[i] * (0.5 * product - problem.b[i])
    return f + problem.c


@hessian.on(Quadratic)
def _(problem, matrix, work, x):
    for i in range(x.size):
        for j in range(x.size):
            matrix[i, j] = problem.A[i, j]


@hessian_product.on(Quadratic)
def _(problem, out, work, x, v):
    for i in range(x.size):
        out[i] = dot(problem.A[i], v)
