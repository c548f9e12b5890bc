"""The tests that end a run: NON_FINITE, TARGET, GTOL, FTOL, XTOL.

Each is a `Status`; `StopTests` holds the tolerances. Where several hold, the first in this order is reported.
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import kernel
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING
from gradopt._numerics.vectors import norm, subtract

_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_TARGET, _NON_FINITE = int(Status.TARGET), int(Status.NON_FINITE)


@kernel(inline=True)
def finite(fun, grad_norm):
    """Whether both numbers are finite."""
    return abs(fun) + grad_norm < np.inf


@kernel(inline=True)
def value_verdict(tests, fun, sound, stationary):
    """The first that holds of the tests NON_FINITE, TARGET, GTOL, else RUNNING.

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
    """The first that holds of the tests FTOL, XTOL, else RUNNING.

    spare : float array (n,), may be written
    """
    if tests.ftol >= 0.0 and abs(fun - last_fun) <= tests.ftol * max(abs(last_fun), abs(fun), 1.0):
        return _FTOL
    if tests.xtol >= 0.0:
        subtract(spare, x, last_x)
        if norm(static_length, spare) <= tests.xtol * (tests.xtol + norm(static_length, x)):
            return _XTOL
    return RUNNING
