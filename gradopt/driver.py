"""`optimize`: checks the arguments, sets up the run they ask for, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt import validate
from gradopt.arguments import (
    chosen_method,
    problem_and_start,
    refuse,
    refuse_rng,
    stop_tests,
    training_limits,
    update_limit,
)
from gradopt.between_chunks import Watching, descend, train
from gradopt.callbacks import Callbacks
from gradopt.compilation import Compilation
from gradopt.descent import Descent
from gradopt.ending import message
from gradopt.methods import LineSearchMethod, Method
from gradopt.plan import plan_of, watch_of
from gradopt.problems import Problem, RowProblem, Traced
from gradopt.progress import bar_of
from gradopt.result import OptimizeResult, State
from gradopt.status import Status
from gradopt.steering import RetryFromBest, clipping_of
from gradopt.training import Training
from gradopt.trial import remedy_for_kernels


def optimize(
    problem: Problem | Callable[..., Any],
    x0: Any = None,
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
    rng: Any = None,
    validation: Any = None,
    patience: int | None = None,
    monitor: str = "loss",
    restore_best: bool = True,
    jac: Any = None,
    args: Any = (),
    bounds: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    recover: RetryFromBest | None = None,
    callback: Any = None,
    progress: bool = False,
    record: str | None = "scalars",
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
    callbacks = Callbacks(callback)
    if record is not None:
        validate.choice("record", record, ("scalars", "x", None))
    max_time = np.inf if max_time is None else validate.number("max_time", max_time, 0, above=True)
    deadline = started + max_time
    target = -np.inf if target is None else validate.number("target", target)
    if max_iter is not None:
        max_iter = validate.integer("max_iter", max_iter, 0)
    if state is not None and not isinstance(state, State):
        hint = "; pass result.state" if isinstance(state, OptimizeResult) else ""
        raise TypeError(f"state must be the state of an earlier result, got a {type(state).__name__}{hint}")
    training = batch_size is not None or epochs is not None or (state is not None and state.training is not None)
    method = chosen_method(method, state, training)
    callbacks.require_savable(method)
    searches = isinstance(method, LineSearchMethod)
    if searches:
        refuse(f"{type(method).__name__}", clip_norm=clip_norm, clip_value=clip_value, recover=recover)
    show = validate.flag("progress", progress)
    clipping = clipping_of(clip_norm, clip_value)
    if recover is not None and not isinstance(recover, RetryFromBest):
        raise TypeError(f"recover must be a RetryFromBest or None, got {validate.shown(recover)}")
    shuffle, restore_best = validate.flag("shuffle", shuffle), validate.flag("restore_best", restore_best)
    validate.choice("monitor", monitor, ("loss", "accuracy"))
    run: Descent | Training
    with Compilation() as compilation, remedy_for_kernels(problem, method):
        if training:
            refuse("a training run", gtol=gtol, ftol=ftol, xtol=xtol, bounds=bounds)
            if searches:
                raise ValueError(f"method must be a first-order one with batches, such as Adam(), got {method}")
            if not isinstance(problem, RowProblem):
                shown = validate.shown(problem)
                raise ValueError(f"batch_size and epochs need a problem with rows of data, got {shown}")
            plan = plan_of(problem, state, batch_size, shuffle, rng)
            watch = watch_of(problem, validation, monitor, patience, restore_best)
            epochs, max_iter = training_limits(epochs, max_iter)
            callbacks.warn_if_never_due(epochs)
            _, x, _ = problem_and_start(problem, x0, jac, args, state, plan.rng, method, None)
            run = Training(problem, method, x, plan, watch, clipping, recover is not None, record, state)
            with bar_of(show, epochs, "epoch") as bar:
                status = train(run, Watching(callbacks, bar, recover, deadline), epochs, max_iter, target)
        else:
            settings = {"validation": validation, "patience": patience, "monitor": monitor != "loss" or None}
            settings |= {"shuffle": shuffle and None, "restore_best": restore_best and None}
            refuse("a run without batch_size or epochs", **settings)
            refuse_rng(problem, x0, state, rng)
            if method.by_epoch:
                raise ValueError(f"learning_rate must be a function of the update count here, got {method}")
            problem, x, box = problem_and_start(problem, x0, jac, args, state, rng, method, bounds)
            tests, max_iter = stop_tests(method, x.dtype, gtol, ftol, xtol, target), update_limit(method, max_iter)
            limits = box if searches else clipping
            run = Descent(problem, method, x, tests, limits, recover is not None, record, state)
            with bar_of(show, max_iter, "update") as bar:
                status = descend(run, Watching(callbacks, bar, recover, deadline), max_iter)
        result = run.result()
    result.status = reason = Status(status)  # type: ignore[call-arg]
    result.success = reason.success
    result.message = message(reason, run, max_iter, max_time, problem.gradient_source)
    result.compile_time = compilation.seconds
    if isinstance(problem, Traced):
        result.problem = problem
    return result
