"""Many runs of one objective, one after the other, each with data of its own, without Python between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, call_at, kernel, slice_of
from gradopt._core.config import Config
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._loops.embedded import descended_within, steering_within
from gradopt._loops.types import RUNNING

_MAX_ITER = int(Status.MAX_ITER)


class Runs(NamedTuple):
    """Some runs, one in each row. Floats have the dtype of the tape."""

    data: NDArray[Any]  # (runs, N - n) what a run's tape takes as x after the parameters
    x: NDArray[Any]  # (runs n,) the starts; overwritten by the last iterates
    fun: NDArray[np.float64]  # (runs,) written
    nit: NDArray[np.int64]  # (runs,) written
    nfev: NDArray[np.int64]  # (runs,) written
    status: NDArray[np.int8]  # (runs,) runs with RUNNING are run; written


class WithData(Config):
    """An objective whose tape takes parameters and data as one vector, which is in its workspace."""

    class Lowered(NamedTuple):
        evaluate: int
        data: int


@value_and_grad.on(WithData)
def _(problem, grad, work, x):
    tape_work, whole = work
    for j in range(x.size):
        whole[j] = x[j]
    return call_at(problem.evaluate, (problem.data, grad, tape_work, whole))


@kernel
def run_many(problem, method, tests, max_iter, box, runs, work, whole):
    """Make all runs.

    problem : lowered `WithData`
    method : what `Method.for_descend` returned
    tests : StopTests
    box : Box or None
    runs : Runs
    work : the workspace of the tape
    whole : float array (N,), written: parameters and data
    """
    runs, steering = borrowed(runs), steering_within(box, None)
    n = runs.x.size // max(runs.status.size, 1)
    for run in range(runs.status.size):
        if runs.status[run] == RUNNING:
            for i in range(runs.data.shape[1]):
                whole[n + i] = runs.data[run, i]
            x = slice_of(runs.x, run * n, n)
            fun, nit, nfev, status = descended_within(
                method, problem, (work, whole), x, max_iter, tests, steering, None
            )
            runs.fun[run], runs.nit[run], runs.nfev[run] = fun, nit, nfev
            runs.status[run] = _MAX_ITER if status == RUNNING else status
