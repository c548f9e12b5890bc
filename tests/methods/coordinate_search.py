"""Coordinate search: a family of methods in one file, its loop and a method, made of what `gradopt.extend` has.

A sweep tries a step up and a step down along each axis and keeps what is lower; steps that gained nothing are halved.
No gradient is looked at.
"""

from typing import ClassVar

import numpy as np

from gradopt import Status
from gradopt.extend import RUNNING, Loop, Method, config, kernel, validate, value_and_grad

_TARGET, _XTOL, _NON_FINITE = int(Status.TARGET), int(Status.XTOL), int(Status.NON_FINITE)


@kernel
def sweep(problem, method, steering, arrays, progress, tests, record, iterates):
    """Do that many sweeps; the start counts as the first."""
    x, trial, (steps,) = arrays.x, arrays.new_x, arrays.slots
    nit, memory_starts_at, nfev, fun, best_fun, rate = progress
    status = RUNNING
    for row in range(iterates):
        if nfev == 0:
            fun = value_and_grad(problem, arrays.grad, arrays.work, x)
            nfev += 1
        else:
            nit += 1
            for j in range(x.size):
                lowest, center = fun, x[j]
                for side in (-1.0, 1.0):
                    for i in range(x.size):
                        trial[i] = x[i]
                    trial[j] = center + side * steps[j]
                    value = value_and_grad(problem, arrays.new_grad, arrays.work, trial)
                    nfev += 1
                    if value < lowest:
                        lowest = value
                        x[j] = trial[j]
                        for i in range(x.size):
                            arrays.grad[i] = arrays.new_grad[i]
                    trial[j] = center
                if lowest < fun:
                    fun = lowest
                else:
                    steps[j] *= method.shrink
        rate = np.float64(steps.max())
        best_fun = fun
        for i in range(x.size):
            arrays.best_x[i] = x[i]
        if row < record.fun.size:
            record.fun[row], record.learning_rate[row], record.grad_norm[row] = fun, rate, np.nan
        if row < record.x.shape[0]:
            for i in range(x.size):
                record.x[row, i] = x[i]
        if not abs(fun) < np.inf:
            status = _NON_FINITE
        elif fun <= tests.target:
            status = _TARGET
        elif rate <= tests.xtol:
            status = _XTOL
        if status != RUNNING:
            break
    return status, nit, memory_starts_at, nfev, fun, best_fun, rate


@config
class CoordinateSearch(Method):
    """Coordinate search.

    Parameters
    ----------
    step : float
        The first step along each axis, > 0.
    shrink : float
        The factor on a step that gained nothing, in (0, 1).
    """

    loop: ClassVar[Loop] = Loop(kernel=sweep, requires=(), max_iter=2_000)
    slots: ClassVar[tuple[str, ...]] = ("steps",)

    step: float = 0.5
    shrink: float = 0.5

    def __post_init__(self):
        self._check("step", validate.number, 0, above=True)
        self._check("shrink", validate.number, 0, 1, above=True, below=True)

    def new_slots(self, x):
        return (np.full_like(x, self.step),)
