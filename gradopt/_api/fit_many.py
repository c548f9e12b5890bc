"""`fit_many`: one model, many data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradopt._api.fitting import names_of, place_of
from gradopt._core import validate
from gradopt._core.words import explains_words
from gradopt._loops.types import RUNNING, StopTests
from gradopt._losses.robust import checked_loss
from gradopt._results.many_fits import ManyFits
from gradopt._results.result import Interrupted
from gradopt._run.many import Interruption, checked_workers, in_pieces
from gradopt._run.many_fits import Block, FitTask, Fitted, LaneProgram, lanes_for, vectors
from gradopt._run.progress_bar import bar_of
from gradopt._tape.graph.lanes import TooLarge
from gradopt._tape.record.errors import TraceError
from gradopt.problems.fits.many_form import Layout, ManyForm
from gradopt.problems.functions.tracing import traced

# The numbers that the vectors of the first piece take.
_NUMBERS = 1 << 17

# The fits among which one for the trace is looked for at once.
_AT_ONCE = 256

# Tolerances below this many units of rounding can't be reached.
_ROUNDINGS = 10.0


@explains_words
def fit_many(
    f: Callable[..., Any],
    xdata: Any,
    Y: ArrayLike,
    p0: Any,
    *,
    sigma: Any = None,
    absolute_sigma: bool = False,
    bounds: Any = (-np.inf, np.inf),
    fixed: Mapping[str, Any] | None = None,
    args: Any = (),
    loss: Any = "linear",
    f_scale: float = 1.0,
    ftol: float = 1e-8,
    xtol: float = 1e-8,
    gtol: float = 1e-8,
    max_iter: int = 200,
    polish: int = 0,
    covariance: str | None = "stderr",
    dtype: Any = None,
    workers: Any = None,
    progress: bool = False,
) -> ManyFits:
    """Fit a model to many data sets by least squares, side by side: pixels, wells, series, stars.

    Parameters
    ----------
    f : callable
        f(x, *params, *args) -> array (m,), of the points of one data set at once: plain Python that computes with
        NumPy. It is traced once; nothing is compiled for it.
    xdata : array_like (m,) or (..., m), or tuple of these
        The points, the same for all fits or those of each fit. Several predictors are a tuple of such arrays; f
        receives them as an array (k, m).
    Y : array_like (..., m)
        The data. The leading axes count the fits. Points that are not finite in Y, xdata or sigma are left out of that
        fit.
    p0 : array_like (..., n), dict or callable
        The starts, one for all or one for each fit; by name, {name: number or array (...)}; or a function
        (xdata, Y) -> (..., n).
    sigma : array_like (..., m), optional
        The standard deviations of Y, > 0. Default 1.
    absolute_sigma : bool
        Whether sigma is in the units of Y. If not, the errors are scaled so that the reduced chi squared is 1.
    bounds : (lower, upper), scipy.optimize.Bounds or dict
        Each end a number or an array (..., n); or {name: (lower, upper)}, of numbers or arrays (...), None for no
        bound.
    fixed : dict, optional
        Parameters that keep a value: {name: number or array (...)}.
    args : tuple
        Constants that f takes after its parameters.
    loss, f_scale
        As for `curve_fit`.
    ftol, xtol, gtol : float
        The tolerances of `LevenbergMarquardt`, >= 0; at least 10 roundings of the dtype.
    max_iter : int
        Maximum number of updates of each fit, >= 0.
    polish : int
        Maximum number of undamped steps after the stop, >= 0, for more digits than the data can show.
    covariance : {"stderr", "full", None}
        What to find of the errors: standard errors, covariances too, or nothing.
    dtype : float64 or float32
        The precision of the fits. Default float64.
    workers : int, callable, Executor or dask.distributed.Client, optional
        The number of threads, -1 for all cores; or a map, called as workers(function, pieces); or what has `submit`.
        Default one thread for each core that this process may use, and one within a worker of Dask or joblib.
    progress : bool
        Whether to show a bar (tqdm).

    Returns
    -------
    ManyFits
        Arrays with the leading axes of Y: `x`, `stderr`, `status` and others; print it for a summary.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value. No single fit raises an error: its `status` says what
        happened.
    TraceError
        f can't be traced; the message says which line, and what to do.
    Interrupted
        Ctrl-C; `result` has the fits so far, the others have the status NOT_RUN.

    Notes
    -----
    Each fit takes the steps of `LevenbergMarquardt`, but in lanes: one run of the tape evaluates up to 64 fits. The
    results are the same bits whatever the workers, and whatever other fits there are. Statuses of single fits:
    NO_DATA for fewer valid points than parameters, with x NaN; NON_FINITE where the start is not finite (x NaN) or
    outside its bounds, sigma is not positive, counts are negative, or the model is not finite at the start (x is the
    start).

    Counterparts: scipy.optimize.curve_fit in a loop, pygpufit.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> def decay(t, amount, rate):
    ...     return amount * np.exp(-rate * t)
    >>> t, rates = np.linspace(0.0, 4.0, 30), np.array([[0.5, 1.0, 2.0], [0.7, 0.9, 1.1]])
    >>> Y = 3.0 * np.exp(-rates[..., None] * t)
    >>> Y[0, 1] = np.nan
    >>> fits = gradopt.fit_many(decay, t, Y, p0=[1.0, 1.0])
    >>> fits.x[..., 1].round(6)
    array([[0.5, nan, 2. ],
           [0.7, 0.9, 1.1]])
    >>> gradopt.Status(fits.status[0, 1])
    <Status.NO_DATA: 31>
    """
    if not callable(f):
        raise TypeError(f"f must be a function f(x, ...), got {validate.shown(f)}")
    args = args if isinstance(args, tuple) else (args,)
    settings = _settings(ftol, xtol, gtol, max_iter, polish, covariance, dtype, absolute_sigma)
    loss = loss if isinstance(loss, str) and loss == "poisson" else checked_loss(loss)
    scale = validate.number("f_scale", f_scale, 0, above=True)
    workers, progress = checked_workers(workers), validate.flag("progress", progress)
    data = _data(xdata, Y, sigma, loss)
    parameters = _parameters(f, p0, bounds, fixed, data, xdata, Y, len(args))
    count = data.fits
    fits = ManyFits.empty(data.shape, parameters.names, parameters.free, settings.dtype, settings.covariance)
    task = _task(f, args, data, parameters, loss, scale, settings)
    lanes = lanes_for(data.m)
    first = max(lanes, min(4096, _NUMBERS // task.layout.size) // lanes * lanes)

    def hand_over(begin: int, end: int, result: Fitted) -> None:
        fits.take(begin, end, result, _part(parameters.held, begin, end))
        bar.advance(end - begin)

    with bar_of(progress, count, "fit") as bar:
        try:
            in_pieces(task, lambda begin, end: _block(data, parameters, begin, end), count, first, workers, hand_over)
        except Interruption:
            raise Interrupted(fits) from None
    return fits


class _Settings(NamedTuple):
    tests: StopTests
    max_iter: int
    polish: int
    covariance: str | None
    dtype: Any
    absolute: bool


def _settings(
    ftol: Any, xtol: Any, gtol: Any, max_iter: Any, polish: Any, covariance: Any, dtype: Any, absolute: Any
) -> _Settings:
    try:
        kind = np.dtype(np.float64 if dtype is None else dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {validate.shown(dtype)}")
    least = _ROUNDINGS * float(np.finfo(kind).eps)
    given = {"gtol": gtol, "ftol": ftol, "xtol": xtol}
    checked = {name: max(validate.number(name, value, 0), least) for name, value in given.items()}
    if covariance is not None:
        validate.choice("covariance", covariance, ("stderr", "full"))
    return _Settings(
        StopTests(checked["gtol"], checked["ftol"], checked["xtol"], -np.inf),
        validate.integer("max_iter", max_iter, 0),
        validate.integer("polish", polish, 0),
        covariance,
        kind,
        validate.flag("absolute_sigma", absolute),
    )


class _Data(NamedTuple):
    """The data. Arrays that are the same for all fits have the length 1 along their first axis."""

    shape: tuple[int, ...]  # the leading axes of Y
    fits: int
    m: int
    y: NDArray[Any]  # (count, m)
    shared: NDArray[np.float64] | None  # (m,) or (k, m), the predictors that all fits share
    own: tuple[NDArray[Any], ...]  # (count, m) each, if they do not
    stacked: bool  # whether there are several predictors
    valid: NDArray[np.bool_] | None  # (m,) where the shared predictors are finite, if not everywhere
    sigma: NDArray[Any] | None  # (count or 1, m)
    masked: bool  # whether any point of any fit is to be left out


def _data(xdata: Any, Y: Any, sigma: Any, loss: Any) -> _Data:
    """The checked data."""
    y = _real("Y", Y)
    if y.ndim == 0:
        raise ValueError("Y must have an axis of points, got a number")
    if y.shape[-1] == 0:
        raise ValueError(f"Y must have points along its last axis, got the shape {y.shape}")
    shape, m = y.shape[:-1], y.shape[-1]
    rows = y.reshape(-1, m)
    count = len(rows)
    predictors = [_real("xdata", part) for part in (xdata if isinstance(xdata, tuple) else (xdata,))]
    if not predictors:
        raise ValueError("xdata must not be an empty tuple")
    for part in predictors:
        if part.shape not in ((m,), y.shape):
            remedy = "; several predictors are a tuple of arrays" if part.ndim == 2 and part.shape[-1] == m else ""
            raise ValueError(f"xdata must have the shape ({m},) or {y.shape}, as Y, got {part.shape}{remedy}")
    shared: Any = None
    own: tuple[NDArray[Any], ...] = ()
    valid = None
    if all(part.shape == (m,) for part in predictors):
        shared = np.stack(predictors) if isinstance(xdata, tuple) else predictors[0].astype(np.float64)
        finite = np.isfinite(shared).reshape(-1, m).all(axis=0)
        if not finite.all():
            valid = finite
            fill = shared[..., np.argmax(finite)] if finite.any() else np.zeros(shared.shape[:-1])
            shared = np.where(finite, shared, np.asarray(fill)[..., None])
    else:
        own = tuple(np.broadcast_to(part, y.shape).reshape(count, m) for part in predictors)
    if sigma is not None:
        if isinstance(loss, str) and loss == "poisson":
            raise ValueError("sigma must be None with loss='poisson': counts have the variance of their mean")
        sigma = _rows("sigma", _real("sigma", sigma), shape, m, "(..., m)")
    arrays = [rows, *([] if sigma is None else [sigma]), *own]
    masked = valid is not None or not all(_all_finite(array) for array in arrays)
    return _Data(shape, count, m, rows, shared, own, isinstance(xdata, tuple), valid, sigma, masked)


def _real(name: str, value: Any) -> NDArray[Any]:
    """The value as an array of floats."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of real numbers, got {validate.shown(value)}") from None
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _rows(name: str, array: NDArray[Any], shape: tuple[int, ...], last: int, wanted: str) -> NDArray[Any]:
    """The array as rows, one for each fit, or one for all."""
    if array.ndim == 0 or array.shape == (last,):
        return np.broadcast_to(array, (1, last))
    try:
        if array.shape[-1] not in (1, last):
            raise ValueError
        return np.broadcast_to(array, (*shape, last)).reshape(-1, last)
    except ValueError:
        raise ValueError(
            f"{name} must have the shape {wanted} that broadcasts to {(*shape, last)}, got {array.shape}"
        ) from None


def _all_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are finite, without an array of as many booleans."""
    step = max(1, (1 << 18) // max(array.shape[1], 1))
    return all(bool(np.isfinite(array[begin : begin + step]).all()) for begin in range(0, len(array), step))


class _Parameters(NamedTuple):
    """The parameters. Arrays that are the same for all fits have the length 1 along their first axis."""

    names: tuple[str, ...]
    free: tuple[int, ...]  # the places of those that are fitted
    fixed: tuple[int, ...]  # and of those that are not
    start: NDArray[np.float64]  # (count or 1, free)
    held: NDArray[np.float64]  # (count or 1, fixed)
    low: NDArray[np.float64]  # (count or 1, free)
    high: NDArray[np.float64]  # (count or 1, free)


def _parameters(
    f: Any, p0: Any, bounds: Any, fixed: Any, data: _Data, xdata: Any, Y: Any, constants: int
) -> _Parameters:
    """The checked parameters."""
    shape = data.shape
    if callable(p0):
        p0 = p0(xdata, Y)
    if p0 is None:
        raise ValueError("p0 must be given: an array (..., n), values by name, or a function of (xdata, Y)")
    if isinstance(p0, Mapping):
        names, n = names_of(f, p0, None, constants)
        start = np.ones((*shape, n)) if any(np.ndim(value) for value in p0.values()) else np.ones(n)
        for name, value in p0.items():
            start[..., place_of(name, names, "p0")] = _number_each(f"p0[{name!r}]", value, shape)
    else:
        start = np.atleast_1d(_real("p0", p0)).astype(np.float64)
        names, n = names_of(f, None, start.shape[-1], constants)
    start = _rows("p0", start, shape, n, "(..., n)")
    low, high = _ends(bounds, names, shape)
    held = {} if fixed is None else fixed
    if not isinstance(held, Mapping):
        raise TypeError(f"fixed must be a dictionary of names and values, got {validate.shown(fixed)}")
    values = {place_of(name, names, "fixed"): _number_each(f"fixed[{name!r}]", v, shape) for name, v in held.items()}
    free = tuple(i for i in range(n) if i not in values)
    if not free:
        raise ValueError("fixed must leave a parameter free, got all of them")
    places, by_fit = tuple(sorted(values)), any(np.ndim(value) for value in values.values())
    rows = np.empty((data.fits if by_fit else 1, len(places)))
    for column, place in enumerate(places):
        rows[:, column] = np.broadcast_to(values[place], shape).reshape(-1) if by_fit else values[place]
    columns = list(free)
    return _Parameters(names, free, places, start[:, columns], rows, low[:, columns], high[:, columns])


def _number_each(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A number for all fits, or one for each; NaN is allowed."""
    array = _real(name, value).astype(np.float64)
    try:
        return array if array.ndim == 0 else np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} must be a number or have the shape {shape}, got {array.shape}") from None


def _ends(bounds: Any, names: tuple[str, ...], shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lower and the upper ends, (count or 1, n) each."""
    n = len(names)
    if isinstance(bounds, Mapping):
        pairs = {}
        for name, pair in bounds.items():
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ValueError(f"bounds[{name!r}] must be (lower, upper), got {validate.shown(pair)}")
            sides = (-np.inf if pair[0] is None else pair[0], np.inf if pair[1] is None else pair[1])
            pairs[place_of(name, names, "bounds")] = [_number_each(f"bounds[{name!r}]", side, shape) for side in sides]
        by_fit = any(np.ndim(side) for pair in pairs.values() for side in pair)
        ends = np.empty((2, *(shape if by_fit else ()), n))
        ends[0], ends[1] = -np.inf, np.inf
        for place, pair in pairs.items():
            ends[0][..., place], ends[1][..., place] = pair
        low, high = ends
    elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = bounds.lb, bounds.ub
    else:
        sides_given = list(bounds) if np.iterable(bounds) and not isinstance(bounds, str) else []
        if len(sides_given) != 2:
            raise ValueError(
                f"bounds must be (lower, upper), a scipy.optimize.Bounds or a dictionary, got {validate.shown(bounds)}"
            )
        low, high = sides_given
    low, high = (_real("bounds", side).astype(np.float64) for side in (low, high))
    low, high = (_rows("bounds", side, shape, n, "(..., n)") for side in (low, high))
    if (np.isnan(low).any() or np.isnan(high).any()) and len(low) == len(high) == 1:
        raise ValueError(f"bounds must not be NaN, got {validate.shown(bounds)}")
    if (low > high).any():
        row, j = (int(i) for i in np.argwhere(low > high)[0])
        below, above = (side[row if len(side) > 1 else 0, j] for side in (low, high))
        raise ValueError(f"bounds must have lower <= upper, got {below:g} > {above:g} for {names[j]}")
    return low, high


def _part(array: NDArray[Any], begin: int, end: int) -> NDArray[Any]:
    return array if len(array) == 1 else array[begin:end]


def _block(data: _Data, parameters: _Parameters, begin: int, end: int) -> Block:
    """The arrays of some fits."""
    return Block(
        data.y[begin:end],
        _part(parameters.start, begin, end),
        _part(parameters.held, begin, end),
        _part(parameters.low, begin, end),
        _part(parameters.high, begin, end),
        None if data.sigma is None else _part(data.sigma, begin, end),
        tuple(part[begin:end] for part in data.own),
        data.valid,
    )


def _task(
    f: Any,
    args: tuple[Any, ...],
    data: _Data,
    parameters: _Parameters,
    loss: Any,
    scale: float,
    settings: _Settings,
) -> FitTask:
    """What fits blocks, from a trace of the model."""
    layout = Layout(
        parameters.free,
        parameters.fixed,
        data.m,
        data.sigma is not None,
        data.masked,
        len(data.own),
        data.stacked,
    )
    lanes, fits, errors = lanes_for(data.m), None, None
    counts = isinstance(loss, str) and loss == "poisson"
    sample = _sample(layout, data, parameters, counts)
    if sample is not None:
        form, all_args = ManyForm(loss, scale, layout), (data.shared, *args)
        with np.errstate(all="ignore"):
            first = form.value(f, sample.copy(), all_args)
        problem = traced(f, all_args, sample, first, calls=1, form=form).problem
        try:
            fits = LaneProgram(problem.lane_tape(lanes), settings.dtype)
            if settings.covariance is not None:
                errors = LaneProgram(problem.error_tape(lanes), settings.dtype)
        except TooLarge:
            raise TraceError("f multiplies matrices that are too large for fits side by side") from None
    how = (loss if isinstance(loss, str) else "other"), settings.absolute, settings.covariance == "full"
    limits = settings.tests, settings.max_iter, settings.polish
    return FitTask(layout, settings.dtype, fits, errors, lanes, *limits, *how)


def _sample(layout: Layout, data: _Data, parameters: _Parameters, counts: bool) -> NDArray[np.float64] | None:
    """The vector of the first fit that can be run, for the trace; None if there is none."""
    for begin in range(0, data.fits, _AT_ONCE):
        block = _block(data, parameters, begin, min(begin + _AT_ONCE, data.fits))
        inputs, _, status = vectors(layout, block, np.dtype(np.float64), counts)
        good = np.flatnonzero(status == RUNNING)
        if good.size:
            sample: NDArray[np.float64] = inputs[good[0]]
            return sample
    return None
