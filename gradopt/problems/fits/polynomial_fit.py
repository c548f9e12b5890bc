"""Fits of a polynomial to points."""

from __future__ import annotations

from dataclasses import field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel, noinline, on_stack, summation
from gradopt._core import validate
from gradopt._core.aligned import as_dtype
from gradopt._core.config import config
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt._losses.residual import from_mean, loss_named, pointwise
from gradopt._numerics.bounds import Box
from gradopt.problems.base import Curved, Problem
from gradopt.problems.fits.curve_form import SQUARED, weight_of
from gradopt.problems.fits.least_squares import residual_problem
from gradopt.problems.rows import RowProblem, checked_weights


class _Work(NamedTuple):
    """The arrays that the kernels write."""

    sums: NDArray[np.float64]  # (n,)
    t: NDArray[Any]  # the points of a batch
    y: NDArray[Any]
    weights: NDArray[Any]


# Up to this degree, the number of parameters is part of the type, so that the sums over the data stay in registers.
_UNROLLED_DEGREE = 3


@config
class PolynomialFit(RowProblem):
    """f(x) = loss(x[0] t**degree + ... + x[degree-1] t + x[degree] - y).

    Parameters
    ----------
    t, y : array_like (m,)
        The points; if both are float32 they stay float32, otherwise they become float64.
    degree : int
        The degree, >= 0. The parameters are degree + 1 coefficients, highest power first, as in numpy.polyfit.
    loss : {"mse", "mae", "rmse", "half_squared_error", "huber"}
        With r the residual, the mean over the points of r**2, of abs(r), of r**2 (then its square root), of r**2 / 2,
        or of the Huber loss with delta = 1. The derivative of abs(r) at r = 0 is 0, and so is that of the root if all
        residuals are 0.
    sample_weight : array_like (m,), optional
        The weights of the points, >= 0, at least one above 0. The loss is the weighted mean, in a batch too.

    Raises
    ------
    TypeError, ValueError
        t and y differ in length, are empty or not finite; degree or loss is not one of the above.

    Notes
    -----
    With r the residual at a point and l the loss, df/dx[i] is the mean of l'(r) t**(degree - i). `minimizer` is known
    for the squared losses if t has more than `degree` different values; it comes from linear least squares.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.PolynomialFit(t=[0, 1, 2], y=[1, 3, 7])
    >>> problem.minimizer.round(6), problem.value([0, 0, 0])
    (array([1., 1., 1.]), 19.666666666666668)
    """

    class Lowered(NamedTuple):
        t: NDArray[Any]
        y: NDArray[Any]
        weights: NDArray[Any] | None
        powers: tuple[int, ...] | None
        loss: Any

    t: Any
    y: Any
    degree: int = 2
    loss: str = "mse"
    sample_weight: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        t, y = validate.array("t", self.t, 1), validate.array("y", self.y, 1)
        if t.size != y.size:
            raise ValueError(f"t and y must have the same length, got {t.size} and {y.size}")
        dtype = np.result_type(t, y)
        object.__setattr__(self, "t", as_dtype(t, dtype))
        object.__setattr__(self, "y", as_dtype(y, dtype))
        self._check("degree", validate.integer, 0)
        loss_named(self.loss)
        if self.sample_weight is not None:
            object.__setattr__(self, "sample_weight", checked_weights(self.sample_weight, self.rows))

    def __repr__(self) -> str:
        return f"PolynomialFit(t={self.t.shape}, y={self.y.shape}, degree={self.degree}, loss={self.loss!r})"

    def _lower(self, dtype: Any) -> Any:
        powers = (0,) * self.n if self.degree <= _UNROLLED_DEGREE else None
        t, y = as_dtype(self.t, dtype), as_dtype(self.y, dtype)
        weights = None if self.sample_weight is None else as_dtype(self.sample_weight, dtype)
        return self.Lowered(t, y, weights, powers, loss_named(self.loss).lower())

    def is_sum_of_squares(self, x0: Any) -> bool:
        return self.loss in SQUARED

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        if self.loss not in SQUARED:
            return None
        used = slice(None) if self.sample_weight is None else self.sample_weight > 0.0
        weights = None if self.sample_weight is None else self.sample_weight[used]
        t, y = self.t[used].astype(np.float64), self.y[used].astype(np.float64)
        data = t, y, weight_of(self.loss, t.size, weights)
        return residual_problem(_residuals, np.zeros(self.n), data, "linear", 1.0)

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        residuals = self.by_residuals(x)
        return None if residuals is None else residuals.error_scale(x)

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        residuals = self.by_residuals(x)
        if residuals is None:
            return super().by_curvature(x, box, whole=whole)
        return residuals.by_curvature(x, box, whole=whole)

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each point, float64 (m, n), whose sum is that of f; None for other losses."""
        residuals = self.by_residuals(self.checked("x", x))
        return None if residuals is None else residuals.scores(x)

    def workspace(self, dtype: Any) -> Any:
        return _Work(np.zeros(self.n), *np.zeros((3, 0), dtype))

    def batch_workspace(self, dtype: Any, rows: int) -> Any:
        return _Work(np.zeros(self.n), *np.zeros((3, rows), dtype))

    def with_data(self, *data: Any) -> PolynomialFit:
        t, y = data
        return replace(self, t=t, y=y, sample_weight=None)

    @property
    def rows(self) -> int:
        return self.t.size  # type: ignore[no-any-return]

    @property
    def n(self) -> int:
        return self.degree + 1

    @property
    def x0(self) -> NDArray[Any]:
        return np.zeros(self.n, self.t.dtype)

    @cached_property
    def minimizer(self) -> NDArray[np.float64] | None:
        used = slice(None) if self.sample_weight is None else self.sample_weight > 0.0
        if self.loss not in ("mse", "rmse", "half_squared_error") or len(np.unique(self.t[used])) <= self.degree:
            return None
        factors = None if self.sample_weight is None else np.sqrt(self.sample_weight.astype(np.float64))
        # The powers of the centred and scaled t are well conditioned; convert() expands them again.
        fit = np.polynomial.Polynomial.fit(self.t.astype(np.float64), self.y.astype(np.float64), self.degree, w=factors)
        coefficients = np.zeros(self.n)
        found = fit.convert().coef
        coefficients[: found.size] = found
        return coefficients[::-1].copy()

    @property
    def minimum(self) -> float | None:
        return None if self.minimizer is None else self.value(self.minimizer)


def _residuals(x: Any, t: Any, y: Any, weight: float) -> Any:
    return weight * (np.polyval(x, t) - y)


@value_and_grad.on(PolynomialFit)
def _(problem, grad, work, x):
    return _value_and_grad(problem, grad, work.sums, problem.t, problem.y, problem.weights, x)


@batch_value_and_grad.on(PolynomialFit)
def _(problem, grad, work, x, rows):
    t, y = work.t[: rows.size], work.y[: rows.size]
    for j in range(rows.size):
        t[j], y[j] = problem.t[rows[j]], problem.y[rows[j]]
    weights = gathered(work.weights, problem.weights, rows)
    return _value_and_grad(problem, grad, work.sums, t, y, weights, x)


@kernel(inline=True)
def gathered(out, weights, rows):
    """The weights of some rows, in out; None if there are none."""
    if weights is None:
        return None
    for j in range(rows.size):
        out[j] = weights[rows[j]]
    return out[: rows.size]


@kernel(inline=True)
def _value_and_grad(problem, grad, sums, t, y, weights, x):
    total, weight = _sums(problem, sums, t, y, weights, x)
    share = 1.0 / weight if weight > 0.0 else 0.0
    value, factor = from_mean(problem.loss, total / weight if weight > 0.0 else 0.0)
    for i in range(x.size):
        grad[i] = sums[i] * (factor * share)
    return value


@summation
def _sums(problem, sums, t, y, weights, x):
    """Write sums[i] = sum over the points of w l'(r) t**(n - 1 - i); returns the sums of w l(r) and of w.

    problem : lowered PolynomialFit
    sums : float64 array (n,), written
    t, y : float arrays (m,), C order, read
    weights : float array (m,), C order, read; or None, for w = 1
    x : float array (n,), read
    """
    noinline()
    coefficients, slopes = on_stack(problem.powers, x), on_stack(problem.powers, sums)
    n = coefficients.size  # a constant, unlike x.size
    for i in range(n):
        slopes[i] = 0.0
    total, weight = 0.0, 0.0
    for j in range(t.size):
        prediction = coefficients[0]
        for i in range(1, n):
            prediction = prediction * t[j] + coefficients[i]
        value, slope = pointwise(problem.loss, prediction - y[j])
        if weights is not None:
            weight += weights[j]
            value, slope = value * weights[j], slope * weights[j]
        total += value
        for i in range(n - 1, -1, -1):
            slopes[i] += slope
            slope *= t[j]
    for i in range(n):
        sums[i] = slopes[i]
    return total, weight if weights is not None else np.float64(t.size)
