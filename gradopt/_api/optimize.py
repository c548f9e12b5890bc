"""`optimize`: checks the request, makes the run, supervises it, and finishes the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds

from gradopt._api.request import checked_request, deterministic_run, forbid, forbid_training_settings, training_run
from gradopt._compiler.compile_timer import CompileTimer
from gradopt._core.status import Status
from gradopt._results.result import OptimizeResult
from gradopt._results.state import State
from gradopt._run.base import Run
from gradopt._run.callbacks import Callback
from gradopt._run.dry_run import remedy_for_kernels
from gradopt._run.messages import message
from gradopt._run.progress_bar import bar_of
from gradopt._run.recovery import RetryFromBest
from gradopt._run.supervisor import Supervision, supervise
from gradopt.methods import Method
from gradopt.problems import Problem, Traced


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
    args: Any = (),
    bounds: Bounds | Sequence[tuple[float | None, float | None]] | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    recover: RetryFromBest | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    progress: bool = False,
    record: Literal["scalars", "x"] | None = "scalars",
    state: State | None = None,
) -> OptimizeResult:
    """Minimise a function of several parameters by a descent that runs in machine code.

    With `batch_size` or `epochs` it is a training run: each update is made from the next batch of rows of the data, and
    after each epoch, when all rows were used, come record, validation and callback. Else each update is made from the
    whole objective.

    Parameters
    ----------
    problem : Problem or callable
        One of `gradopt.problems`, or a function fun(x, *args) -> float.
    x0 : array_like (n,), optional
        The start, copied. float32 stays float32 throughout, all else is computed in float64. A problem may bring its
        own start, and that of a network is drawn; a callable needs one.
    method : Method or str
        Such as SGD(0.1, momentum=0.9), or "sgd" for its defaults. LBFGS() unless given, on a training run Adam().
    max_iter : int, optional
        Updates at the most, >= 0; unless given 10 000, or 15 000 of a line-search method; on a training run as many as
        the epochs take. With 0 the start is evaluated and returned.
    gtol : float, optional
        Stop when the largest absolute element of the gradient is <= gtol; 1e-5 unless given. Like ftol and xtol not for
        training runs.
    ftol : float, optional
        Stop when an update changes the objective f by no more than ftol * max(abs(f), abs(new f), 1); off unless given,
        of line-search methods 10 eps of the dtype.
    xtol : float, optional
        Stop when norm(step) <= xtol * (xtol + norm(x)); off unless given.
    target : float, optional
        Stop when the objective, on a training run an epoch's loss, is <= target; off unless given.
    max_time : float, optional
        Seconds after which to stop, > 0; looked at between chunks of about 25 ms.
    batch_size : int, optional
        Rows of a batch, in [1, rows]; the last batch of an epoch may be shorter. None with `epochs`: all rows.
    epochs : int, optional
        How often to go through all rows, >= 0; 100 unless given or ended by max_iter.
    shuffle : bool
        Draw the order of the rows anew for each epoch, without replacement, or keep them as they are.
    rng : None, int or numpy.random.Generator
        The source of the start of a network, and then of the orders; as numpy.random.default_rng takes it.
    validation : tuple, optional
        Further data for the same problem, such as (X, y), to assess after each epoch.
    patience : int, optional
        Stop after so many epochs without improvement on the validation rows, >= 1.
    monitor : {"loss", "accuracy"}
        What must improve; accuracy for classifiers with validation.
    restore_best : bool
        With validation, return the best epoch's parameters as x, and not the last ones.
    jac : callable, True, "trace", "3-point", "2-point" or "cs"
        For a callable: jac(x, *args) -> array (n,), or True if the function returns (value, gradient), or how to find
        the gradient. Unless given, "trace" where that is possible, else "3-point"; the message says which, and why.
        "trace": reverse mode over what the function does with NumPy, exact, and with nothing to compile; see `trace`.
        "3-point": central differences, at 2 n + 1 calls of the function. "2-point": forward ones, at n + 1 calls, to
        half as many digits. "cs": the complex step, at n + 1 calls and to full precision, if the function is compiled
        for complex numbers as it is and means the same for them. That is looked at at x0 only: abs, max and comparisons
        are wrong, and so is a power of a negative number other than a square in compiled code, wherever it comes up
        later.
    args : tuple
        For a callable: its further arguments. Arrays that change from call to call belong here: what a function takes
        from a global array is frozen when it is traced or compiled.
    bounds : sequence of (low, high), or scipy.optimize.Bounds
        For LBFGS: a pair for each parameter, with None or infinity where there is no bound, and low = high to fix one.
        The objective is evaluated inside only, differences included; x0 is moved inside, with a warning.
    clip_norm : float, optional
        Scale gradients whose Euclidean norm is larger down to it before an update, > 0. What is tested and recorded is
        the objective's own gradient. Not for line-search methods, as clip_value and recover.
    clip_value : float, optional
        Then move each element of the gradient into [-clip_value, clip_value], > 0.
    recover : RetryFromBest, optional
        What to do on divergence; unless given, the run ends.
    callback : callable or list of these, optional
        Called after every update as callback(intermediate_result=OptimizeResult with x, fun, jac and nit), or with a
        copy of x if its first parameter has another name. It ends the run by raising StopIteration or returning True.
        `every(n, callback)` is called after each n-th update. The loop returns to Python for each call. On a training
        run: after each epoch, with x, fun, nit, epoch, and val_fun and val_accuracy where there are any.
    progress : bool
        Show a bar (needs tqdm).
    record : {"scalars", "x", None}
        What `history` keeps of the start and of every update, or of every epoch: objective, rate and gradient norm; the
        iterates too; or nothing.
    state : State, optional
        Go on from the `state` of an earlier result, with its method unless another of the same class is given. max_iter
        and epochs count further ones; batch_size, shuffle and the random stream are those of the state where they are
        not given; validation and all else is to be given again. n and then m updates give the same bits as n + m.

    Returns
    -------
    OptimizeResult
        With `x`, `fun`, `jac`, `best_x`, `best_fun`, `nit`, `nfev`, `njev`, `status`, `success`, `message`, `history`,
        `state` and `compile_time`.

    Raises
    ------
    TypeError, ValueError
        An argument is wrong; the message names it and its value.

    Notes
    -----
    Where several tests hold, the first of NON_FINITE, TARGET, GTOL, FTOL, XTOL, EARLY_STOPPED, CALLBACK, COMPLETED,
    MAX_ITER, MAX_TIME is reported. Within bounds gtol is for x - clip(x - gradient, low, high). When objective or
    gradient become NaN or infinite, x is the last iterate where they were finite.

    A callable is called once in Python, to see what it returns, and twice more to trace it. A function that is not
    traced is compiled by Numba if it can be, with bounds checks; the first call with a new one takes some tenths of a
    second for that. It is known by its code, its defaults and what it takes from outside: a function defined again is
    compiled again only if one of these differs. `nfev` counts evaluations, those for differences included.

    Counterparts: scipy.optimize.minimize, and a loop over torch.optim.SGD.step.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Rosenbrock(b=1.0)
    >>> result = gradopt.optimize(problem, x0=[2.0, 2.0], method=gradopt.SGD(0.1))
    >>> print(result.success, result.nit, result.x.round(4))
    True 290 [1. 1.]

    A function of one's own, within bounds:

    >>> def fun(x):
    ...     return (x[0] - 3.0) ** 2 + (x[1] + 1.0) ** 2
    >>> result = gradopt.optimize(fun, [0.0, 0.0], bounds=[(None, 2.0), (None, None)])
    >>> print(result.x.round(4), result.message)
    [ 2. -1.] the gradient is within gtol of zero; gradient by reverse mode over its trace
    """
    started = time.perf_counter()
    request = checked_request(
        problem,
        x0,
        jac,
        args,
        method,
        state,
        batch_size is not None or epochs is not None,
        max_iter=max_iter,
        max_time=max_time,
        target=target,
        clip_norm=clip_norm,
        clip_value=clip_value,
        recover=recover,
        callback=callback,
        progress=progress,
        record=record,
    )
    with CompileTimer() as timer, remedy_for_kernels(problem, request.method):
        run: Run
        if request.trains:
            forbid("a training run", gtol=gtol, ftol=ftol, xtol=xtol, bounds=bounds)
            run = training_run(request, batch_size, epochs, shuffle, rng, validation, patience, monitor, restore_best)
        else:
            forbid_training_settings(shuffle, monitor, restore_best, validation=validation, patience=patience)
            run = deterministic_run(request, gtol, ftol, xtol, bounds, rng)
        with bar_of(request.progress, *run.total) as bar:
            deadline = started + request.max_time
            status = supervise(run, Supervision(request.callbacks, bar, request.recover, deadline))
        return finished(run, status, request.max_time, timer)


def finished(run: Run, status: Status, max_time: float, timer: CompileTimer) -> OptimizeResult:
    """The result of a run that has ended."""
    result = run.result()
    result.status, result.success = status, status.success
    result.message = message(status, run, max_time)
    result.compile_time = timer.seconds
    if isinstance(run.problem, Traced):
        result.problem = run.problem
    return result
