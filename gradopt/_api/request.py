"""The arguments of `optimize`: checks them together and builds the run that they ask for."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from gradopt._api.bounds import box_of
from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.protocol import gauss_newton, hessian
from gradopt._core.warnings import warn
from gradopt._loops.clipping import Clipping, NoClipping
from gradopt._loops.types import StopTests
from gradopt._numerics.bounds import Box
from gradopt._results.result import OptimizeResult
from gradopt._results.state import State
from gradopt._run.callbacks import Callbacks
from gradopt._run.descent import Descent, Limits
from gradopt._run.recovery import RetryFromBest
from gradopt._run.training import Training, TrainingLimits
from gradopt._run.training_plan import MONITORS, plan_of, watch_of
from gradopt.methods import LBFGS, Adam, LevenbergMarquardt, Method, as_method
from gradopt.problems import Problem, RowProblem
from gradopt.problems.functions.function import as_problem
from gradopt.problems.functions.given_curvature import GivenCurvature

_DEFAULT_METHOD: dict[bool, Method] = {False: LBFGS(), True: Adam()}  # by whether it is a training run
_FOR_SUMS_OF_SQUARES = LevenbergMarquardt()
_DEFAULT_EPOCHS = 100
_NO_CLIPPING = NoClipping()


class Request(NamedTuple):
    """The checked arguments that both kinds of runs share."""

    problem: Any  # a Problem, or a callable with its jac and args
    x0: Any
    jac: Any
    second: tuple[Any, Any]  # hess and hessp
    args: Any
    method: Method
    state: State | None
    trains: bool
    max_iter: int | None
    max_nfev: int  # sys.maxsize where there is no limit
    max_time: float  # infinite where there is no limit
    target: float  # -inf where there is none
    clipping: Config
    recover: RetryFromBest | None
    callbacks: Callbacks
    progress: bool
    record: str | None


def checked_request(
    problem: Any,
    x0: Any,
    jac: Any,
    second: tuple[Any, Any],
    args: Any,
    method: Method | str | None,
    state: Any,
    trains: bool,
    *,
    max_iter: int | None,
    max_nfev: int | None,
    max_time: float | None,
    target: float | None,
    clip_norm: float | None,
    clip_value: float | None,
    recover: Any,
    callback: Any,
    progress: bool,
    record: str | None,
) -> Request:
    """Check the arguments that both kinds of runs share; raises an error for the first wrong one."""
    callbacks = Callbacks(callback)
    if record is not None:
        validate.choice("record", record, ("scalars", "x", None))
    max_time = np.inf if max_time is None else validate.number("max_time", max_time, 0, above=True)
    target = -np.inf if target is None else validate.number("target", target)
    if max_iter is not None:
        max_iter = validate.integer("max_iter", max_iter, 0)
    max_nfev = sys.maxsize if max_nfev is None else validate.integer("max_nfev", max_nfev, 1)
    if state is not None and not isinstance(state, State):
        hint = "; pass result.state" if isinstance(state, OptimizeResult) else ""
        raise TypeError(f"state must be the state of an earlier result, got a {type(state).__name__}{hint}")
    if state is not None:
        state.require_consistent()
    if state is not None and x0 is not None:
        raise ValueError("x0 can't be given together with a state, which has its own x")
    trains = trains or (state is not None and state.training is not None)
    if trains and max_nfev < sys.maxsize:
        raise ValueError("max_nfev has no meaning for a training run; use max_iter, which counts batches")
    method = _chosen_method(problem, x0, method, state, trains)
    if state is not None:
        _warn_if_over(method, state)
    callbacks.require_savable(method)
    if not method.loop.clips:
        forbid(type(method).__name__, clip_norm=clip_norm, clip_value=clip_value)
    if method.loop.evaluates is not hessian:
        forbid(f"{type(method).__name__}, which looks at no second derivatives", hess=second[0], hessp=second[1])
    if not method.loop.recovers:
        forbid(type(method).__name__, recover=recover)
    progress, clipping = validate.flag("progress", progress), _clipping(clip_norm, clip_value)
    if recover is not None and not isinstance(recover, RetryFromBest):
        raise TypeError(f"recover must be a RetryFromBest or None, got {validate.shown(recover)}")
    if isinstance(x0, (int, float, np.number)) and not isinstance(x0, bool):  # one parameter
        x0 = [x0]
    limits = max_iter, max_nfev, max_time, target, clipping, recover
    return Request(problem, x0, jac, second, args, method, state, trains, *limits, callbacks, progress, record)


def training_run(
    request: Request,
    batch_size: int | None,
    epochs: int | None,
    shuffle: bool,
    rng: Any,
    validation: Any,
    patience: int | None,
    monitor: str,
    restore_best: bool,
) -> Training:
    """The training run for a request."""
    problem, method, state = request.problem, request.method, request.state
    if method.loop.batches is None:
        raise ValueError(f"method must be a first-order method that takes batches, such as Adam(), got {method}")
    if not isinstance(problem, RowProblem):
        raise ValueError(f"batch_size and epochs need a problem with rows of data, got {validate.shown(problem)}")
    plan = plan_of(problem, state, batch_size, validate.flag("shuffle", shuffle), rng)
    watch = watch_of(problem, validation, monitor, patience, validate.flag("restore_best", restore_best))
    max_iter = sys.maxsize if request.max_iter is None else request.max_iter
    if epochs is None:
        epochs = _DEFAULT_EPOCHS if request.max_iter is None else sys.maxsize
    else:
        epochs = validate.integer("epochs", epochs, 0)
    limits = TrainingLimits(epochs, max_iter, request.target, request.clipping)
    request.callbacks.warn_if_never_due(limits.epochs)
    x = _start(request, problem, plan.orders.rng)
    return Training(problem, method, x, plan, watch, limits, request.recover is not None, request.record, state)


def deterministic_run(
    request: Request, gtol: float | None, ftol: float | None, xtol: float | None, bounds: Any, rng: Any
) -> Descent:
    """The deterministic run for a request."""
    method, state, loop = request.method, request.state, request.method.loop
    _forbid_rng(request, rng)
    if method.by_epoch:
        raise ValueError(f"learning_rate must be a function of the update count here, got {method}")
    problem, x, box = _problem_within(request, rng, bounds)
    if isinstance(problem, RowProblem):
        problem.require_deterministic()
    if loop.evaluates is gauss_newton:
        problem = _by_residuals(problem, method, x)
    elif loop.evaluates is hessian:
        problem = _with_given_curvature(problem, request).by_curvature(
            x, box, whole=method.takes_whole_hessians(x.size)
        )
    ftol = loop.tolerance(loop.ftol, x.dtype) if ftol is None else ftol
    xtol = loop.tolerance(loop.xtol, x.dtype) if xtol is None else xtol
    if loop.by_values:
        forbid(f"{type(method).__name__}, which looks at no gradient", gtol=gtol)
        problem = problem.by_values()
    gtol = loop.tolerance(loop.gtol, x.dtype) if gtol is None else gtol
    tests = StopTests(
        gtol=-1.0 if gtol is None else validate.number("gtol", gtol, 0),
        ftol=-1.0 if ftol is None else validate.number("ftol", ftol, 0),
        xtol=-1.0 if xtol is None else validate.number("xtol", xtol, 0),
        target=request.target,
    )
    max_iter = loop.max_iter if request.max_iter is None else request.max_iter
    limits = Limits(tests, max_iter, request.max_nfev, request.clipping, box)
    return Descent(problem, method, x, limits, request.recover is not None, request.record, state)


def _by_residuals(problem: Problem, method: Method, x: Any) -> Problem:
    """The problem as a method for sums of squares needs it."""
    residuals = problem.by_residuals(x)
    if residuals is None:
        raise ValueError(
            f"{type(method).__name__} works on sums of squares alone, such as problems.LeastSquares(residuals), got"
            f" {problem}"
        )
    return residuals


def _with_given_curvature(problem: Problem, request: Request) -> Problem:
    """The problem with the second derivatives that the user's functions give, if any."""
    hess, hessp = request.second
    if hess is None and hessp is None:
        return problem
    args = request.args if isinstance(request.args, tuple) else (request.args,)
    return GivenCurvature(problem, hess, hessp, args)


def forbid(where: str, **settings: Any) -> None:
    """Raise a ValueError for the first setting that is given."""
    for name, value in settings.items():
        if value is not None:
            raise ValueError(f"{name} has no meaning for {where}")


def forbid_training_settings(shuffle: bool, monitor: str, restore_best: bool, **settings: Any) -> None:
    """Raise a ValueError for the first training-only setting that is not at its default."""
    validate.flag("shuffle", shuffle), validate.flag("restore_best", restore_best)
    validate.choice("monitor", monitor, MONITORS)
    if not (shuffle and restore_best and monitor == "loss"):
        flags = {"monitor": monitor != "loss", "shuffle": not shuffle, "restore_best": not restore_best}
        settings |= {name: True for name, changed in flags.items() if changed}
    forbid("a run without batch_size or epochs", **settings)


def _forbid_rng(request: Request, rng: Any) -> None:
    """Raise a ValueError if an rng is given but nothing would be drawn from it."""
    if rng is None:
        return
    problem = request.problem
    if not (isinstance(problem, Problem) and problem.x0 is None and request.x0 is None and request.state is None):
        raise ValueError("rng has no meaning for a run in which nothing is drawn")


def _chosen_method(problem: Any, x0: Any, method: Method | str | None, state: State | None, trains: bool) -> Method:
    """The given method, or that of the state, or the default."""
    if state is None:
        if method is None and not trains and isinstance(problem, Problem) and problem.is_sum_of_squares(x0):
            return _FOR_SUMS_OF_SQUARES
        return _DEFAULT_METHOD[trains] if method is None else as_method(method)
    chosen = state.method if method is None else as_method(method)
    if type(chosen) is not type(state.method):
        raise ValueError(
            f"method must be {type(state.method).__name__}, as in the state, with any settings, got {chosen}"
        )
    return chosen


def _warn_if_over(method: Method, state: State) -> None:
    """Warn if a schedule given anew has ended before the run begins: updates are counted on, over all runs."""
    schedule = getattr(method, "learning_rate", None)
    same = schedule == getattr(state.method, "learning_rate", None)
    if same or not callable(schedule) or not getattr(schedule, "pure", True):
        return
    done = state.nit if state.training is None or not method.by_epoch else state.training.epoch
    before, after = (np.unique(np.geomspace(1, count, 200).astype(int)) - 1 for count in (done + 1, done + 2000))
    rates = np.array([schedule(int(k)) for k in before]), np.array([schedule(int(done + k)) for k in after])
    if done and (rates[1] == rates[1][0]).all() and not (rates[0] == rates[0][0]).all():
        unit = "epoch" if method.by_epoch else "update"
        warn(
            f"{schedule} is a function of all {unit}s, counted over resumed runs, and has ended before {unit} {done},"
            f" where this run begins: the rate stays {rates[1][0]:g}. Join([..., schedule], [{done}]) begins it there"
        )


def _clipping(clip_norm: float | None, clip_value: float | None) -> Config:
    """The clipping of gradients before updates."""
    if clip_norm is None and clip_value is None:
        return _NO_CLIPPING
    given = (("clip_norm", clip_norm), ("clip_value", clip_value))
    return Clipping(
        *(np.inf if value is None else validate.number(name, value, 0, above=True) for name, value in given)
    )


def _start(request: Request, problem: Problem, rng: Any) -> Any:
    """The start of a run of a problem, as a new array."""
    if request.jac is not None or request.args != ():
        raise ValueError(f"jac and args belong to a callable; {problem} has its own gradient and data")
    if request.second != (None, None):
        raise ValueError(f"hess and hessp belong to a callable; {problem} has second derivatives of its own")
    if request.state is not None:
        return problem.checked("state.x", request.state.x)
    start = problem.start(rng) if request.x0 is None else request.x0
    if start is None:
        raise ValueError(f"x0 must be given: {problem} has no start of its own")
    return problem.checked("x0", start)


def _problem_within(request: Request, rng: Any, bounds: Any) -> tuple[Problem, Any, Box | None]:
    """The problem (a callable is wrapped in one), the start of the run, and its bounds."""
    fun, state = request.problem, request.state
    if isinstance(fun, Problem):
        x = _start(request, fun, rng)
        return fun, x, _box(request.method, bounds, x)
    if not callable(fun) or isinstance(fun, Config) or (isinstance(fun, type) and issubclass(fun, Config)):
        raise TypeError(f"problem must be a gradopt.problems.Problem or a callable, got {validate.shown(fun)}")
    if state is None and request.x0 is None:
        raise ValueError("x0 must be given: a callable has no start of its own")
    x = validate.array("x0", request.x0, 1) if state is None else state.x.copy()
    box = _box(request.method, bounds, x)
    jac = request.jac
    if request.method.loop.by_values:
        forbid(f"{type(request.method).__name__}, which looks at no gradient", jac=jac)
    return as_problem(fun, jac, request.args, x.copy(), box, request.method.loop.by_values), x, box


def _box(method: Method, bounds: Any, x: Any) -> Box | None:
    """The bounds as a box; moves x into it."""
    box = box_of(bounds, x.size, x.dtype)
    if box is None:
        return None
    if not method.loop.takes_bounds:
        raise ValueError(f"bounds need a method that keeps them, such as LBFGS(), got {method}")
    inside = np.clip(x, box.low, box.high)
    if (inside != x).any():
        i = int(np.argmax(inside != x))
        warn(f"x0 is outside of the bounds and was moved into them: x0[{i}] = {x[i]:g} became {inside[i]:g}")
        x[:] = inside
    return box
