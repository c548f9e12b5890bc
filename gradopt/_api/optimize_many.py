"""`optimize_many`: many runs of one kind, from other starts or on other data; and `multistart`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from scipy.optimize import Bounds

from gradopt._api.bounds import box_of
from gradopt._api.optimize import optimize
from gradopt._api.request import checked_request, deterministic_run
from gradopt._compiler import COMPILING, flushing
from gradopt._core import validate
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._core.warnings import warn
from gradopt._core.words import explains_words
from gradopt._loops.many_runs import Runs, WithData, run_many
from gradopt._loops.types import RUNNING
from gradopt._numerics.bounds import Box
from gradopt._results.many_results import ManyResults
from gradopt._results.result import Interrupted
from gradopt._run.many import Interruption, checked_workers, in_pieces
from gradopt._run.many_fits import TapeProgram
from gradopt._run.progress_bar import bar_of
from gradopt._tape.record.errors import BranchError, TraceError
from gradopt.methods import LBFGS, Method, as_method
from gradopt.problems import Problem
from gradopt.problems.functions.tracing import trace, traced
from gradopt.problems.functions.with_data import DataForm

_FIRST = 8  # runs of the first piece
_SAMPLINGS = ("sobol", "latin", "random")


@explains_words
def optimize_many(
    fun: Problem | Callable[..., Any],
    X0: Any = None,
    *,
    args: Any = (),
    in_axes: Any = None,
    method: Method | str | None = None,
    max_iter: int | None = None,
    max_nfev: int | None = None,
    gtol: float | None = None,
    ftol: float | None = None,
    xtol: float | None = None,
    target: float | None = None,
    bounds: Any = None,
    jac: Any = None,
    workers: Any = None,
    progress: bool = False,
) -> ManyResults:
    """Minimise a function from many starts, or on many data sets, or both.

    Parameters
    ----------
    fun : Problem or callable
        As for `optimize`. A callable is traced once; its data are replaced from run to run.
    X0 : array_like (..., n) or (n,)
        The starts: one for each run, or one for all. Optional for a problem with a start of its own.
    args : tuple
        The other arguments of a callable.
    in_axes : tuple of int or None, or int, optional
        For each of args the axis that counts the runs, or None if all runs share it, as for jax.vmap. An int is that of
        all args. Default None: all are shared.
    method, max_iter, max_nfev, gtol, ftol, xtol, target, bounds, jac
        As for `optimize`, for each run.
    workers : int, callable, Executor, optional
        As for `fit_many`. Default 1 for a function that runs in Python.
    progress : bool
        Whether to show a bar (tqdm).

    Returns
    -------
    ManyResults
        Arrays with the leading axes of X0, or one axis that counts the data sets.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value. A start that is not finite is no error: the status of
        its run is NON_FINITE, and its x NaN.
    Interrupted
        Ctrl-C; `result` has the runs so far, the others have the status NOT_RUN.

    Notes
    -----
    Counterpart: jax.vmap of a minimiser, but each run stops by itself.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> def distance(x, center):
    ...     return np.sum((x - center) ** 2)
    >>> centers = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> gradopt.optimize_many(distance, [0.0, 0.0], args=(centers,), in_axes=(0,)).x.round(6)
    array([[1., 2.],
           [3., 4.],
           [5., 6.]])
    """
    args = args if isinstance(args, tuple) else (args,)
    if isinstance(fun, Problem):
        if args != () or in_axes is not None:
            raise ValueError(f"args and in_axes belong to a callable; {fun} has its own data")
    elif not callable(fun):
        raise TypeError(f"fun must be a problem or a function, got {validate.shown(fun)}")
    axes, count = _axes(in_axes, args)
    starts, shape = _starts(fun, X0, count)
    starts = _inside(starts, bounds)
    settings = {
        "method": method,
        "max_iter": max_iter,
        "max_nfev": max_nfev,
        "gtol": gtol,
        "ftol": ftol,
        "xtol": xtol,
        "target": target,
        "bounds": bounds,
    }
    runs: Any = _compiled_runs(fun, starts, args, axes, jac, settings)
    if runs is None:
        runs = _Runs(fun, starts, args, axes, jac, settings)
    number = int(np.prod(shape))
    workers = 1 if workers is None and runs.in_python else checked_workers(workers)
    results = ManyResults.empty(shape, starts.shape[-1], starts.dtype)

    def hand_over(begin: int, end: int, done: dict[str, NDArray[Any]]) -> None:
        results.take(begin, end, done)
        bar.advance(end - begin)

    with bar_of(validate.flag("progress", progress), number, "run") as bar:
        try:
            in_pieces(runs, lambda begin, end: (begin, end), number, _FIRST, workers, hand_over)
        except Interruption:
            raise Interrupted(results) from None
    return results


@explains_words
def multistart(
    fun: Problem | Callable[..., Any],
    bounds: Any,
    n_starts: int = 128,
    *,
    sampling: str = "sobol",
    rng: Any = None,
    args: Any = (),
    method: Method | str | None = None,
    max_iter: int | None = None,
    gtol: float | None = None,
    workers: Any = None,
    progress: bool = False,
) -> ManyResults:
    """Minimise a function within bounds from many starts, to find its different minima.

    Parameters
    ----------
    fun : Problem or callable
        As for `optimize`.
    bounds : sequence of (low, high), or scipy.optimize.Bounds
        A finite pair for each parameter. The starts are drawn within, and the runs stay within.
    n_starts : int
        The number of runs, >= 1.
    sampling : {"sobol", "latin", "random"}
        Scrambled Sobol points, a Latin hypercube (both by scipy.stats.qmc), or uniform random points.
    rng : None, int or numpy.random.Generator
        The source of the starts.
    args, method, max_iter, gtol, workers, progress
        As for `optimize_many`.

    Returns
    -------
    ManyResults
        One entry for each start; `best` is the lowest minimum, `distinct()` lists the different ones.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong, or the method does not take bounds.
    Interrupted
        Ctrl-C; `result` has the runs so far.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> def hilly(x):
    ...     return np.sum(x**2 - 2.0 * np.cos(4.0 * x))
    >>> runs = gradopt.multistart(hilly, [(-3.0, 3.0)] * 2, 64, rng=0)
    >>> runs.best.x.round(4) + 0.0, round(runs.best.fun, 6), len(runs.distinct().fun) > 9
    (array([0., 0.]), -4.0, True)
    """
    n_starts = validate.integer("n_starts", n_starts, 1)
    validate.choice("sampling", sampling, _SAMPLINGS)
    if isinstance(bounds, Bounds):
        n = int(np.size(bounds.lb)) if np.size(bounds.lb) > 1 else int(np.size(bounds.ub))
    else:
        bounds = list(bounds) if np.iterable(bounds) else bounds
        n = len(bounds) if isinstance(bounds, list) else 0
    box = box_of(bounds, n, np.dtype(np.float64)) if n else None
    if box is None or not (np.isfinite(box.low).all() and np.isfinite(box.high).all()):
        raise ValueError(f"bounds must be finite pairs (low, high), in which to draw, got {validate.shown(bounds)}")
    generator = validate.generator("rng", rng)
    if sampling == "sobol":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that are no power of 2
            unit = scipy.stats.qmc.Sobol(n, seed=generator).random(n_starts)
    elif sampling == "latin":
        unit = scipy.stats.qmc.LatinHypercube(n, seed=generator).random(n_starts)
    else:
        unit = generator.random((n_starts, n))
    starts = np.clip(box.low + unit * (box.high - box.low), box.low, box.high)
    settings = {"method": method, "max_iter": max_iter, "gtol": gtol, "workers": workers, "progress": progress}
    return optimize_many(fun, starts, args=args, bounds=bounds, **settings)


def _axes(in_axes: Any, args: tuple[Any, ...]) -> tuple[tuple[int | None, ...], int | None]:
    """The axis of each of args that counts the runs, and their number; None if none does."""
    if in_axes is None or isinstance(in_axes, (int, np.integer)):
        in_axes = (in_axes,) * len(args)
    axes = tuple(in_axes)
    if len(axes) != len(args):
        raise ValueError(f"in_axes must have one entry for each of args, {len(args)}, got {len(axes)}")
    count: int | None = None
    for i, (axis, argument) in enumerate(zip(axes, args, strict=True)):
        if axis is None:
            continue
        shape = np.shape(argument)
        if not isinstance(axis, (int, np.integer)) or not -len(shape) <= axis < len(shape):
            raise ValueError(f"in_axes[{i}] must be an axis of args[{i}], of the shape {shape}, got {axis!r}")
        if count is not None and shape[axis] != count:
            raise ValueError(f"args must have one entry for each of {count} runs, got {shape[axis]} in args[{i}]")
        count = shape[axis]
    return axes, count


def _starts(fun: Any, X0: Any, count: int | None) -> tuple[NDArray[Any], tuple[int, ...]]:
    """The starts, (runs or 1, n), and the axes that count the runs."""
    if X0 is None:
        start = fun.start(np.random.default_rng()) if isinstance(fun, Problem) else None
        if start is None:
            raise ValueError("X0 must be given: an array (..., n) of starts")
        X0 = start
    try:
        starts = np.asarray(X0)
        starts = starts if starts.dtype == np.float32 else starts.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"X0 must be an array of real numbers, got {validate.shown(X0)}") from None
    if starts.ndim == 0 or starts.shape[-1] == 0:
        raise ValueError(f"X0 must have parameters along its last axis, got the shape {starts.shape}")
    shape: tuple[int, ...] = starts.shape[:-1]
    if count is not None:
        if shape not in ((), (count,)):
            raise ValueError(f"X0 must have one start, or one for each of the {count} data sets, got {starts.shape}")
        shape = (count,)
    return starts.reshape(-1, starts.shape[-1]), shape


def _inside(starts: NDArray[Any], bounds: Any) -> NDArray[Any]:
    """The starts, moved into the bounds; one warning says how many were outside."""
    box = box_of(bounds, starts.shape[1], starts.dtype)
    if box is None:
        return starts
    inside = np.clip(starts, box.low, box.high)
    moved = int(((inside != starts) & np.isfinite(starts)).any(axis=1).sum())
    if moved:
        warn(f"{moved} of {len(starts)} starts are outside of the bounds and were moved into them")
    return np.where(np.isfinite(starts), inside, starts)


def _compiled_runs(
    fun: Any,
    starts: NDArray[Any],
    args: tuple[Any, ...],
    axes: tuple[int | None, ...],
    jac: Any,
    settings: dict[str, Any],
) -> _CompiledRuns | None:
    """The runs as one compiled loop, where the objective can be traced and the method be part of compiled code."""
    own = [np.moveaxis(np.asarray(a), axis, 0) for a, axis in zip(args, axes, strict=True) if axis is not None]
    usable = COMPILING and not isinstance(fun, Problem) and jac in (None, "trace")
    finite = np.flatnonzero(np.isfinite(starts).all(axis=1))
    if not usable or not finite.size or any(part.dtype.kind != "f" or len(part) == 0 for part in own):
        return None
    shapes = tuple(None if axis is None else np.delete(np.shape(a), axis) for a, axis in zip(args, axes, strict=True))
    form = DataForm(starts.shape[1], tuple(None if shape is None else tuple(map(int, shape)) for shape in shapes))
    shared = tuple(a for a, axis in zip(args, axes, strict=True) if axis is None)
    rows = [part.reshape(len(part), -1) for part in own]
    usable_rows = [np.flatnonzero(np.isfinite(part).all(axis=1)) for part in rows]
    if any(not good.size for good in usable_rows):
        return None
    vector = np.concatenate([starts[finite[0]], *[p[g[0]] for p, g in zip(rows, usable_rows, strict=True)]])
    vector = vector.astype(starts.dtype)
    try:
        with np.errstate(all="ignore"):
            tracing = traced(fun, shared, vector, form.value(fun, vector.copy(), shared), calls=1, form=form)
    except TraceError:
        return None
    if not tracing.slope_at_start or tracing.problem.may_branch:
        return None
    method = as_method(LBFGS() if settings["method"] is None else settings["method"])
    if method.loop.evaluates is not value_and_grad:  # the compiled runs have nothing else
        return None
    try:
        embedded = method.for_descend()
    except (TypeError, ValueError):
        return None
    # What is asked of each run is checked as for a single one, of another objective of as many parameters.
    request = checked_request(
        trace(np.sum, starts[finite[0]]), starts[finite[0]], None, (None, None), (), method, None, False,
        max_iter=settings["max_iter"], max_nfev=settings["max_nfev"], max_time=None, target=settings["target"],
        clip_norm=None, clip_value=None, recover=None, callback=None, progress=False, record=None,
    )  # fmt: skip
    run = deterministic_run(request, settings["gtol"], settings["ftol"], settings["xtol"], settings["bounds"], None)
    program = TapeProgram(tracing.problem.tape, starts.dtype, tracing.problem.values)
    return _CompiledRuns(program, starts, rows, embedded, run.limits)


class _CompiledRuns:
    """A function of (begin, end) that makes these runs in one compiled loop; it can be sent to other processes."""

    in_python = False

    def __init__(
        self, program: TapeProgram, starts: NDArray[Any], rows: list[NDArray[Any]], method: Any, limits: Any
    ) -> None:
        self._program, self._starts, self._rows = program, starts, rows
        self._method, self._limits = method, limits

    def __call__(self, span: tuple[int, int]) -> dict[str, NDArray[Any]]:
        """The results of the runs from begin to end."""
        begin, end = span
        count, (_, n), dtype = end - begin, self._starts.shape, self._starts.dtype
        starts = self._starts[begin:end] if len(self._starts) > 1 else self._starts
        x = np.broadcast_to(starts, (count, n)).copy()
        own = [part[begin:end].astype(dtype) for part in self._rows]
        data = np.concatenate([np.empty((count, 0), dtype), *own], axis=1)
        status = np.full(count, RUNNING, np.int8)
        status[~np.isfinite(x).all(axis=1)] = Status.NON_FINITE
        x[status != RUNNING] = np.nan
        runs = Runs(data, x.reshape(-1), np.full(count, np.nan), np.zeros(count, int), np.zeros(count, int), status)
        lowered, tests = self._program.lowered(), self._limits.tests._replace(max_nfev=self._limits.max_nfev)
        box = None if self._limits.box is None else Box(*(side.copy() for side in self._limits.box))
        problem = WithData.Lowered(lowered.evaluate, lowered.data)
        work, _, whole = self._program.arrays()
        with np.errstate(all="ignore"):
            flushing(run_many, (problem, self._method, tests, self._limits.max_iter, box, runs, work, whole))
        return {"x": x, "fun": runs.fun, "nit": runs.nit, "nfev": runs.nfev, "status": status}


class _Runs:
    """A function of (begin, end) that makes these runs, by `optimize`."""

    def __init__(
        self,
        fun: Any,
        starts: NDArray[Any],
        args: tuple[Any, ...],
        axes: tuple[int | None, ...],
        jac: Any,
        settings: dict[str, Any],
    ) -> None:
        self._fun, self._starts, self._args, self._axes, self._jac = fun, starts, args, axes, jac
        self._settings = settings
        self._traced: Any = None
        finite = np.flatnonzero(np.isfinite(starts).all(axis=1))
        if not isinstance(fun, Problem) and jac in (None, "trace") and finite.size:
            try:
                self._traced = trace(fun, starts[finite[0]], self._args_of(0) if self._has_runs() else args)
            except TraceError:
                if jac == "trace":
                    raise
        self.in_python = not isinstance(fun, Problem) and self._traced is None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_traced": None}  # a process traces by itself

    def _has_runs(self) -> bool:
        shapes = [np.shape(a)[axis] for a, axis in zip(self._args, self._axes, strict=True) if axis is not None]
        return all(shapes)

    def _args_of(self, run: int) -> tuple[Any, ...]:
        return tuple(
            argument if axis is None else np.take(argument, run, axis)
            for argument, axis in zip(self._args, self._axes, strict=True)
        )

    def __call__(self, span: tuple[int, int]) -> dict[str, NDArray[Any]]:
        """The results of the runs from begin to end."""
        begin, end = span
        count, n = end - begin, self._starts.shape[1]
        x, fun = np.full((count, n), np.nan, self._starts.dtype), np.full(count, np.nan)
        nit, nfev, status = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int8)
        for i in range(count):
            start = self._starts[begin + i if len(self._starts) > 1 else 0]
            if not np.isfinite(start).all():
                status[i] = Status.NON_FINITE
                continue
            result = self._run(begin + i, start)
            x[i], fun[i], nit[i], nfev[i], status[i] = result.x, result.fun, result.nit, result.nfev, result.status
        return {"x": x, "fun": fun, "nit": nit, "nfev": nfev, "status": status}

    def _run(self, run: int, start: NDArray[Any]) -> Any:
        if isinstance(self._fun, Problem):
            return optimize(self._fun, start, record=None, **self._settings)
        args = self._args_of(run)
        if self._traced is not None:
            try:
                problem = self._traced.with_args(*args) if any(a is not None for a in self._axes) else self._traced
                return optimize(problem, start, record=None, **self._settings)
            except ValueError:  # data that are part of the tape: traced anew
                if not any(axis is not None for axis in self._axes):
                    raise
            except BranchError:  # a way that can't be traced: by differences, as of the function itself
                if self._jac == "trace":
                    raise
        return optimize(self._fun, start, args=args, jac=self._jac, record=None, **self._settings)
