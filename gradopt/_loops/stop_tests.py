"""The tests that end a run: NON_FINITE, TARGET, GTOL, FTOL, XTOL.

Each is a `Status`; `StopTests` holds the tolerances. If several hold, the first in this order is reported. FTOL has a
second test, `search_verdict`, for line searches that found no acceptable step.
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import kernel
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING
from gradopt._numerics.vectors import norm, subtract

_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_TARGET, _LINE_SEARCH, _NON_FINITE = int(Status.TARGET), int(Status.LINE_SEARCH), int(Status.NON_FINITE)


@kernel(inline=True)
def finite(fun, grad_norm):
    """Whether both numbers are finite."""
    return abs(fun) + grad_norm < np.inf


@kernel(inline=True)
def value_verdict(tests, fun, sound, stationary):
    """The first of the tests NON_FINITE, TARGET, GTOL that holds, else RUNNING.

    sound : whether objective and gradient are finite
    stationary : whether the gradient is within gtol of zero
    """
    if not sound:
        return _NON_FINITE
    if fun <= tests.target:
        return _TARGET
    if stationary:
        return _GTOL
    return RUNNING


@kernel(inline=True)
def step_verdict(static_length, tests, last_fun, fun, last_x, x, spare):
    """The first of the tests FTOL, XTOL that holds, else RUNNING.

    spare : float array (n,), may be written
    """
    if tests.ftol >= 0.0 and abs(fun - last_fun) <= tests.ftol * max(abs(last_fun), abs(fun), 1.0):
        return _FTOL
    if tests.xtol >= 0.0:
        subtract(spare, x, last_x)
        if norm(static_length, spare) <= tests.xtol * (tests.xtol + norm(static_length, x)):
            return _XTOL
    return RUNNING


@kernel(inline=True)
def search_verdict(ftol, expected_gain, fun, last_tried):
    """The status after a line search that found no acceptable step: FTOL, LINE_SEARCH or NON_FINITE.

    expected_gain : the decrease that the method's model predicts for the step; infinite if it has no model
    last_tried : the objective at the last point of the search
    """
    if expected_gain <= ftol * max(abs(fun), 1.0):  # any further decrease is lost in rounding
        return _FTOL
    return _LINE_SEARCH if abs(last_tried) < np.inf else _NON_FINITE
