"""`fit_many`: one model, many data sets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradopt._api.many import Data, Given, Parameters, block_of, run_fits
from gradopt._api.many_lazily import is_lazy, lazy_fits
from gradopt._api.one_by_one import OneByOne
from gradopt._core import validate
from gradopt._core.words import explains_words
from gradopt._loops.types import RUNNING, StopTests
from gradopt._losses.robust import checked_loss
from gradopt._results.many_fits import ManyFits
from gradopt._results.result import Interrupted
from gradopt._run.many import Interruption, checked_workers
from gradopt._run.many_fits import FitTask, ManyTask, TapeProgram, lanes_for, vectors
from gradopt._run.progress_bar import bar_of
from gradopt._tape.graph.node import TooLarge
from gradopt._tape.record.errors import TraceError
from gradopt.problems.fits.many_form import Layout, ManyForm
from gradopt.problems.functions.tracing import traced

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
        NumPy. It is traced once; nothing is compiled for it. If it can't be traced, each fit is one of `curve_fit`,
        hundreds of times slower; see `ManyFits.route`.
    xdata : array_like (m,) or (..., m), or tuple of these
        The points, the same for all fits or those of each fit. Several predictors are a tuple of such arrays; f
        receives them as an array (k, m).
    Y : array_like (..., m)
        The data. The leading axes count the fits. Points that are not finite in Y, xdata or sigma are left out of that
        fit. An array of Dask, in one piece along its last axis, gives lazy results, one task for each chunk; the other
        arguments may then be arrays of Dask too.
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
    Interrupted
        Ctrl-C; `result` has the fits so far, the others have the status NOT_RUN.

    Notes
    -----
    Each fit takes the steps of `LevenbergMarquardt`, but in lanes: one run of the tape evaluates up to 64 fits. The
    results are the same bits whatever the workers, and whatever other fits there are. Statuses of single fits:
    NO_DATA for fewer valid points than parameters, with x NaN; NON_FINITE where the start is not finite (x NaN) or
    outside its bounds, the bounds are no interval, sigma is not positive, counts are negative, or the model is not
    finite at the start (x is the start); LINE_SEARCH also where no parameter changes the model at the start.

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
    counts = isinstance(loss, str) and loss == "poisson"
    loss = loss if counts else checked_loss(loss)
    scale = validate.number("f_scale", f_scale, 0, above=True)
    workers, progress = checked_workers(workers), validate.flag("progress", progress)
    given = Given(xdata, p0, sigma, bounds, fixed)
    make_task = functools.partial(_task, f, args, loss, scale, settings)
    if is_lazy(Y):
        return lazy_fits(f, given, Y, counts, len(args), make_task)
    data, parameters = given.checked(f, Y, counts, len(args))
    task = make_task(data, parameters)
    fits = task.no_fits(data.shape)
    with bar_of(progress, data.fits, "fit") as bar:
        try:
            run_fits(task, data, parameters, fits, workers, bar.advance)
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


def _task(
    f: Any, args: tuple[Any, ...], loss: Any, scale: float, settings: _Settings, data: Data, parameters: Parameters
) -> ManyTask:
    """What fits blocks."""
    layout = Layout(
        parameters.free,
        parameters.fixed,
        data.m,
        data.sigma is not None,
        data.masked,
        len(data.own),
        data.stacked,
    )
    counts = isinstance(loss, str) and loss == "poisson"
    sample = _sample(layout, data, parameters, counts)
    fits, errors = None, None
    common = parameters.names, layout, settings.dtype, settings.covariance
    if sample is not None:
        try:
            fits, errors = _programs(f, args, loss, scale, settings, layout, data.shared, sample)
        except (TraceError, TooLarge):
            limits = settings.tests, settings.max_iter, settings.polish
            return OneByOne(*common, f, data.shared, args, *limits, loss, scale, settings.absolute)
    how = settings.tests, settings.max_iter, settings.polish, loss if isinstance(loss, str) else "other"
    return FitTask(*common, lanes_for(data.m), fits, errors, *how, settings.absolute)


def _programs(
    f: Any,
    args: tuple[Any, ...],
    loss: Any,
    scale: float,
    settings: _Settings,
    layout: Layout,
    shared: Any,
    sample: NDArray[np.float64],
) -> tuple[TapeProgram, TapeProgram | None]:
    """The tapes of fits and errors; raises TraceError or TooLarge if the model can't be put into lanes."""
    form, all_args, lanes = ManyForm(loss, scale, layout), (shared, *args), lanes_for(layout.m)
    with np.errstate(all="ignore"):
        first = form.value(f, sample.copy(), all_args)
    problem = traced(f, all_args, sample, first, calls=1, form=form).problem
    fits = TapeProgram(problem.lane_tape(lanes), settings.dtype)
    if settings.covariance is None:
        return fits, None
    return fits, TapeProgram(problem.error_tape(lanes), settings.dtype)


def _sample(layout: Layout, data: Data, parameters: Parameters, counts: bool) -> NDArray[np.float64] | None:
    """The vector of the first fit that can be run, for the trace; None if there is none."""
    for begin in range(0, data.fits, _AT_ONCE):
        block = block_of(data, parameters, begin, min(begin + _AT_ONCE, data.fits))
        inputs, _, status = vectors(layout, block, np.dtype(np.float64), counts)
        good = np.flatnonzero(status == RUNNING)
        if good.size:
            sample: NDArray[np.float64] = inputs[good[0]]
            return sample
    return None
