"""The descent loop of the line-search methods, which choose a direction and search for a step length along it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradopt._compiler import borrowed, copy_back, kernel, on_stack, swapped
from gradopt._core.protocol import direction, first_step, new_slots, note_iterate, update_memory, value_and_grad
from gradopt._core.status import Status
from gradopt._loops.presumed_minimum import CHECKS, minimum_verdict
from gradopt._loops.recording import note_lowest, write_row
from gradopt._loops.stop_tests import UNCERTAINTY, finite, length_verdict, negligible, search_verdict, value_verdict
from gradopt._loops.types import RUNNING, Loop, RunArrays
from gradopt._loops.wolfe import Bracket, WolfeConditions, assess_step
from gradopt._numerics.bounds import (
    move,
    predicted_change,
    predicted_decrease,
    slope_along,
    stationary,
    tame_held_slopes,
)
from gradopt._numerics.vectors import copy, epsilon, norm

_FTOL, _MAX_NFEV = int(Status.FTOL), int(Status.MAX_NFEV)
_LINE_SEARCH, _NON_FINITE = int(Status.LINE_SEARCH), int(Status.NON_FINITE)

# The error of an objective and the default ftol, in units of the last place.
_NOISE = 10.0

# The number of updates after which a method that began anew has to show a gain.
_CONFIRMATIONS = 3


class Line(NamedTuple):
    """The state of a search along one direction."""

    step: float  # in units of the direction
    slope: float  # the derivative along the direction, at x
    tries: int  # points assessed
    settled: bool  # whether the next point is accepted as it is
    restarted: bool  # whether the method's memory was cleared
    expected_gain: float  # what the first step should gain, by the method's model
    walled: bool  # whether a value that is not finite was met in this update
    bracket: Bracket


@kernel
def search(problem, method, steering, arrays, progress, tests, record, iterates):
    """Run the descent for `iterates` iterates, the start included, or until a test stops it.

    problem, method : lowered
    steering : Steering; only its box is used
    arrays : RunArrays, written
    progress : Progress; its rate is the last step
    tests : StopTests
    record : Record, written; at least `iterates` rows, or none
    iterates : int, at least 1

    Returns (status, *progress) as `first_order.iterate` does.
    """
    static_length = arrays.static_length
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    box = borrowed(steering.box)
    x, grad = on_stack(static_length, arrays.x), on_stack(static_length, arrays.grad)
    new_x, new_grad = on_stack(static_length, arrays.new_x), on_stack(static_length, arrays.new_grad)
    best_x, slots = on_stack(static_length, arrays.best_x), borrowed(arrays.slots)
    schedule_state = borrowed(arrays.schedule_state)
    nit, memory_starts_at, nfev, fun, best_fun, step = progress
    best_is_x, status = False, RUNNING

    for row in range(iterates):
        moved = nfev > 0
        here = RunArrays(static_length, x, grad, new_x, new_grad, best_x, slots, schedule_state, work)
        stalled, gain, otherwise = False, 0.0, RUNNING
        bracket = Bracket(0.0, fun, 0.0, np.inf, np.inf, np.inf)
        line = Line(step, 0.0, 0, False, nit == memory_starts_at, np.inf, False, bracket)
        while True:
            if moved:
                line = _next_point(method, box, here, fun, line)
            if nfev >= tests.max_nfev:
                status = _MAX_NFEV
                break
            new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
            nfev += 1
            tame_held_slopes(box, new_x, new_grad)
            if not moved or line.settled:
                break
            status, accepted, sound, line = _assessed(method, box, here, tests, fun, new_fun, line)
            if not accepted and sound and new_fun < best_fun:
                best_fun, best_is_x = new_fun, False
                copy(best_x, new_x)
            if accepted or status != RUNNING:
                break
        step, found = line.step, status == RUNNING
        if found:
            best_fun, best_is_x = note_lowest(best_x, best_fun, best_is_x, x, new_fun)
            x, new_x = swapped(static_length, x, new_x)
            grad, new_grad = swapped(static_length, grad, new_grad)
            last_x, last_grad, last_fun, fun = new_x, new_grad, fun, new_fun
            grad_norm = norm(static_length, grad)
            note_iterate(problem, work, x)
            if moved:
                nit += 1
                update_memory(method, slots, x, grad, last_x, last_grad)
            write_row(record, row, fun, step if moved else 0.0, grad_norm, x)
            sound = finite(fun, grad_norm)
            status = value_verdict(tests, fun, sound, stationary(static_length, box, x, grad, grad_norm, tests.gtol))
            if status == RUNNING and moved:
                gain = predicted_decrease(last_grad, last_x, x)
                status, stalled = _decrease_verdict(tests, last_fun, fun, gain, line.walled)
                otherwise = length_verdict(static_length, tests, last_x, x, new_grad)
        if found and (status == _FTOL or stalled):
            little = not line.walled and negligible(tests, UNCERTAINTY * gain, fun, fun)
            status, memory_starts_at = _standstill(little, nit, memory_starts_at)
        if status == _FTOL and nfev + CHECKS > tests.max_nfev:
            status = _MAX_NFEV
        if status == _FTOL:
            here = RunArrays(static_length, x, grad, new_x, new_grad, best_x, slots, schedule_state, work)
            status, evaluations, lowest = minimum_verdict(problem, work, box, tests, here, fun, best_fun)
            nfev, memory_starts_at = nfev + evaluations, nit  # the direction was overwritten
            best_fun, best_is_x = lowest, best_is_x and lowest == best_fun
        if status in (RUNNING, _LINE_SEARCH) and otherwise != RUNNING:
            status = otherwise
        if status != RUNNING or nfev >= tests.pause_at:
            break

    if best_is_x:
        copy(best_x, x)
    copy_back(static_length, arrays.x, x)
    copy_back(static_length, arrays.grad, grad)
    copy_back(static_length, arrays.best_x, best_x)
    return status, nit, memory_starts_at, nfev, fun, best_fun, step


@kernel(inline=True)
def _next_point(method, box, arrays, fun, line):
    """Write the next point along the line to new_x, after choosing a direction where the search begins; returns a Line.

    fun : the objective at x
    """
    static_length, x, grad, new_x, _, _, slots, _, _ = arrays
    step, slope, tries, settled, restarted, expected_gain, walled, bracket = line
    if tries == 0:
        restarted, slope = _downhill(method, slots, static_length, box, x, grad, restarted)
        step = first_step(method, slots, slope)
        bracket = Bracket(0.0, fun, slope, np.inf, np.inf, np.inf)
        if not restarted and step == 1.0:  # twice what a quadratic objective would lose by this step
            expected_gain = -slope
    move(box, new_x, x, slots[0], step)
    return Line(step, slope, tries, settled, restarted, expected_gain, walled, bracket)


@kernel(inline=True)
def _assessed(method, box, arrays, tests, fun, new_fun, line):
    """Assess the point new_x: (status, whether it is accepted, whether it is finite, the Line that goes on).

    Where no step is acceptable, the search begins again, once, along the direction of a method that remembers nothing.
    """
    static_length, x, grad, new_x, new_grad, _, slots, _, _ = arrays
    step, slope, tries, _, restarted, expected_gain, walled, bracket = line
    tries += 1
    noise = _NOISE * epsilon(x)
    new_slope = slope_along(static_length, box, new_x, slots[0], new_grad)
    change = predicted_change(box, grad, x, new_x, step, slope)
    conditions = WolfeConditions(fun, -method.curvature * slope, noise * abs(fun), box is not None)
    accepted, bracket, step_to_try = assess_step(conditions, bracket, step, new_fun, new_slope, change)
    status, settled, sound = RUNNING, False, finite(new_fun, new_slope)
    walled = walled or not sound
    if not accepted:
        step, settled, exhausted = _next_try(bracket, step_to_try, tries, method.max_line_search, noise)
        if new_fun == -np.inf:
            status = _NON_FINITE
        elif exhausted and restarted:
            status = search_verdict(tests, expected_gain, walled, fun, new_fun)
        elif exhausted:
            tries, restarted = 0, True
    line = Line(step, slope, tries, settled, restarted, expected_gain, walled, bracket)
    return status, accepted, sound, line


@kernel(inline=True)
def _standstill(little, nit, memory_starts_at):
    """The status after an update that gained nothing, and the update at which the method's memory begins.

    The memory may be the cause. So the method begins anew, and only if some more updates gain nothing either does the
    run end: with FTOL (to be checked), or with LINE_SEARCH where they should have gained something.

    little : whether not much more could have been gained
    """
    fresh = nit - memory_starts_at
    if fresh == _CONFIRMATIONS:
        return _FTOL if little else _LINE_SEARCH, memory_starts_at
    return RUNNING, memory_starts_at if fresh < _CONFIRMATIONS else nit


@kernel(inline=True)
def _decrease_verdict(tests, last_fun, fun, predicted, walled):
    """FTOL or RUNNING after an update, and whether the update gained nothing though it should have.

    predicted : the decrease that the method's model predicts for the step as it was taken
    """
    if not negligible(tests, abs(fun - last_fun), last_fun, fun):
        return RUNNING, False
    if walled or not negligible(tests, predicted, last_fun, fun):
        return RUNNING, True
    return _FTOL, False


@kernel(inline=True)
def _downhill(method, slots, static_length, box, x, grad, restarted):
    """Write a direction to slots[0]; returns (whether the method's memory was cleared, the slope along it).

    The memory is cleared if the method's own direction does not point downhill.
    """
    while True:
        direction(method, slots, box, x, grad, restarted)
        slope = slope_along(static_length, box, x, slots[0], grad)
        if -np.inf < slope < 0.0 or restarted:
            return restarted, slope
        restarted = True


@kernel(inline=True)
def _next_try(bracket, step_to_try, tries, max_line_search, noise):
    """What to do after a rejected step: (the next step, whether to take it without a test, whether to give up)."""
    narrow = abs(bracket.high - bracket.low) <= noise * bracket.low
    if tries < max_line_search - 1 and not narrow:
        return step_to_try, False, False
    if bracket.low > 0.0:  # settle for a step with sufficient decrease
        return bracket.low, True, False
    return step_to_try, False, True


LINE_SEARCH = Loop(
    kernel=search,
    requires=(direction, new_slots, first_step, update_memory),
    max_iter=15_000,
    ftol=0.0,
    noise=_NOISE,
    non_finite=(
        "wherever the line search of update {update} looked; x is the last finite iterate. The objective may be"
        " unbounded below, or x0 far from where it is defined"
    ),
)
