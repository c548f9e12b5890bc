"""Sums of squares of a user's residuals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.robust import checked_loss
from gradopt._numerics.bounds import Box
from gradopt._tape.record.errors import TraceError
from gradopt.problems.fits.by_objective import ByObjective
from gradopt.problems.functions.python_residuals import PythonResiduals, central
from gradopt.problems.functions.residuals import ResidualProblem
from gradopt.problems.functions.traced_residuals import ResidualForm
from gradopt.problems.functions.tracing import traced


@config
class LeastSquares(ByObjective):
    """f(x) = 1/2 sum over i of scale**2 rho((r[i](x) / scale)**2), with rho(z) = z by default.

    Parameters
    ----------
    residuals : callable
        residuals(x, *args) -> array_like (m,), m >= 1: plain Python that computes with NumPy; traced like an objective.
    x0 : array_like (n,), optional
        The start. It sets the number of parameters, as does the x0 of `optimize`.
    args : tuple
        The other arguments of `residuals`.
    loss : {"linear", "soft_l1", "huber", "cauchy", "arctan"} or callable
        rho, by its name in scipy.optimize.least_squares; or rho(z), which returns an array (3, m) of its values and its
        first two derivatives.
    f_scale : float
        The scale, > 0: residuals well below it count as with "linear".

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; or `residuals` does not return a vector of real numbers, m >= 1.

    Notes
    -----
    `LevenbergMarquardt` is the default method; any other sees an ordinary objective. The derivatives are exact, by the
    trace of `residuals`; where it can't be traced, they are central differences.

    Counterpart: scipy.optimize.least_squares.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([3.0, 1.8, 1.1, 0.7])
    >>> problem = gradopt.problems.LeastSquares(lambda x: x[0] * np.exp(-x[1] * t) - y, [1.0, 1.0])
    >>> print(gradopt.optimize(problem).x.round(3))
    [2.991 0.497]
    """

    Lowered = ByObjective.Lowered

    residuals: Callable[..., Any]
    x0: Any = None  # type: ignore[assignment]
    args: Any = ()
    loss: Any = "linear"
    f_scale: float = 1.0

    def __post_init__(self) -> None:
        if not callable(self.residuals):
            raise TypeError(f"residuals must be a function of x, got {validate.shown(self.residuals)}")
        self._check("loss", lambda name, loss: checked_loss(loss))
        self._check("f_scale", validate.number, 0, above=True)
        self._check_start_and_args()

    def __repr__(self) -> str:
        return f"LeastSquares({getattr(self.residuals, '__name__', self.residuals)}, loss={self.loss!r})"

    def is_sum_of_squares(self, x0: Any) -> bool:
        return True

    def by_residuals(self, x: NDArray[Any]) -> ResidualProblem:
        residuals: ResidualProblem = self.latest(x)
        return residuals

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        return self.by_residuals(x).error_scale(x)

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each residual, float64 (m, n); its sum over the terms is the gradient of f."""
        x = self.checked("x", x)
        return self.by_residuals(x).scores(x)

    def made_for(self, start: NDArray[Any]) -> ResidualProblem:
        start = np.asarray(start, np.float64)
        return residual_problem(self.residuals, start, self.args, self.loss, self.f_scale)


def residual_problem(
    residuals: Callable[..., Any],
    x0: NDArray[np.float64],
    args: tuple[Any, ...],
    loss: Any,
    scale: float,
    jac: Callable[..., Any] | None = None,
    box: Box | None = None,
    steps: NDArray[np.float64] | None = None,
    form: ResidualForm | None = None,
) -> ResidualProblem:
    """Residuals as a problem: their trace where that works and no other derivatives are asked for.

    jac : jac(x, *args) -> (m, n), if it is given
    steps : (n,) the relative steps of differences, if they are asked for
    """
    form = ResidualForm(loss, scale) if form is None else form
    with np.errstate(all="ignore"):
        first = form.value(residuals, x0.copy(), args)
    reason = ""
    if jac is None and steps is None:

        def inside(x: Any) -> Any:
            return x if box is None else np.clip(x, box.low, box.high)

        try:
            tracing = traced(residuals, args, x0, first, calls=1, inside=inside, form=form)
            if tracing.slope_at_start:
                problem: ResidualProblem = tracing.problem
                problem.instead = functools.partial(
                    residual_problem, residuals, x0, args, loss, scale, jac, box, steps, form
                )
                return problem
            reason = "at x0 its derivatives would be NaN or infinite"
        except TraceError as error:
            reason = str(error)

    at_x0: list[NDArray[np.float64]] = [first]

    def vector(x: NDArray[Any]) -> NDArray[np.float64]:
        if at_x0 and np.array_equal(x, x0):
            return at_x0.pop()
        answer = form.value(residuals, x.copy(), args)
        if answer.size != first.size:
            raise ValueError(f"the residuals must always be {first.size} numbers, as at x0, got {answer.size}")
        return answer

    def jacobian(x: NDArray[Any], at_x: NDArray[Any], scales: NDArray[Any]) -> NDArray[np.float64]:
        answer = np.asarray(jac(x.copy(), *args), np.float64)  # type: ignore[misc]
        answer = answer.reshape(1, -1) if answer.ndim == 1 and at_x.size == 1 else answer
        if answer.shape != (at_x.size, x.size):
            raise ValueError(f"jac must return an array of shape {(at_x.size, x.size)}, got {answer.shape}")
        return answer

    low, high = (np.full(x0.size, -np.inf), np.full(x0.size, np.inf)) if box is None else (box.low, box.high)
    differences = central(vector, low, high, steps)
    source = (
        "" if jac is not None else "central differences" + (f", since it can't be traced: {reason}" if reason else "")
    )
    problem = PythonResiduals(
        vector,
        jacobian if jac is not None else differences,
        form.sum_with(args),
        x0,
        first.size,
        source,
        0 if jac is not None else 2 * x0.size,
    )
    problem.loss, problem.f_scale = loss, scale
    return problem
