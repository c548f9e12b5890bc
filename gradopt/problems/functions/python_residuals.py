"""Residuals by calls of a user's function in Python, with derivatives of the user's or by differences."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core.protocol import gauss_newton, unknown_path
from gradopt.problems.base import Problem
from gradopt.problems.functions.by_address import PythonProblem
from gradopt.problems.functions.residuals import ResidualProblem, Table

# The number of points at which a function is not called again.
_KEPT_TABLES = 3

# The step of central differences, in units of the scale of a parameter.
_STEP = float(np.finfo(np.float64).eps ** (1 / 3))


class PythonResiduals(ResidualProblem):
    """Residuals by calls of the user's function, with their derivatives from the user or by differences.

    Parameters
    ----------
    residuals : callable
        x -> float64 array (m,).
    jacobian : callable
        (x, residuals at x, scales) -> float64 array (m, n).
    of_sum : callable
        residuals -> (objective, slopes, weights or None).
    x0 : float array (n,)
    m : int
    source : str or None
        How the derivatives are found.
    calls : int
        The calls of the function for one Jacobian.
    """

    class Lowered(NamedTuple):
        evaluate: Callable[..., float]
        memory: int = -1  # as in `ProblemByAddress`

    def __init__(
        self,
        residuals: Any,
        jacobian: Any,
        of_sum: Any,
        x0: NDArray[Any],
        m: int,
        source: str | None,
        calls: int,
    ) -> None:
        self._residuals, self._jacobian, self._of_sum = residuals, jacobian, of_sum
        self._x0, self.m, self._source, self._calls = x0, m, source, calls
        self._tables: deque[tuple[bytes, Table]] = deque(maxlen=_KEPT_TABLES)

    @property
    def n(self) -> int:
        return self._x0.size

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0.copy()

    @property
    def gradient_source(self) -> str | None:
        return self._source

    @property
    def interpreted(self) -> bool:
        return True

    @property
    def inlined(self) -> bool:
        return False

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return evaluations * (1 + self._calls), evaluations

    def workspace(self, dtype: Any) -> Any:
        return np.zeros(self.n)  # the scales of the parameters

    def memory(self, work: Any) -> NDArray[Any]:
        return work  # type: ignore[no-any-return]

    @property
    def objective(self) -> Problem:
        return PythonSum(self)

    def _lower(self, dtype: Any) -> Any:
        def evaluate(moments: Any, work: Any, x: Any) -> float:
            table = self.at(work, x)
            moments[:] = table.moments()
            return table.fun

        return self.Lowered(evaluate)

    def at(self, work: NDArray[np.float64], x: NDArray[Any]) -> Table:
        """The sum at x; work : the scales of the parameters so far, written"""
        np.maximum(work, np.abs(x), out=work)
        return self._table(x.astype(np.float64), work)

    def table(self, x: NDArray[np.float64]) -> Table:
        return self._table(np.array(x, np.float64), np.abs(x))

    def _table(self, x: NDArray[np.float64], scales: NDArray[np.float64]) -> Table:
        """The sum at x; a user's function is not called again at one of the last points."""
        key = x.tobytes()
        for known, table in self._tables:
            if known == key:
                return table
        with np.errstate(all="ignore"):
            residual = self._residuals(x)
            fun, slopes, weights = self._of_sum(residual)
            if np.isfinite(fun):
                jacobian = self._jacobian(x, residual, scales)
            else:
                jacobian = np.full((residual.size, x.size), np.nan)
            weights = np.ones(residual.size) if weights is None else weights
        table = Table(float(fun), residual, slopes, weights, jacobian)
        self._tables.append((key, table))
        return table


class PythonSum(Problem):
    """The sum of such residuals as an ordinary objective."""

    Lowered = PythonProblem.Lowered

    def __init__(self, residuals: PythonResiduals) -> None:
        self._residuals = residuals

    @property
    def n(self) -> int:
        return self._residuals.n

    @property
    def gradient_source(self) -> str | None:
        return self._residuals.gradient_source

    @property
    def interpreted(self) -> bool:
        return True

    @property
    def inlined(self) -> bool:
        return False

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._residuals.calls(evaluations, work)

    def workspace(self, dtype: Any) -> Any:
        return self._residuals.workspace(dtype)

    def memory(self, work: Any) -> NDArray[Any]:
        return self._residuals.memory(work)

    def _lower(self, dtype: Any) -> Any:
        def evaluate(grad: Any, work: Any, x: Any) -> float:
            table = self._residuals.at(work, x)
            grad[:] = table.jacobian.T @ table.slopes
            return table.fun

        return PythonProblem.Lowered(evaluate, None)


@gauss_newton.in_python(PythonResiduals)
def _(problem, moments, work, x):
    return problem.evaluate(moments, work, x)


@unknown_path.in_python(PythonResiduals)
def _(problem, work):
    return problem.memory >= 0 and work[0][problem.memory + 1] != 0.0


def central(
    residuals: Callable[[NDArray[Any]], NDArray[Any]],
    low: NDArray[Any],
    high: NDArray[Any],
    steps: NDArray[np.float64] | None = None,
) -> Callable[..., NDArray[np.float64]]:
    """Derivatives by central differences, by one-sided ones of the same order at a bound.

    steps : float64 array (n,), relative to the scale of each parameter; a parameter that was always 0 has the scale
        1e-3 of the others' largest, or 1
    """

    def jacobian(x: NDArray[Any], at_x: NDArray[Any], scales: NDArray[Any]) -> NDArray[np.float64]:
        result = np.zeros((at_x.size, x.size))
        largest = float(scales.max(initial=0.0)) or 1.0
        for j in range(x.size):
            h = (_STEP if steps is None else steps[j]) * (scales[j] or 1e-3 * largest)
            if low[j] == high[j]:
                continue

            def moved(by: float, j: int = j) -> tuple[NDArray[Any], float]:
                y = x.copy()
                y[j] = x[j] + by
                return residuals(y), y[j] - x[j]

            h = min(h, 0.5 * (high[j] - low[j]))
            if x[j] - h < low[j] or x[j] + h > high[j]:
                h = h if x[j] + h <= high[j] else -h
                h = h if low[j] <= x[j] + 2.0 * h <= high[j] else 0.5 * h
                (near, one), (far, two) = moved(h), moved(2.0 * h)
                result[:, j] = (two**2 * (near - at_x) - one**2 * (far - at_x)) / (one * two * (two - one))
            else:
                (above, up), (below, down) = moved(h), moved(-h)
                result[:, j] = (above - below) / (up - down)
        return result

    return jacobian
