"""Functions that return residuals: what their problems share, for methods that look at each residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._losses.robust import spread_of
from gradopt._numerics.bounds import Box
from gradopt.problems.base import Curved, Problem


class Table(NamedTuple):
    """A sum over points at x, point by point."""

    fun: float
    residual: NDArray[np.float64]  # (m,)
    slopes: NDArray[np.float64]  # (m,) the gradient is J'slopes
    weights: NDArray[np.float64]  # (m,) the matrix of Gauss and Newton is J' diag(weights) J
    jacobian: NDArray[np.float64]  # (m, n) J, the derivatives of the residuals

    def moments(self) -> NDArray[np.float64]:
        """What `gauss_newton` writes."""
        J, weighted = self.jacobian, self.jacobian * self.weights[:, None]
        matrix = (weighted.T @ J)[np.tril_indices(J.shape[1])]
        positive = self.weights > 0.0
        squares = np.sum(self.slopes[positive] ** 2 / self.weights[positive])
        return np.concatenate([J.T @ self.slopes, matrix, [squares]])


class ResidualProblem(Problem):
    """Base of the problems with a `gauss_newton` kernel.

    Attributes
    ----------
    m : int
        The number of residuals.
    loss, f_scale
        As for `LeastSquares`; or "poisson".
    """

    m: int
    loss: Any = "linear"
    f_scale: float = 1.0
    instead: Callable[[], ResidualProblem] | None = None  # makes the same anew, once its trace was given up

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        return self

    @property
    def objective(self) -> Problem:
        """The same as an ordinary objective."""
        raise NotImplementedError

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        """The variance of a residual, from the sum of squares; see `Problem.error_scale`."""
        table = self.table(np.asarray(x, np.float64))
        dof = self.m - x.size
        if dof <= 0:
            return np.inf, np.inf
        if self.loss == "poisson":
            return 1.0, np.inf
        squares = float(table.slopes @ table.slopes)
        if self.loss == "linear":
            return squares / dof, float(dof)
        mean = spread_of(self.loss, table.residual, self.f_scale)  # P. Huber, Robust Statistics, 1981, section 7.6
        return (squares / dof / mean, float(dof)) if mean > 0.0 else None

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        table = self.table(np.asarray(x, np.float64))
        return table.slopes[:, None] * table.jacobian

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        return self.objective.by_curvature(x, box, whole=whole)

    def value_and_grad(self, x: Any) -> tuple[float, NDArray[Any]]:
        return self.objective.value_and_grad(x)

    def table(self, x: NDArray[np.float64]) -> Table:
        """The sum at x, point by point."""
        raise NotImplementedError


def checked_residuals(answer: Any) -> NDArray[np.float64]:
    """What a function of residuals returned, as float64 array (m,); else an error that says what it was."""
    array = np.asarray(answer)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the residuals must be real numbers, got {validate.shown(answer)}")
    if array.ndim > 1:
        raise ValueError(f"the residuals must be a vector, got an array of shape {array.shape}")
    if array.size == 0:
        raise ValueError("there must be residuals, got none")
    return np.atleast_1d(array).astype(np.float64)
