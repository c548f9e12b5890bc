"""The schedule that depends on the objective."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import current_rate, observe
from gradopt.schedules.base import Schedule

# The elements of the schedule's state: the number of checks, the best value, the number of bad values since, the checks
# left to wait after a reduction, and the rate.
_LOOKS, _BEST, _BAD, _WAIT, _RATE = range(5)
_LEAST_DROP = 1e-8  # smaller reductions are not made, as in torch


@config
class ReduceOnPlateau(Schedule):
    """Reduce the rate when the objective no longer falls.

    Parameters
    ----------
    initial : float
        The first rate, >= 0.
    factor : float
        The factor on the rate at a reduction, in (0, 1).
    patience : int
        Number of checks without improvement to tolerate, >= 0; the next one reduces the rate.
    threshold : float
        A value below best - threshold * abs(best) is an improvement; in [0, 1).
    cooldown : int
        Number of checks after a reduction that do not count as bad, >= 0.
    minimum : float
        The lowest rate, >= 0.
    every : int
        Updates between two checks, >= 1. Training runs check once per epoch, with the validation loss if there is one.

    Notes
    -----
    Equal to torch's ReduceLROnPlateau with mode "min" and a relative threshold, but for negative values: there torch
    takes standing still for an improvement. The checked value is the objective after the update; NaN counts as bad.
    Resumed runs go on from the state of the schedule; a run that is resumed with another schedule begins at its
    `initial`. It is not a function of k, so it can't be part of other schedules.

    Examples
    --------
    >>> import gradopt
    >>> method = gradopt.SGD(gradopt.ReduceOnPlateau(1.0, factor=0.5, patience=2))
    >>> history = gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=method, max_iter=5).history
    >>> history.fun, history.learning_rate
    (array([1., 1., 1., 1., 1., 0.]), array([1. , 1. , 1. , 1. , 0.5, 0.5]))
    """

    pure = False

    initial: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    minimum: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("factor", validate.number, 0, 1, above=True, below=True)
        self._check("patience", validate.integer, 0)
        self._check("threshold", validate.number, 0, 1, below=True)
        self._check("cooldown", validate.integer, 0)
        self._check("minimum", validate.number, 0)
        self._check("every", validate.integer, 1)

    def __call__(self, k: Any) -> Any:
        """Not possible: the rate depends on the objective."""
        raise TypeError("ReduceOnPlateau is not a function of the update count: its rate depends on the objective")


@current_rate.on(ReduceOnPlateau)
def _(schedule, state, k):
    return schedule.initial if state[_LOOKS] == 0.0 else state[_RATE]


@observe.on(ReduceOnPlateau)
def _(schedule, state, fun, k):
    if k % schedule.every != 0:
        return
    if state[_LOOKS] == 0.0:
        state[_BEST], state[_RATE] = np.inf, schedule.initial
    state[_LOOKS] += 1.0
    best = state[_BEST]
    if fun < best * (1.0 - schedule.threshold if best > 0.0 else 1.0 + schedule.threshold):
        state[_BEST], state[_BAD] = fun, 0.0
    else:
        state[_BAD] += 1.0
    if state[_WAIT] > 0.0:
        state[_WAIT] -= 1.0
        state[_BAD] = 0.0
    if state[_BAD] > schedule.patience:
        reduced = max(state[_RATE] * schedule.factor, schedule.minimum)
        if state[_RATE] - reduced > _LEAST_DROP:
            state[_RATE] = reduced
        state[_WAIT], state[_BAD] = schedule.cooldown, 0.0
