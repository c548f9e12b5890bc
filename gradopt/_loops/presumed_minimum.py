"""The check of a presumed minimum: whether the objective is smooth there, and gains no more.

Where updates gain nothing and the gradient is not near zero, rounding may hide the rest, or there is a kink. Downhill
from the minimum of a smooth function, the derivative changes in proportion to the distance; at a kink it jumps. So the
check goes down the gradient until the derivative has turned round, and then a hundred times as far. There the objective
must also have changed as its derivatives say, which they do not if the gradient is wrong.
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import portable
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._loops.stop_tests import finite, negligible
from gradopt._numerics.bounds import free_negative, mark_free, move, slope_along, tame_held_slopes
from gradopt._numerics.vectors import copy, epsilon, norm, subtract

_FTOL, _LINE_SEARCH = int(Status.FTOL), int(Status.LINE_SEARCH)

CHECKS = 20  # the number of points, at most
_FARTHER, _FAR = 10.0, 100.0
_PROPORTIONAL = 0.25  # the least share of the distance by which the derivative must grow
_AGREEMENT = 0.2  # the largest relative difference between the change of the objective and that by its derivatives
_GAIN = 0.1  # the share of a gain that must be within ftol


@portable
def minimum_verdict(problem, work, box, tests, arrays, fun, best_fun):
    """FTOL if the objective is smooth at x, and nothing beyond ftol can be gained down its gradient; else LINE_SEARCH.

    problem : lowered
    work : the problem's workspace, written
    box : Box or None; free is written
    tests : StopTests
    arrays : RunArrays; new_x : the iterate before x, or the last point tried; new_x, new_grad, slots[0] are written,
        and best_x if a lower point is found
    fun, best_fun : the objective at x and at best_x

    Returns (status, the evaluations made, the new best_fun).
    """
    static_length, x, grad, point, new_grad, best_x, slots, _, _ = arrays
    downhill = slots[0]
    subtract(downhill, x, point)
    length = max(norm(static_length, downhill), epsilon(x) * norm(static_length, x), epsilon(x) ** 2)
    mark_free(box, x, grad)
    free_negative(box, downhill, grad)
    step, turned = length / max(norm(static_length, downhill), epsilon(x) ** 2), 0.0
    for evaluations in range(1, CHECKS + 1):
        move(box, point, x, downhill, step)
        value = np.float64(value_and_grad(problem, new_grad, work, point))
        tame_held_slopes(box, point, new_grad)
        at_x = slope_along(static_length, box, point, downhill, grad)
        there = slope_along(static_length, box, point, downhill, new_grad)
        if not finite(value, there):
            return _LINE_SEARCH, evaluations, best_fun
        if value < best_fun:
            best_fun = value
            copy(best_x, point)
        if not at_x < 0.0:  # all parameters have reached their bounds
            flat = negligible(tests, _GAIN * (fun - value), fun, value)
            return _FTOL if flat else _LINE_SEARCH, evaluations, best_fun
        change = (at_x - there) / at_x
        rise = max(value - fun, 0.0) if change < 1.0 and turned == 0.0 else 0.0  # where all slopes say that it falls
        if not negligible(tests, _GAIN * max(fun - value, rise), fun, value):
            return _LINE_SEARCH, evaluations, best_fun
        if turned > 0.0:
            by_slopes = 0.5 * step * (at_x + there)  # exact for quadratic objectives
            error = abs(value - fun - by_slopes)
            agrees = error <= _AGREEMENT * abs(by_slopes) or negligible(tests, error, fun, value)
            smooth = change >= _PROPORTIONAL * _FAR * turned and agrees
            return _FTOL if smooth else _LINE_SEARCH, evaluations, best_fun
        if change >= 1.0:
            turned, step = change, step * _FAR
        else:
            step *= _FARTHER
    return _FTOL, CHECKS, best_fun
