"""`curve_fit`: scipy's function of that name, with exact derivatives and honest errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning

from gradopt._api.fitting import (
    Fit,
    Settings,
    box_between,
    checked_method,
    names_of,
    place_of,
    relative_steps,
    require_inside,
    run_fit,
    settings_of,
)
from gradopt._core import validate
from gradopt._core.warnings import warn
from gradopt._core.words import explains_words
from gradopt._losses.robust import checked_loss
from gradopt._numerics.bounds import Box
from gradopt._results.curve_fit_result import CurveFitResult, FitError, Observations
from gradopt.problems.fits.curve_form import CurveForm
from gradopt.problems.fits.least_squares import residual_problem
from gradopt.problems.functions.residuals import ResidualProblem

_OPTIONS = ("ftol", "xtol", "gtol", "max_nfev", "maxfev", "x_scale", "diff_step", "epsfcn", "verbose", "callback")
_OPTIONS += ("max_iter", "polish")  # type: ignore[assignment]


@explains_words
def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: ArrayLike,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    loss: Any = "linear",
    f_scale: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    args: Any = (),
    **options: Any,
) -> CurveFitResult:
    """Fit a model f to data by least squares: scipy.optimize.curve_fit, argument by argument.

    Parameters
    ----------
    f : callable
        f(xdata, *params, *args) -> array (m,), of all points at once: plain Python that computes with NumPy. Its
        derivatives are exact, by its trace, where that is possible, else central differences; the message says which.
    xdata : array_like (m,) or (k, m), DataFrame or object
        What f takes as its first argument: the points, or k predictors. Lists become arrays of float64.
    ydata : array_like (m,)
        The data.
    p0 : array_like (n,), dict or float, optional
        The start, by position or by name. Default 1 for each parameter, or within its bounds; n is then the number of
        parameters of f.
    sigma : array_like (m,) or (m, m), or float, optional
        The standard deviations of ydata, > 0, or their covariance. Default 1.
    absolute_sigma : bool
        Whether sigma is in the units of ydata. If not, only its relative sizes matter: the covariance is scaled so that
        the reduced chi squared is 1.
    check_finite : bool, optional
        Whether NaN and infinity in the data are an error. Default True, unless nan_policy is given.
    bounds : (lower, upper), scipy.optimize.Bounds or dict
        Each a number, or n of them; or {name: (lower, upper)} with None for no bound. lower = upper fixes a parameter.
    method : {"lm", "trf", "dogbox"}, optional
        Accepted; the method is always `LevenbergMarquardt`. "lm" with bounds is an error, as in scipy.
    jac : callable, str or None
        jac(xdata, *params, *args) -> (m, n), the derivatives of f; or as for `least_squares`.
    full_output : bool
        Whether the tuple has five parts, with infodict, message and ier, as in scipy.
    nan_policy : {"raise", "omit"}, optional
        What NaN in xdata or ydata does: raise an error, or leave these points out.
    loss, f_scale
        As for `problems.LeastSquares`, of the residuals divided by sigma. Or "poisson": ydata are counts, f their mean
        > 0, and the fit has the largest likelihood; sigma must be None.
    fixed : dict, optional
        Parameters that keep a value, by name.
    args : tuple
        Constants that f takes after its parameters.
    **options
        ftol, xtol, gtol (each 1e-8 by default), max_nfev or maxfev, x_scale, diff_step or epsfcn, verbose, callback: as
        for `least_squares`; max_iter, the maximum number of updates, and polish, as for `LevenbergMarquardt`.

    Returns
    -------
    CurveFitResult
        A tuple (popt, pcov) with more in its attributes; print it, or its `summary()`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value.
    FitError
        The fit failed, or no parameter changes the model; a RuntimeError, with the fit so far in its `result`.

    Notes
    -----
    The objective is 1/2 sum of ((f - y) / sigma)**2. See `CurveFitResult` for the formulas of what it has.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> def decay(t, amount, rate):
    ...     return amount * np.exp(-rate * t)
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> fit = gradopt.curve_fit(decay, t, [3.0, 1.8, 1.1, 0.7], p0={"amount": 1.0, "rate": 1.0})
    >>> popt, pcov = fit
    >>> popt.round(3), fit.stderr.round(3), fit.names
    (array([2.991, 0.497]), array([0.024, 0.008]), ('amount', 'rate'))
    """
    if not callable(f):
        raise TypeError(f"f must be a function f(x, ...), got {validate.shown(f)}")
    args = args if isinstance(args, tuple) else (args,)
    data = _data(xdata, ydata, sigma, check_finite, nan_policy, loss)
    given = None if p0 is None or isinstance(p0, Mapping) else np.atleast_1d(np.asarray(p0)).size
    names, count = names_of(f, p0, given, len(args))
    box = _box(bounds, names, count, checked_method(method))
    start = _start(p0, names, count, box)
    held = _fixed(fixed, names)
    if held:
        box = None if box is None else Box(*(np.delete(side, list(held)) for side in box))
    free = [i for i in range(count) if i not in held]
    if not free:
        raise ValueError("fixed must leave a parameter free, got all of them")
    start = start[free]
    require_inside("p0", start, box)
    scale = validate.number("f_scale", f_scale, 0, above=True)
    form = CurveForm(loss if loss == "poisson" else checked_loss(loss), scale, tuple(held.get(i) for i in range(count)))
    settings, steps = _settings(options, free, count)
    if data.y.size < start.size and (method == "lm" or (method is None and box is None)):
        raise TypeError(f"The number of func parameters={start.size} must be at most that of points, {data.y.size}")
    if absolute_sigma and sigma is None and loss != "poisson":
        warn("absolute_sigma=True without sigma takes 1 for the standard deviation of each point", OptimizeWarning)
    all_args = (data.x, data.y, data.spread, *args)
    derivatives = _jacobian(jac, form, data, free)
    problem = residual_problem(f, start, all_args, "linear", 1.0, derivatives, box, steps, form)
    fit = run_fit(problem, start, box, settings, options.get("callback"), options.get("verbose", 0))
    observations = Observations(f, data.x, data.y, data.sigma, data.spread, args, form, names, tuple(free))
    refit = _refitting(fit.problem, box, settings)
    result = CurveFitResult.of(
        fit, box, observations, bool(absolute_sigma) or loss == "poisson", refit, loss, scale, full_output
    )
    if not fit.status.success:
        raise FitError(f"the fit failed: {fit.message}", result)
    if result.rank == 0 and not result.active_mask.any():
        raise FitError("no parameter changes the model: the derivatives are all 0", result)
    result.warn()
    return result


class _Data(NamedTuple):
    x: Any
    y: NDArray[np.float64]
    sigma: NDArray[np.float64] | None  # (m,) the standard deviations
    spread: NDArray[np.float64] | None  # as in `CurveForm`


def _data(xdata: Any, ydata: Any, sigma: Any, check_finite: bool | None, nan_policy: Any, loss: Any) -> _Data:
    """The checked data."""
    if nan_policy not in (None, "raise", "omit"):
        if nan_policy == "propagate":
            why = "it must be one of {'raise', 'omit', None}: a fit to NaN is NaN"
            raise ValueError(f"`nan_policy='propagate'` is not supported by this function. {why.capitalize()}")
        raise ValueError(f"nan_policy must be one of {{'raise', 'omit', None}}, got {nan_policy!r}")
    check_finite = nan_policy is None if check_finite is None else check_finite
    y = _real("ydata", ydata)
    if y.ndim > 1:
        raise ValueError(f"ydata must be a vector, got an array of shape {y.shape}")
    y = np.atleast_1d(y)
    if y.size == 0:
        raise ValueError("ydata must not be empty")
    x = _real("xdata", xdata) if isinstance(xdata, (list, tuple, np.ndarray)) else xdata
    in_arrays = isinstance(x, np.ndarray)
    if in_arrays and x.size == 0:
        raise ValueError("xdata must not be empty")
    sigma = None if sigma is None else _real("sigma", sigma)
    if sigma is not None and sigma.ndim == 0:
        sigma = np.full(y.size, float(sigma))
    if sigma is not None and sigma.shape not in ((y.size,), (y.size, y.size)):
        raise ValueError(f"sigma must have the shape ({y.size},) or ({y.size}, {y.size}), got {sigma.shape}")
    if y.size == 1 and in_arrays and x.shape[-1:] > (1,):
        y = np.full(x.shape[-1], y[0])
    faulty = np.isnan(y) if nan_policy == "omit" else np.zeros(y.size, bool)
    if nan_policy == "omit" and in_arrays:
        if x.shape[-1] != y.size:
            raise ValueError(f"xdata must have {y.size} points along its last axis to omit some, got {x.shape}")
        faulty = faulty | np.isnan(x).reshape(-1, y.size).any(axis=0)
    if faulty.any():
        kept = ~faulty
        x, y = x[..., kept] if in_arrays else x, y[kept]
        sigma = None if sigma is None else sigma[kept] if sigma.ndim == 1 else sigma[np.ix_(kept, kept)]
        if not y.size:
            raise ValueError("nan_policy='omit' leaves no points")
    for name, array in (("ydata", y), ("xdata", x)):
        if isinstance(array, np.ndarray) and (nan_policy == "raise" or check_finite):
            bad = ~np.isfinite(array) if check_finite else np.isnan(array)
            if bad.any():
                place = tuple(int(i) for i in np.argwhere(bad)[0])
                where = ", ".join(map(str, place))
                remedy = "; nan_policy='omit' leaves NaN out" if np.isnan(array[place]) else ""
                kind = "nan" if np.isnan(array[place]) else "infinity"
                raise ValueError(f"The input contains {kind}: {name}[{where}]; it must be finite{remedy}")
    if loss == "poisson":
        if sigma is not None:
            raise ValueError("sigma must be None with loss='poisson': counts have the variance of their mean")
        if (y < 0.0).any():
            i = int(np.argmax(y < 0.0))
            raise ValueError(f"ydata must be counts >= 0 with loss='poisson', got {y[i]:g} in ydata[{i}]")
    return _Data(x, y, *_spread(sigma))


def _spread(sigma: Any) -> tuple[Any, Any]:
    """The standard deviations, and what makes the residuals independent."""
    if sigma is None:
        return None, None
    if sigma.ndim == 1:
        wrong = ~(sigma > 0.0) | ~np.isfinite(sigma)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"sigma must be positive and finite, got {sigma[i]:g} in sigma[{i}]")
        return sigma, sigma
    wrong = ~np.isfinite(sigma)
    if wrong.any():
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"sigma must be finite, got {sigma[i, j]:g} in sigma[{i}, {j}]")
    try:
        lower = scipy.linalg.cholesky(sigma, lower=True)
    except scipy.linalg.LinAlgError:
        raise ValueError("sigma must be a positive definite covariance matrix, and is not") from None
    return np.sqrt(np.diag(sigma)), scipy.linalg.solve_triangular(lower, np.eye(len(sigma)), lower=True)


def _real(name: str, value: Any) -> NDArray[Any]:
    """The value as float64, or float32 if it is that."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise ValueError(f"{name} must be real, got complex numbers")
        if array.dtype == object or array.dtype.kind not in "biuf":
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        if "must be real" in str(error):
            raise
        raise ValueError(f"{name} must be an array of real numbers, got {validate.shown(value)}") from None
    return array.astype(np.float64)


def _start(p0: Any, names: tuple[str, ...], count: int, box: Box | None) -> NDArray[np.float64]:
    """The start: what is given, and elsewhere 1, or a point within the bounds."""
    start = np.ones(count)
    if box is not None:
        low, high = box.low, box.high
        below, above = np.isfinite(low), np.isfinite(high)
        start = np.where(below, low + 1.0, np.where(above, high - 1.0, 1.0))
        both = below & above
        start[both] = 0.5 * low[both] + 0.5 * high[both]
    if p0 is None:
        return start
    if isinstance(p0, Mapping):
        for name, value in p0.items():
            start[place_of(name, names, "p0")] = validate.number(f"p0[{name!r}]", value)
        return start
    return validate.array("p0", np.atleast_1d(np.asarray(p0)), 1).astype(np.float64)


def _fixed(fixed: Any, names: tuple[str, ...]) -> dict[int, float]:
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping):
        raise TypeError(f"fixed must be a dictionary of names and values, got {validate.shown(fixed)}")
    return {place_of(name, names, "fixed"): validate.number(f"fixed[{name!r}]", value) for name, value in fixed.items()}


def _box(bounds: Any, names: tuple[str, ...], count: int, method: str | None) -> Box | None:
    if isinstance(bounds, Mapping):
        low, high = np.full(count, -np.inf), np.full(count, np.inf)
        for name, pair in bounds.items():
            i = place_of(name, names, "bounds")
            if not np.iterable(pair) or len(tuple(pair)) != 2:
                raise ValueError(f"bounds[{name!r}] must be (lower, upper), got {validate.shown(pair)}")
            lower, upper = pair
            low[i] = -np.inf if lower is None else lower
            high[i] = np.inf if upper is None else upper
        bounds = low, high
    return box_between(bounds, count, method)


def _settings(options: dict[str, Any], free: list[int], count: int) -> tuple[Settings, NDArray[np.float64] | None]:
    """The settings of the run, and the steps of differences; both for the free parameters."""
    for name in options:
        if name not in _OPTIONS:
            raise TypeError(f"curve_fit has no option {name!r}; it takes {', '.join(_OPTIONS)}")
    given = {name: options.get(name, 1e-8) for name in ("ftol", "xtol", "gtol")}
    given["max_nfev"] = options.get("max_nfev") if "max_nfev" in options else options.get("maxfev") or None
    step = options.get("diff_step")
    if options.get("epsfcn") is not None:
        step = float(np.sqrt(validate.number("epsfcn", options["epsfcn"], 0, above=True)))
    given |= {name: options[name] for name in ("max_iter", "polish") if name in options}
    scale, step = (_of_free(value, free, count) for value in (options.get("x_scale"), step))
    return settings_of(**given, x_scale=scale, n=len(free)), relative_steps(step, len(free))


def _of_free(value: Any, free: list[int], count: int) -> Any:
    """Of one number for each parameter, those for the free ones; anything else is itself."""
    return np.asarray(value)[free] if not isinstance(value, str) and np.shape(value) == (count,) else value


def _jacobian(jac: Any, form: CurveForm, data: _Data, free: list[int]) -> Callable[..., Any] | None:
    """The derivatives of the residuals by the free parameters, from those of the model."""
    if jac is None or isinstance(jac, str):
        if jac is not None:
            validate.choice("jac", jac, ("2-point", "3-point", "cs"))
        return None
    if not callable(jac):
        raise TypeError(f"jac must be a function, or one of '2-point', '3-point', 'cs', got {validate.shown(jac)}")

    def derivatives(x: Any, at: Any, y: Any, spread: Any, *others: Any) -> Any:
        J = np.atleast_2d(np.asarray(jac(at, *form.all_parameters(x), *others), np.float64))
        if len(J) != y.size:
            raise ValueError(f"jac must return an array with {y.size} rows, got the shape {J.shape}")
        J = J[:, free] if J.shape[1] != len(free) else J
        return J if spread is None else J / spread[:, None] if spread.ndim == 1 else spread @ J

    return derivatives


def _refitting(problem: ResidualProblem, box: Box | None, settings: Settings) -> Callable[..., Fit]:
    """A function that fits again with one parameter held: (start, j, value) -> Fit."""

    def refit(start: NDArray[np.float64], j: int, value: float) -> Fit:
        n = start.size
        low = np.full(n, -np.inf) if box is None else box.low.copy()
        high = np.full(n, np.inf) if box is None else box.high.copy()
        low[j] = high[j] = value
        x = np.clip(start, low, high)
        return run_fit(problem, x, Box(low, high, np.ones(n)), settings)

    return refit
