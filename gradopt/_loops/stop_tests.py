"""The tests that end a run: NON_FINITE, TARGET, GTOL, FTOL, XTOL.

Each is a `Status`; `StopTests` holds the tolerances. If several hold, the first in this order is reported.

A success means that the named test holds at the stated tolerance, as exact arithmetic would find it. A small change of
the objective alone does not show a minimum: updates gain nothing at a kink, at a wall of NaN, or along a bad direction,
too. So line-search methods report FTOL only if their model expected no more either, if their search met no wall, and
if the objective is smooth there (`presumed_minimum.py`). An independent minimiser started there gains at most
100 ftol max(abs(f), 1).
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import kernel
from gradopt._core.status import Status
from gradopt._loops.types import RUNNING
from gradopt._numerics.vectors import norm, subtract

_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_TARGET, _LINE_SEARCH, _NON_FINITE = int(Status.TARGET), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

# The factor on a gain that was expected, not tried, as an independent minimiser may gain a hundred times ftol.
UNCERTAINTY = 0.01


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
    if negligible(tests, abs(fun - last_fun), last_fun, fun):
        return _FTOL
    return length_verdict(static_length, tests, last_x, x, spare)


@kernel(inline=True)
def length_verdict(static_length, tests, last_x, x, spare):
    """XTOL if the step from last_x to x is that short, else RUNNING."""
    if tests.xtol >= 0.0:
        subtract(spare, x, last_x)
        if norm(static_length, spare) <= tests.xtol * (tests.xtol + norm(static_length, x)):
            return _XTOL
    return RUNNING


@kernel(inline=True)
def negligible(tests, change, last_fun, fun):
    """Whether a change between two objectives is within ftol."""
    return tests.ftol >= 0.0 and change <= tests.ftol * max(abs(last_fun), abs(fun), 1.0)


@kernel(inline=True)
def search_verdict(tests, expected_gain, walled, fun, last_tried):
    """The status after a line search that found no acceptable step: FTOL (to be checked), LINE_SEARCH or NON_FINITE.

    expected_gain : twice the decrease that the method's model predicts for the first step; infinite if unknown
    walled : whether the search met a value that is not finite
    last_tried : the objective at the last point of the search
    """
    unknown = expected_gain == np.inf
    if not walled and (unknown or negligible(tests, UNCERTAINTY * expected_gain, fun, fun)):
        return _FTOL
    return _LINE_SEARCH if abs(last_tried) < np.inf else _NON_FINITE
