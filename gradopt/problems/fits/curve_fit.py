"""Fits of a user's model to points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory
from gradopt._compiler.user_functions import NotCompilable, compiled_function, evaluator
from gradopt._core import validate
from gradopt._core.aligned import as_dtype
from gradopt._core.config import config
from gradopt._core.protocol import batch_value_and_grad
from gradopt._core.warnings import warn
from gradopt._losses.residual import from_mean, loss_named, pointwise
from gradopt._numerics.bounds import Box
from gradopt._tape.record.errors import TraceError
from gradopt.problems.base import Curved, Problem
from gradopt.problems.fits.curve_form import SQUARED, PointForm, sample, weight_of
from gradopt.problems.functions import differences
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem, argument_types, row_argument_types
from gradopt.problems.functions.differences import probed_scale
from gradopt.problems.functions.plain import agree, second_point
from gradopt.problems.functions.python_residuals import PythonResiduals, central
from gradopt.problems.functions.residuals import ResidualProblem
from gradopt.problems.functions.traced_residuals import TracedResiduals
from gradopt.problems.functions.tracing import traced
from gradopt.problems.rows import RowProblem, checked_weights

_STEP = float(np.finfo(np.float64).eps ** (1 / 3))  # in units of the scales, of central differences


@config
class CurveFit(RowProblem):
    """f(x) = loss(model(t, x) - y).

    Parameters
    ----------
    model : callable
        model(t, params) -> float: the prediction at one point. t is a number, or a row if t below is two-dimensional;
        params is a float64 array (n,) that the model must not write. Plain Python or `@njit`; it must compile. If it is
        another function when it is compiled, as when integers overflow, it runs interpreted, with a warning.
    t : array_like (m,) or (m, k)
        The points; if t and y are both float32 they stay float32, otherwise they become float64.
    y : array_like (m,)
        The values at the points.
    loss : {"mse", "mae", "rmse", "half_squared_error", "huber"}
        As for `PolynomialFit`.
    sample_weight : array_like (m,), optional
        The weights of the points, >= 0, at least one above 0. The loss is the weighted mean, in a batch too.

    Raises
    ------
    TypeError, ValueError
        t and y differ in length, are empty or not finite; model is not a function, can't be compiled, or does not
        return a real number; loss is not one of the above.

    Notes
    -----
    With r the residual at a point and l the loss, df/dx[j] is the mean of l'(r) dmodel/dx[j]. The derivatives of the
    model are central differences, which take 2 n + 1 calls of the model per point. Their steps are 6e-6 of the largest
    abs(x[j]) that the run has had; for a parameter that was 0 so far, a probe finds the step.
    The start, which must be given, sets the number of parameters.

    Counterpart: scipy.optimize.curve_fit, whose model takes its arguments in another form.

    Examples
    --------
    >>> import gradopt, math, numpy as np
    >>> def decay(t, params):
    ...     return params[0] * math.exp(-params[1] * t)
    >>> t = np.linspace(0, 4, 9)
    >>> problem = gradopt.problems.CurveFit(decay, t, 2.5 * np.exp(-1.3 * t))
    >>> print(gradopt.optimize(problem, [1.0, 1.0]).x.round(4))
    [2.5 1.3]
    """

    Lowered = ProblemByAddress.Lowered

    model: Callable[[Any, Any], float]
    t: Any
    y: Any
    loss: str = "mse"
    sample_weight: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise TypeError(f"model must be a function model(t, params), got {validate.shown(self.model)}")
        t, y = validate.array("t", self.t, 2 if np.ndim(self.t) == 2 else 1), validate.array("y", self.y, 1)
        if len(t) != y.size:
            raise ValueError(f"t and y must have the same length, got {len(t)} and {y.size}")
        dtype = np.result_type(t, y)
        object.__setattr__(self, "t", as_dtype(t, dtype))
        object.__setattr__(self, "y", as_dtype(y, dtype))
        loss_named(self.loss)
        if self.sample_weight is not None:
            object.__setattr__(self, "sample_weight", checked_weights(self.sample_weight, self.rows))

    def __repr__(self) -> str:
        name = getattr(self.model, "__name__", self.model)
        return f"CurveFit({name}, t={self.t.shape}, y={self.y.shape}, loss={self.loss!r})"

    @property
    def n(self) -> int:
        raise TypeError("a CurveFit does not know how many parameters its model has; give x")

    @property
    def inlined(self) -> bool:
        return False

    @property
    def rows(self) -> int:
        return len(self.t)

    def with_data(self, *data: Any) -> CurveFit:
        t, y = data
        return replace(self, t=t, y=y, sample_weight=None)

    def is_sum_of_squares(self, x0: Any) -> bool:
        if self.loss not in SQUARED or x0 is None:
            return False
        return isinstance(self.by_residuals(self.checked("x0", np.atleast_1d(np.asarray(x0)))), TracedResiduals)

    def forget_traces(self) -> None:
        self.__dict__.pop("_residuals", None)

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        if self.loss not in SQUARED:
            return None
        known: dict[int, ResidualProblem] = self.__dict__.setdefault("_residuals", {})
        if x.size not in known:
            known[x.size] = self._residuals_of(x.astype(np.float64))
        return known[x.size]

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        residuals = self.by_residuals(x)
        return None if residuals is None else residuals.error_scale(x)

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each point, float64 (m, n), whose sum is that of f; None for "mae" and "rmse"."""
        residuals = self.by_residuals(self.checked("x", x))
        return None if residuals is None else residuals.scores(x)

    @property
    def differentiates(self) -> bool:
        return True

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        residuals = self.by_residuals(x)
        if isinstance(residuals, TracedResiduals):
            return residuals.objective.by_curvature(x, box, whole=whole)
        return super().by_curvature(x, box, whole=whole)

    def _residuals_of(self, x: NDArray[np.float64]) -> ResidualProblem:
        """The trace of the residuals; where there is none, they are computed in Python, point by point."""
        form, used = PointForm(), slice(None) if self.sample_weight is None else self.sample_weight > 0.0
        weights = None if self.sample_weight is None else self.sample_weight[used]
        t, y = self.t[used].astype(np.float64), self.y[used].astype(np.float64)
        weight = weight_of(self.loss, y.size, weights)
        data = t, y, weight
        try:
            with np.errstate(all="ignore"):
                tracing = traced(self.model, data, x, form.value(self.model, x, data), form=form)
            if tracing.slope_at_start:
                problem: ResidualProblem = tracing.problem
                return problem
            reason = "at x0 its derivatives would be NaN or infinite"
        except TraceError as error:
            reason = str(error)

        def residuals(params: NDArray[Any]) -> NDArray[np.float64]:
            values = np.array([float(self.model(point, params.copy())) for point in data[0]])
            residual: NDArray[np.float64] = weight * (values - data[1])
            return residual

        infinite = np.full(x.size, np.inf)
        source = f"central differences, since it can't be traced: {reason}"
        differences = central(residuals, -infinite, infinite)
        return PythonResiduals(residuals, differences, form.of_sum, x, y.size, source, 2 * x.size)

    @property
    def interpreted(self) -> bool:
        self._settle()
        return not COMPILING or self._why_not_compiled is not None

    @property
    def remark(self) -> str | None:
        return self._why_not_compiled

    @property
    def _why_not_compiled(self) -> str | None:
        return self.__dict__.get("_reason")

    def workspace(self, dtype: Any) -> Any:
        return np.zeros(0, dtype)  # scales are then not kept from one evaluation to the next

    def workspace_for(self, x: NDArray[Any]) -> Any:
        return differences.workspace(x.size, x.dtype)

    def batch_workspace_for(self, x: NDArray[Any], rows: int) -> Any:
        return self.workspace_for(x)

    def memory(self, work: Any) -> Any:
        return work[work.size // 2 - 1 :]

    def checked(self, name: str, x: Any, *, finite: bool = True) -> NDArray[Any]:
        result = validate.array(name, x, 1, finite=finite)
        params = result.astype(np.float64)
        try:
            answer = np.asarray(self.model(self.t[0], params))
        except IndexError as error:
            raise ValueError(f"{name} has {result.size} elements, and the model takes more: {error}") from error
        if answer.ndim or answer.dtype.kind not in "iuf":
            raise TypeError(f"model must return a real number for one t, got {validate.shown(answer[()])}")
        if not np.array_equal(params, result.astype(np.float64), equal_nan=True):
            raise ValueError("model must not write to params")
        if "_sizes" not in self.__dict__:
            self.__dict__["_sizes"] = True
            self._warn_of_surplus(name, result)
        self.__dict__["_at"] = result
        self.__dict__.pop("_residuals", None)  # what the model takes from outside is that of now
        return result

    def _settle(self) -> None:
        """Compile the model and compare it with itself in Python, once, before it first runs."""
        if COMPILING and "_reason" not in self.__dict__ and "_at" in self.__dict__:
            self.__dict__["_reason"] = None
            self.__dict__["_reason"] = reason = self._difference(self.__dict__["_at"])
            if reason is not None:
                self.__dict__.pop("_lowered_by_dtype")
                warn(reason)

    def _warn_of_surplus(self, name: str, x: NDArray[Any]) -> None:
        """Warn of parameters without any influence on the model, near x too."""
        rows = sample(self.rows)
        params = second_point(x, None).astype(np.float64)
        idle = []
        with np.errstate(all="ignore"):
            try:
                before = [float(self.model(self.t[row], params.copy())) for row in rows]
                for j in range(x.size):
                    moved = params.copy()
                    moved[j] = 1.5 * params[j] + 0.25
                    if [float(self.model(self.t[row], moved)) for row in rows] == before:
                        idle.append(f"{name}[{j}]")
            except Exception:  # the model may not be defined there
                return
        if idle:
            warn(f"{', '.join(idle)} do not change the model: are there more start values than parameters?")

    def _difference(self, x: NDArray[Any]) -> str | None:
        """What differs between the model and its machine code at x, or at another point; None if nothing does."""
        rows = sample(self.rows)
        lowered, plain = self.lower(x.dtype), self._in_python(x.dtype).evaluate_rows
        for point in (x, second_point(x, None)):
            grad, work = np.empty_like(x), self.workspace_for(x)
            try:
                wanted = plain(grad, work, point, rows)
            except Exception:
                if point is x:
                    raise
                return None  # it may not be defined there
            got = batch_value_and_grad(lowered, grad, self.workspace_for(x), point, rows)
            if not agree(got, wanted, abs(wanted), x.dtype):
                name = getattr(self.model, "__name__", self.model)
                return (
                    f"{name} runs interpreted: compiled, it makes the loss {got:.10g} where Python makes it"
                    f" {wanted:.10g}; integers of Python never overflow, those of machine code do: use floats, such as"
                    " 10.0**k"
                )
        return None

    def predict(self, x: Any, t: Any = None) -> NDArray[np.float64]:
        """The model's values.

        Parameters
        ----------
        x : array_like (n,)
            The parameters.
        t : array_like (m,) or (m, k), optional
            The points to evaluate at. Default the points of the data.

        Returns
        -------
        float64 array (m,)

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.CurveFit(lambda t, params: params[0] * t, [1.0, 2.0], [2.0, 4.0])
        >>> line.predict([2.0], t=[3.0])
        array([6.])
        """
        params = self.checked("x", x).astype(np.float64)
        points = self.t if t is None else validate.array("t", t, self.t.ndim)
        return np.array([float(self.model(point, params)) for point in points])

    def _lower(self, dtype: Any) -> Any:
        if self.interpreted:
            return self._in_python(dtype)
        dtype = np.dtype(dtype)
        data = self._data(dtype)
        try:
            model = compiled_function(self.model, (numba.typeof(data[0][0]), types.float64[::1]), _is_number)
        except NotCompilable as reason:
            raise TypeError(f"model must be a function that Numba can compile: {reason}") from None
        packed = TupleInMemory((*data, model.data))
        total, _ = evaluator(_loss_over, (model.call,), packed.type, _TOTAL)
        by_rows, evaluate_rows = evaluator(_over_rows, (model.call, total), packed.type, row_argument_types(dtype))
        whole, evaluate = evaluator(_over_all, (by_rows,), packed.type, argument_types(dtype))
        # These live as long as the problem.
        self.__dict__.setdefault("_alive", []).append((packed, total, by_rows, whole))
        return ProblemByAddress.Lowered(evaluate, evaluate_rows, packed.address, True)

    def _in_python(self, dtype: Any) -> Any:
        data = (*self._data(np.dtype(dtype)), ())

        def model(outside: Any, t: Any, params: Any) -> Any:
            return self.model(t, params)

        by_rows = _over_rows(model, _loss_over(model, lambda address: data), lambda address: data)
        whole = _over_all(by_rows, lambda address: data)
        return PythonProblem.Lowered(
            lambda grad, work, x: whole(0, grad, work, x),
            lambda grad, work, x, rows: by_rows(0, grad, work, x, rows),
            True,
        )

    def _data(self, dtype: Any) -> tuple[Any, ...]:
        t, y = as_dtype(self.t, dtype), as_dtype(self.y, dtype)
        weights = np.ones(self.rows) if self.sample_weight is None else self.sample_weight.astype(np.float64)
        return t, y, weights, loss_named(self.loss).lower(), np.arange(self.rows)


def _is_number(returned: Any) -> bool:
    return isinstance(returned, (types.Float, types.Integer))


_TOTAL = types.int64, types.float64[::1], types.int64[::1]  # of the arguments of `_loss_over`


def _loss_over(model: Any, unpack: Any) -> Any:
    """The loss over some rows; unpack(data) = (t, y, weights, loss, all rows, what the model takes from outside)."""

    def evaluate(data, params, rows):
        t, y, weights, loss, _, outside = unpack(data)
        total, weight = 0.0, 0.0
        for row in rows:
            value, _ = pointwise(loss, model(outside, t[row], params) - np.float64(y[row]))
            total += weights[row] * value
            weight += weights[row]
        value, _ = from_mean(loss, total / weight if weight > 0.0 else 0.0)
        return np.float64(value)

    return evaluate


def _over_rows(model: Any, loss_over: Any, unpack: Any) -> Any:
    """The loss over some rows, and its gradient; unpack(data) = (t, y, weights, loss, all rows, outside)."""

    def evaluate(data, grad, work, x, rows):
        t, y, weights, loss, _, outside = unpack(data)
        params, steps, slopes = x.astype(np.float64), np.abs(x.astype(np.float64)), np.zeros(x.size)
        for j in range(x.size):
            if work.size > 0:
                steps[j] = max(steps[j], np.float64(work[x.size + j]))
            if steps[j] == 0.0:
                at, here = params.copy(), loss_over(data, params, rows)
                steps[j], _ = probed_scale(loss_over, data, (rows,), at, params, j, np.inf, np.inf, here, _STEP)
                if work.size > 0:
                    work[x.size + j] = steps[j]
            steps[j] *= _STEP
        total, weight = 0.0, 0.0
        for row in rows:
            value, slope = pointwise(loss, model(outside, t[row], params) - np.float64(y[row]))
            total += weights[row] * value
            slope *= weights[row]
            weight += weights[row]
            for j in range(x.size):
                center = params[j]
                params[j] = center + steps[j]
                above, ahead = params[j], model(outside, t[row], params)
                params[j] = center - steps[j]
                slopes[j] += slope * (ahead - model(outside, t[row], params)) / (above - params[j])
                params[j] = center
        share = 1.0 / weight if weight > 0.0 else 0.0
        value, factor = from_mean(loss, total / weight if weight > 0.0 else 0.0)
        for j in range(x.size):
            grad[j] = slopes[j] * (factor * share)
        return np.float64(value)

    return evaluate


def _over_all(evaluate_rows: Any, unpack: Any) -> Any:
    """The same over all rows."""

    def evaluate(data, grad, work, x):
        return evaluate_rows(data, grad, work, x, unpack(data)[4])

    return evaluate
