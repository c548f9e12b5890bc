"""How the model of `curve_fit` becomes residuals: f(x, *params, *args) of all points at once, minus y, by sigma."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from gradopt._losses.robust import of_counts, of_squares
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.traced_array import TracedArray
from gradopt.problems.functions.traced_residuals import ResidualForm, TracedResiduals, as_vector
from gradopt.problems.functions.tracing import Results

# The losses of `CurveFit` and `PolynomialFit` that are sums of squares -> the factor on half the squares.
SQUARED = {"mse": 2.0, "half_squared_error": 1.0}


def weight_of(loss: str, rows: int, weights: NDArray[Any] | None) -> Any:
    """The factor on each residual, a number or (rows,), with which half the sum of squares is the objective."""
    if weights is None:
        return math.sqrt(SQUARED[loss] / rows)
    return np.sqrt(SQUARED[loss] / weights.sum() * weights.astype(np.float64))


class CurveForm(ResidualForm):
    """The residuals of a curve, as a function of its free parameters.

    The other arguments of the function are (x, y, spread, *args). Spread is None, sigma (m,), or the matrix (m, m) that
    makes the residuals independent.

    Parameters
    ----------
    loss : str or callable
        Of `robust.LOSSES`, or "poisson".
    scale : float
    parameters : tuple
        The fixed value of each parameter, or None for a free one.
    """

    def __init__(self, loss: Any, scale: float, parameters: tuple[float | None, ...]) -> None:
        super().__init__(loss, scale)
        self._parameters = parameters
        self.key = ("curve", loss, scale, parameters)

    def all_parameters(self, free: Any) -> list[Any]:
        """The fixed parameters and the free ones, in their order."""
        ones = iter(free)
        return [next(ones) if value is None else value for value in self._parameters]

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> NDArray[np.float64]:
        at, y, spread, *others = args
        values = model_values(fun(at, *self.all_parameters(x), *others), y.size)
        residual: NDArray[np.float64] = _spread(values - y, spread)
        return residual

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        at, y, spread, *others = args
        values = as_vector(fun(at, *self.all_parameters(x), *others))
        if values.shape != y.shape:
            values = np.broadcast_to(values, y.shape)
        residual = _spread(values - y, spread)
        if self._loss == "poisson":
            counts = np.asarray(y)
            fun, slopes, weights = of_counts(values, y, float(np.sum(scipy.special.gammaln(counts + 1.0))))
            return Results((fun, residual, slopes, weights))
        loss = meanings.of(self._loss) if callable(self._loss) else self._loss
        fun, w = of_squares(loss, residual, self._scale)
        return Results((fun, residual, residual) if w is None else (fun, residual, w * residual, w))

    def sum_with(self, args: tuple[Any, ...]) -> Callable[[NDArray[Any]], tuple[Any, Any, Any]]:
        if self._loss != "poisson":
            return self.of_sum
        y = args[1]
        constant = float(np.sum(scipy.special.gammaln(y + 1.0)))
        return lambda residual: of_counts(residual + y, y, constant)


def model_values(answer: Any, m: int) -> NDArray[np.float64]:
    """What a model returned, as a float64 array (m,); else an error that says what it was."""
    array = np.asarray(answer)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the model must return real numbers, got {array.dtype}")
    if array.ndim > 1 or array.size not in (1, m):
        raise ValueError(f"the model must return {m} numbers, one for each of ydata, got the shape {array.shape}")
    return np.broadcast_to(array.reshape(-1), m).astype(np.float64)


def _spread(difference: Any, spread: Any) -> Any:
    if spread is None:
        return difference
    return difference / spread if spread.ndim == 1 else spread @ difference


class PointForm(ResidualForm):
    """The residuals of `CurveFit`: model(t, params) of one point at a time, traced with all points at once.

    The other arguments of the function are (t, y, weight), the last one as from `weight_of`.
    """

    def __init__(self) -> None:
        super().__init__("linear", 1.0)
        self.key = "points"

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> NDArray[np.float64]:
        t, y, weight = args
        weights = np.broadcast_to(weight, y.shape)
        return np.array([weights[row] * (float(fun(t[row], x.copy())) - y[row]) for row in sample(y.size)])

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        t, y, weight = args
        values = as_vector(fun(t if t.ndim == 1 else t.T, x))
        if values.shape != y.shape:
            values = np.broadcast_to(values, y.shape)
        residual = weight * (values - y)
        return Results((of_squares("linear", residual, 1.0)[0], residual, residual))

    def evaluated(self, problem: TracedResiduals, x: NDArray[Any]) -> tuple[Any, bool]:
        residual, finite = super().evaluated(problem, x)
        return residual[sample(residual.size)], finite


def sample(count: int) -> NDArray[np.int64]:
    """Some rows of so many: the first, one in the middle, the last."""
    return np.unique([0, count // 2, count - 1])
