"""`optimize`: checks the request, makes the run, supervises it, and finishes the result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numba import NumbaError
from numpy.typing import ArrayLike
from scipy.optimize import Bounds

from gradopt._api.request import (
    Request,
    checked_request,
    deterministic_run,
    forbid,
    forbid_training_settings,
    training_run,
)
from gradopt._compiler.compile_time import compile_seconds
from gradopt._core.status import Status
from gradopt._core.words import explains_words
from gradopt._results.result import Interrupted, OptimizeResult
from gradopt._results.state import State
from gradopt._run.base import Run
from gradopt._run.callbacks import Callback
from gradopt._run.dry_run import add_remedy
from gradopt._run.messages import message
from gradopt._run.progress_bar import bar_of
from gradopt._run.recovery import RetryFromBest
from gradopt._run.supervisor import Supervision, supervise
from gradopt._tape.record.errors import BranchError
from gradopt.methods import Method
from gradopt.problems import Problem, Traced
from gradopt.problems.networks.supervised import Supervised


@explains_words
def optimize(
    problem: Problem | Callable[..., Any],
    x0: ArrayLike | None = None,
    *,
    method: Method | str | None = None,
    max_iter: int | None = None,
    gtol: float | None = None,
    ftol: float | None = None,
    xtol: float | None = None,
    target: float | None = None,
    max_time: float | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    shuffle: bool = True,
    rng: int | np.random.Generator | None = None,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
    monitor: Literal["loss", "accuracy"] = "loss",
    restore_best: bool = True,
    jac: Callable[..., Any] | bool | str | None = None,
    hess: Callable[..., Any] | None = None,
    hessp: Callable[..., Any] | None = None,
    args: Any = (),
    max_nfev: int | None = None,
    bounds: Bounds | Sequence[tuple[float | None, float | None]] | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    recover: RetryFromBest | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    progress: bool = False,
    record: Literal["scalars", "x"] | None = "scalars",
    state: State | None = None,
) -> OptimizeResult:
    """Minimise a function of several parameters, with the descent loop in machine code.

    With `batch_size` or `epochs` this is a training run: each update uses the next batch of rows of the data. After
    each epoch, when all rows have been used, the run records, validates and calls the callbacks. Without them, each
    update uses the whole objective.

    Parameters
    ----------
    problem : Problem or callable
        One of `gradopt.problems`, or a function fun(x, *args) -> float.
    x0 : array_like (n,), optional
        The start; it is copied. float32 is computed in float32 throughout, everything else in float64. Optional for a
        problem with its own start and for a network, whose start is random; required for a callable.
    method : Method or str
        Such as SGD(0.1, momentum=0.9), or "sgd" for its defaults. Default LBFGS(), or Adam() on a training run.
    max_iter : int, optional
        Maximum number of updates, >= 0. Default 10 000, or 15 000 for line-search methods; on a training run, as many
        as the epochs take. With 0 the start is evaluated and returned.
    gtol : float, optional
        Stop when the largest absolute element of the gradient is <= gtol. Default 1e-5. Training runs do not take gtol,
        ftol or xtol, and NelderMead takes no gtol.
    ftol : float, optional
        Stop when an update changes the objective f by at most ftol * max(abs(f), abs(new f), 1). Off by default, except
        for line-search methods and TrustRegion, 10 eps of the dtype, and NelderMead, 1e-8.
    xtol : float, optional
        Stop when norm(step) <= xtol * (xtol + norm(x)). Off by default.
    target : float, optional
        Stop when the objective (on a training run, the loss of an epoch) is <= target. Off by default.
    max_time : float, optional
        Stop after this many seconds, > 0; checked between chunks of about 25 ms.
    batch_size : int, optional
        Rows per batch, in [1, rows]; the last batch of an epoch may be smaller. Default all rows, if `epochs` is given.
    epochs : int, optional
        Number of passes over the data, >= 0. Default 100, or no limit if max_iter is given.
    shuffle : bool
        Shuffle the rows for each epoch, without replacement, or keep their order.
    rng : None, int or numpy.random.Generator
        Source of a network's random start and then of the row orders, as for numpy.random.default_rng.
    validation : tuple, optional
        More data for the same problem, such as (X, y), evaluated after each epoch.
    patience : int, optional
        Stop after this many epochs without improvement on the validation rows, >= 1.
    monitor : {"loss", "accuracy"}
        What must improve. Accuracy needs a classifier and validation data.
    restore_best : bool
        With validation, return the parameters of the best epoch as x, not the last ones.
    jac : callable, True, "trace", "3-point", "2-point" or "cs"
        For a callable: jac(x, *args) -> array (n,), or True if the function returns (value, gradient), or how to find
        the gradient. Default "trace" where that works, else "3-point"; the message says which, and why.
        "trace": reverse mode over the NumPy operations of the function; exact, nothing to compile; see `trace`.
        "3-point": central differences, with 2 n + 1 calls of the function. "2-point": forward differences, with n + 1
        calls and half as many digits. "cs": the complex step, with n + 1 calls and full precision; the function must
        compile unchanged for complex numbers and mean the same for them. This is checked at x0 only. Wherever they are
        used later, these give wrong gradients: abs, max, comparisons, and, in compiled code, a power other than a
        square of a negative number.
    hess, hessp : callable, optional
        For a callable and `TrustRegion`: hess(x, *args) -> array_like (n, n), symmetric, or hessp(x, v, *args) ->
        array_like (n,), its product with v, in place of those of the trace, or of differences of the gradient.
    args : tuple
        For a callable: its other arguments. What else it takes from outside, such as a global array, is what it is at
        this call.
    max_nfev : int, optional
        Maximum number of evaluations of the objective, >= 1, those for differences included. The start is always
        evaluated, with its gradient. Training runs do not take it.
    bounds : sequence of (low, high), or scipy.optimize.Bounds
        For LBFGS, BFGS, TrustRegion, LevenbergMarquardt and NelderMead: a pair for each parameter; None or infinity for
        no bound, low = high to fix a parameter. The objective is evaluated only inside, also for differences; an x0
        outside is moved inside, with a warning.
    clip_norm : float, optional
        Before an update, scale a gradient with a larger Euclidean norm down to this norm, > 0. Tests and history use
        the unclipped gradient. Line-search methods do not take clip_norm, clip_value or recover.
    clip_value : float, optional
        After clip_norm, clip each element of the gradient to [-clip_value, clip_value], > 0.
    recover : RetryFromBest, optional
        What to do on divergence. By default the run ends.
    callback : callable or list of these, optional
        Called after every update as callback(intermediate_result=OptimizeResult with x, fun, jac and nit), or with a
        copy of x if its first parameter has another name. It ends the run by raising StopIteration or returning True.
        `every(n, callback)` is called after each n-th update. The loop returns to Python for each call. On a training
        run: called after each epoch, with x, fun, nit, epoch, and val_fun and val_accuracy if available.
    progress : bool
        Show a progress bar (needs tqdm).
    record : {"scalars", "x", None}
        What `history` keeps of the start and every update, or of every epoch: objective, rate and gradient norm; the
        iterates too; or nothing.
    state : State, optional
        Go on from the `state` of an earlier result, with its method or another of the same class. max_iter and epochs
        count additional ones. batch_size, shuffle and the random stream default to those of the state; pass validation
        and everything else again. n and then m updates give the same bits as n + m.

    Returns
    -------
    OptimizeResult
        With `x`, `fun`, `jac`, `best_x`, `best_fun`, `nit`, `nfev`, `njev`, `status`, `success`, `message`, `history`,
        `state`, `compile_time` and, but for functions that can't be traced, `problem`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value.
    Interrupted
        Ctrl-C was pressed. It is a KeyboardInterrupt, with the run so far in its `result`.

    Notes
    -----
    If several tests hold, the status is the first of NON_FINITE, TARGET, GTOL, FTOL, XTOL, EARLY_STOPPED, CALLBACK,
    COMPLETED, MAX_ITER, MAX_NFEV, MAX_TIME. Within bounds, gtol applies to the elements of the gradient that no bound
    holds. If the objective or the gradient becomes NaN or infinite, x is the last iterate where both were finite.

    A callable is called once in Python, to see what it returns, once with stand-ins for its arrays to trace it, once
    near x0, and once at the result. A function that is not traced runs in Python for the first 500 evaluations, each
    with its gradient. From then on it is compiled by Numba if possible, with bounds checks, which takes some tenths of
    a second; "2-point", "3-point" and "cs" compile at once, and so do functions that are @njit already. Functions with
    the same code are compiled once, whatever arrays and numbers they take from outside. `nfev` counts all evaluations,
    also those for differences.

    Counterparts: scipy.optimize.minimize, and a loop over torch.optim.SGD.step.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Rosenbrock(b=1.0)
    >>> result = gradopt.optimize(problem, x0=[2.0, 2.0], method=gradopt.SGD(0.1))
    >>> print(result.success, result.nit, result.x.round(4))
    True 290 [1. 1.]

    Your own function, within bounds:

    >>> def fun(x):
    ...     return (x[0] - 3.0) ** 2 + (x[1] + 1.0) ** 2
    >>> result = gradopt.optimize(fun, [0.0, 0.0], bounds=[(None, 2.0), (None, None)])
    >>> print(result.x.round(4), result.message)
    [ 2. -1.] the gradient is within gtol of zero; gradient by reverse mode over its trace
    """
    started, compiled_before = time.perf_counter(), compile_seconds()
    request = checked_request(
        problem,
        x0,
        jac,
        (hess, hessp),
        args,
        method,
        state,
        batch_size is not None or epochs is not None,
        max_iter=max_iter,
        max_nfev=max_nfev,
        max_time=max_time,
        target=target,
        clip_norm=clip_norm,
        clip_value=clip_value,
        recover=recover,
        callback=callback,
        progress=progress,
        record=record,
    )
    run: Run | None = None
    try:
        if request.trains:
            forbid("a training run", gtol=gtol, ftol=ftol, xtol=xtol, bounds=bounds)
            run = training_run(request, batch_size, epochs, shuffle, rng, validation, patience, monitor, restore_best)
        else:
            forbid_training_settings(shuffle, monitor, restore_best, validation=validation, patience=patience)
            run = deterministic_run(request, gtol, ftol, xtol, bounds, rng)
        deadline = started + request.max_time
        try:
            status = _supervised(run, request, deadline)
        except BranchError:
            if isinstance(problem, Traced) or jac == "trace":
                raise
            if isinstance(problem, Problem):
                problem.forget_traces()
            run = deterministic_run(request, gtol, ftol, xtol, bounds, rng)
            status = _supervised(run, request, deadline)
    except KeyboardInterrupt as interrupt:
        if run is None or not run.between_steps:
            raise
        result = finished(run, Status.CALLBACK, request, compile_seconds() - compiled_before)
        result.message = f"interrupted by Ctrl-C after update {run.nit}"
        raise Interrupted(result) from interrupt
    except NumbaError as error:
        add_remedy(error, problem, request.method)
        raise
    result = finished(run, status, request, compile_seconds() - compiled_before)
    is_ours = isinstance(run.problem.plain, Traced) and run.problem.plain is not problem
    if is_ours and result.nfev < request.max_nfev:
        _call_once_more(request, result)
    return result


def _supervised(run: Run, request: Request, deadline: float) -> Status:
    with bar_of(request.progress, *run.total) as bar:
        return supervise(run, Supervision(request.callbacks, bar, request.recover, deadline))


def _call_once_more(request: Request, result: OptimizeResult) -> None:
    """Call the user's own function at the result of its trace, so that what it keeps of a call is real."""
    args = request.args if isinstance(request.args, tuple) else (request.args,)
    with np.errstate(all="ignore"), contextlib.suppress(Exception):  # the result stands without it
        request.problem(result.x.copy(), *args)
        result.nfev += 1


def finished(run: Run, status: Status, request: Request, compile_time: float) -> OptimizeResult:
    """The result of a run that has ended."""
    result = run.result()
    result.status, result.success = status, status.success
    result.message = message(status, run, max_nfev=request.max_nfev, max_time=request.max_time)
    result.compile_time = compile_time
    problem = request.problem if isinstance(request.problem, Problem) else run.problem.plain
    if isinstance(problem, Traced) or problem is request.problem:
        result.problem = problem.as_it_is()
    if isinstance(problem, Supervised):
        result.network = problem.network
    return result
