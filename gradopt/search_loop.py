"""The descent loop of the line-search methods, which know a direction and look for a step along it."""

from __future__ import annotations

import numpy as np

from gradopt.box import move, promised, slope_along, stationary
from gradopt.compiler import COMPILING, borrowed, exchanged, keep, kernel, stacked
from gradopt.line_search import Bracket, Wanted, judge
from gradopt.loop import RUNNING, finite, step_verdict, value_verdict
from gradopt.protocol import direction, first_step, learn, value_and_grad
from gradopt.status import Status
from gradopt.vectors import copy, copy_to_row, epsilon, norm

_FTOL, _LINE_SEARCH, _NON_FINITE = int(Status.FTOL), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

# The error of an objective, in units of the last place.
_NOISE = 10.0


@kernel
def search(problem, method, box, memory, progress, tests, record, iterates):
    """Run the descent for so many iterates, the start among them, or until a test stops it.

    The inner loop evaluates one point at a time: the start, or steps along the direction until one is acceptable. Where
    none is, the method begins afresh, once, before the run ends.

    problem, method : compiled twins
    box : Box or None
    memory : Memory, written
    progress : Progress, whose rate is the last step
    tests : StopTests
    record : Record, written, at least `iterates` rows or none
    iterates : int, at least 1

    Returns (status, *progress) as `iterate` does.
    """
    length = memory.length
    problem, work, record, box = borrowed(problem), borrowed(memory.work), borrowed(record), borrowed(box)
    x, grad = stacked(length, memory.x), stacked(length, memory.grad)
    new_x, new_grad = stacked(length, memory.new_x), stacked(length, memory.new_grad)
    best_x, slots = stacked(length, memory.best_x), borrowed(memory.slots)
    d = slots[0]
    nit, origin, nfev, fun, best_fun, step = progress
    best_is_here = False
    noise = _NOISE * epsilon(x)
    status = RUNNING

    for row in range(iterates):
        moved = nfev > 0
        tries, settled, afresh = 0, False, nit == origin
        slope, hoped_for = 0.0, np.inf
        bracket = Bracket(0.0, fun, slope, np.inf, np.inf, np.inf)
        while True:
            if moved and tries == 0:
                direction(method, slots, box, x, grad, afresh)
                slope = slope_along(length, box, x, d, grad)
                if not -np.inf < slope < 0.0 and not afresh:  # it does not point downhill
                    afresh = True
                    continue
                step = first_step(method, slots, slope)
                bracket = Bracket(0.0, fun, slope, np.inf, np.inf, np.inf)
                if not afresh and step == 1.0:  # twice what a quadratic objective would lose by a quasi-Newton step
                    hoped_for = -slope
            if moved:
                move(box, new_x, x, d, step)

            new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
            nfev += 1
            if not moved or settled:
                break

            tries += 1
            new_slope = slope_along(length, box, new_x, d, new_grad)
            change = promised(box, grad, x, new_x, step, slope)
            wanted = Wanted(fun, -method.curvature * slope, noise * abs(fun), box is not None)
            accepted, bracket, next_step = judge(wanted, bracket, step, new_fun, new_slope, change)
            if accepted:
                break
            if new_fun < best_fun and finite(new_fun, new_slope):
                best_fun, best_is_here = new_fun, False
                copy(best_x, new_x)
            step = next_step
            narrow = abs(bracket.high - bracket.low) <= noise * bracket.low
            if new_fun == -np.inf:
                status = _NON_FINITE
                break
            if tries >= method.max_line_search - 1 or narrow:
                if bracket.low > 0.0:  # take what is sufficient
                    step, settled = bracket.low, True
                elif not afresh:
                    tries, afresh = 0, True
                else:
                    status = _failure(tests.ftol, hoped_for, fun, new_fun)
                    break
        if status != RUNNING:
            break

        if new_fun < best_fun:
            best_fun, best_is_here = new_fun, True
        elif best_is_here:
            copy(best_x, x)
            best_is_here = False

        # From here on, new_x and new_grad are the last ones.
        x, new_x = exchanged(length, x, new_x)
        grad, new_grad = exchanged(length, grad, new_grad)
        last_fun, fun = fun, new_fun
        grad_norm = norm(length, grad)
        if moved:
            nit += 1
            learn(method, slots, x, grad, new_x, new_grad)
        if row < record.fun.size:
            record.fun[row], record.learning_rate[row], record.grad_norm[row] = fun, step if moved else 0.0, grad_norm
        if row < record.x.shape[0]:
            copy_to_row(record.x, row, x)

        sound = finite(fun, grad_norm)
        status = value_verdict(tests, fun, sound, stationary(length, box, x, grad, grad_norm, tests.gtol))
        if status == RUNNING and moved:
            status = step_verdict(length, tests, last_fun, fun, new_x, x, new_grad)
        if status != RUNNING:
            break

    if best_is_here:
        copy(best_x, x)
    keep(length, memory.x, x)
    keep(length, memory.grad, grad)
    keep(length, memory.best_x, best_x)
    return status, nit, origin, nfev, fun, best_fun, step


@kernel(inline=True)
def _failure(ftol, hoped_for, fun, last_tried):
    """Why no step is acceptable."""
    if hoped_for <= ftol * max(abs(fun), 1.0):  # what is left to gain is lost in rounding
        return _FTOL
    return _LINE_SEARCH if abs(last_tried) < np.inf else _NON_FINITE


search_in_python = search.py_func if COMPILING else search
