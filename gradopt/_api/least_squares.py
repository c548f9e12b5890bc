"""`least_squares`: scipy's function of that name, by `LevenbergMarquardt` with exact derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradopt._api.fitting import Fit, box_between, checked_method, relative_steps, require_inside, run_fit, settings_of
from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._core.words import explains_words
from gradopt._losses.robust import checked_loss, curvature_weights
from gradopt._numerics.bounds import Box, active_bounds
from gradopt._results.covariance import covariance_of, variance_of
from gradopt._results.least_squares_result import LeastSquaresResult
from gradopt.problems.fits.least_squares import residual_problem
from gradopt.problems.functions.residuals import ResidualProblem

# Our statuses -> scipy's.
_SCIPYS = {Status.GTOL: 1, Status.FTOL: 2, Status.XTOL: 3, Status.MAX_ITER: 0, Status.MAX_NFEV: 0, Status.CALLBACK: -2}
_DIFFERENCES = ("2-point", "3-point", "cs")


@explains_words
def least_squares(
    fun: Callable[..., Any],
    x0: ArrayLike,
    jac: Any = "2-point",
    bounds: Any = (-np.inf, np.inf),
    method: str | None = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: Any = None,
    tr_options: Any = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    callback: Any = None,
    workers: Any = None,
) -> LeastSquaresResult:
    """Minimise 1/2 sum of rho(r[i](x)**2) over x, within bounds: scipy.optimize.least_squares, argument by argument.

    Parameters
    ----------
    fun : callable
        fun(x, *args, **kwargs) -> residuals r, array_like (m,) or a number: plain Python that computes with NumPy.
    x0 : array_like (n,) or float
        The start, within the bounds; it may be on one.
    jac : {"2-point", "3-point", "cs"} or callable
        One of scipy's three words means: exact, by the trace of `fun`, where that is possible, else central differences
        relative to the sizes of the parameters; the message says which. Or jac(x, *args, **kwargs) -> (m, n).
    bounds : (lower, upper) or scipy.optimize.Bounds
        Each a number, or n of them; infinity for none; lower = upper fixes a parameter.
    method : {"trf", "dogbox", "lm"}
        Accepted; the method is always `LevenbergMarquardt`. "lm" with bounds is an error, as in scipy.
    ftol, xtol, gtol : float or None
        The scale-free tests of `LevenbergMarquardt`; None for off.
    x_scale : float or array_like (n,), "jac" or None
        The scales of the parameters; by default the largest column norms of the derivatives so far, inverted.
    loss, f_scale
        As for `problems.LeastSquares`.
    diff_step : float or array_like (n,), optional
        The steps of differences, relative to the sizes of the parameters, > 0; asks for differences.
    tr_solver, tr_options, jac_sparsity, workers
        Must be None: there is one solver, for dense derivatives.
    max_nfev : int, optional
        Maximum number of evaluations, those for differences included. Default no limit but that of 10 000 updates.
    verbose : {0, 1, 2}
        Print nothing, a line at the end, or a line for each update too.
    args, kwargs
        Other arguments of fun and jac.
    callback : callable, optional
        As for `optimize`.

    Returns
    -------
    LeastSquaresResult

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> rosenbrock = lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> result = gradopt.least_squares(rosenbrock, [-1.2, 2.0], bounds=([-2.0, 1.5], np.inf))
    >>> print(result.x.round(6), result.active_mask, result.success)
    [-1.221026  1.5     ] [ 0 -1] True
    """
    if not callable(fun):
        raise TypeError(f"fun must be a function of x, got {validate.shown(fun)}")
    _refuse(tr_solver=tr_solver, tr_options=tr_options or None, jac_sparsity=jac_sparsity, workers=workers)
    method, loss = checked_method(method), checked_loss(loss)
    f_scale = validate.number("f_scale", f_scale, 0, above=True)
    if isinstance(x0, (complex, np.complexfloating)) or np.iscomplexobj(x0):
        raise ValueError("x0 must be real, got complex numbers")
    x = validate.array("x0", np.atleast_1d(np.asarray(x0)), 1).astype(np.float64)
    box = box_between(bounds, x.size, method)
    require_inside("x0", x, box)
    settings = settings_of(ftol, xtol, gtol, max_nfev, x_scale, x.size)
    if loss != "linear" and method == "lm":
        raise ValueError("method 'lm' takes loss='linear' alone; leave the method out, or take 'trf'")
    args = args if isinstance(args, tuple) else (args,)
    bound = functools.partial(fun, **kwargs) if kwargs else fun
    problem = residual_problem(
        bound, x, args, loss, f_scale, _jacobian(jac, kwargs), box, relative_steps(diff_step, x.size)
    )
    if method == "lm" and problem.m < x.size:
        raise ValueError(f"method 'lm' needs as many residuals as parameters, got {problem.m} and {x.size}")
    fit = run_fit(problem, x, box, settings, callback, verbose)
    return _result(fit.problem, fit, box, loss, f_scale)


def _result(problem: ResidualProblem, fit: Fit, box: Box | None, loss: Any, f_scale: float) -> LeastSquaresResult:
    run, status, text, _ = fit
    table, n = problem.table(run.x), run.x.size
    mask = np.zeros(n, np.int64) if box is None else active_bounds(box, run.x)
    free = mask == 0
    rss, dof = float(table.residual @ table.residual), table.residual.size - n
    variance, weights = variance_of(table, loss, f_scale, False, dof, rss)
    covariance = covariance_of(table.jacobian, weights, free, variance if np.isfinite(variance) else np.nan)
    grad = table.jacobian.T @ table.slopes
    return LeastSquaresResult(
        x=run.x,
        cost=float(table.fun),
        fun=table.residual.copy(),
        jac=table.jacobian * curvature_weights(loss, table.residual, f_scale)[:, None],
        grad=grad,
        optimality=float(np.max(np.abs(grad[free]), initial=0.0)),
        active_mask=mask,
        nfev=run.nfev,
        njev=run.njev,
        status=_SCIPYS.get(status, -1),
        success=bool(status.success),
        message=text,
        reason=status,
        stderr=covariance.stderr,
        cov=covariance.matrix,
        rank=covariance.rank,
        condition=covariance.condition,
        history=run.history,
        problem=problem,
    )


def _jacobian(jac: Any, kwargs: dict[str, Any] | None) -> Callable[..., Any] | None:
    if isinstance(jac, str):
        validate.choice("jac", jac, _DIFFERENCES)
        return None
    if not callable(jac):
        raise TypeError(f"jac must be a function, or one of '2-point', '3-point', 'cs', got {validate.shown(jac)}")

    def checked(x: Any, *args: Any) -> Any:
        answer = jac(x, *args, **(kwargs or {}))
        if hasattr(answer, "tocoo") or hasattr(answer, "matvec"):
            raise ValueError(
                "jac must return an array: sparse matrices and LinearOperators are for scipy.optimize.least_squares"
            )
        return answer

    return checked


def _refuse(**settings: Any) -> None:
    for name, value in settings.items():
        if value is not None:
            raise ValueError(
                f"{name} must be None, got {validate.shown(value)}: there is one solver here, for dense derivatives;"
                " scipy.optimize.least_squares has it"
            )
