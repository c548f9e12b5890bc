"""The descent loop of the first-order methods. It knows problems and methods only through their generics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt.compiler import COMPILING, borrowed, exchanged, keep, kernel, stacked
from gradopt.protocol import current_rate, look, update, value_and_grad
from gradopt.status import Status
from gradopt.steering import clipped
from gradopt.vectors import copy, copy_to_row, norm, subtract, within

RUNNING = -1
_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_TARGET, _NON_FINITE = int(Status.TARGET), int(Status.NON_FINITE)


class Memory(NamedTuple):
    """The arrays of a run, allocated once. Floats are of the dtype of x."""

    length: tuple[int, ...] | None  # a tuple of n numbers where n is small and so part of the type, else None
    x: NDArray[Any]  # (n,) the last accepted iterate
    grad: NDArray[Any]  # (n,) the gradient there
    new_x: NDArray[Any]  # (n,) the iterate to evaluate next; the start before the first evaluation
    new_grad: NDArray[Any]  # (n,) the gradient there
    best_x: NDArray[Any]  # (n,) where the lowest objective was seen
    slots: tuple[NDArray[Any], ...]  # each (n,): what the method remembers
    schedule_state: NDArray[np.float64]  # (5,) what the schedule remembers
    work: Any  # what the problem asked for


class Progress(NamedTuple):
    """The numbers that change from step to step."""

    nit: int  # updates done
    origin: int  # of these, the ones before the method began to remember
    nfev: int  # evaluations done; 0 before the start was evaluated
    fun: float  # the objective at x
    best_fun: float  # the objective at best_x
    rate: float  # the learning rate of the next update


class StopTests(NamedTuple):
    """When to stop; negative ftol and xtol are off."""

    gtol: float
    ftol: float
    xtol: float
    target: float


class Record(NamedTuple):
    """Where a chunk of the history goes: one row an accepted iterate. Arrays without rows are not written."""

    fun: NDArray[np.float64]  # (m,)
    learning_rate: NDArray[np.float64]  # (m,)
    grad_norm: NDArray[np.float64]  # (m,)
    x: NDArray[Any]  # (m, n)


@kernel
def iterate(problem, method, steering, memory, progress, tests, record, iterates):
    """Run the descent for so many iterates, or until a test stops it.

    The first iterate of a run is the start; each further one follows an update, and is accepted only if objective and
    gradient are finite there. The start is kept in any case.

    problem, method : compiled twins
    steering : Steering
    memory : Memory, written
    progress : Progress
    tests : StopTests
    record : Record, written, at least `iterates` rows or none
    iterates : int, at least 1

    Returns (status, *progress): a `Status` value or RUNNING, and where the run stands now. No NamedTuple: to make one,
    Numba would run Python code, where Ctrl-C may strike, which Numba does not expect.
    """
    length = memory.length
    problem, work, record = borrowed(problem), borrowed(memory.work), borrowed(record)
    x, grad = stacked(length, memory.x), stacked(length, memory.grad)
    new_x, new_grad = stacked(length, memory.new_x), stacked(length, memory.new_grad)
    best_x, slots = stacked(length, memory.best_x), stacked(length, memory.slots)
    schedule_state = borrowed(memory.schedule_state)
    nit, origin, nfev, fun, best_fun, step_rate = progress
    best_is_here, steps_matter = False, tests.ftol >= 0.0 or tests.xtol >= 0.0
    last_norm = norm(length, grad) if nfev > 0 else 0.0
    status = RUNNING

    for row in range(iterates):
        moved = nfev > 0
        if moved:
            copy(new_x, x)
            direction = clipped(steering.clipping, new_grad, grad, last_norm)
            update(method, slots, new_x, direction, step_rate, nit - origin)

        new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
        nfev += 1
        grad_norm = norm(length, new_grad)
        sound = finite(new_fun, grad_norm)
        if moved and not sound:
            status = _NON_FINITE
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
        nit += moved
        if moved:
            look(method.learning_rate, schedule_state, fun, nit)
        last_norm = grad_norm
        last_rate, step_rate = step_rate, steering.scale * current_rate(method.learning_rate, schedule_state, nit)

        if row < record.fun.size:
            record.fun[row], record.learning_rate[row], record.grad_norm[row] = fun, step_rate, grad_norm
        if row < record.x.shape[0]:
            copy_to_row(record.x, row, x)

        status = value_verdict(tests, fun, sound, within(length, grad, grad_norm, tests.gtol))
        if steps_matter and status == RUNNING and last_rate != 0.0:
            status = step_verdict(length, tests, last_fun, fun, new_x, x, new_grad)
        if status != RUNNING:
            break

    if best_is_here:
        copy(best_x, x)
    keep(length, memory.x, x)
    keep(length, memory.grad, grad)
    keep(length, memory.best_x, best_x)
    keep(length, memory.slots, slots)
    return status, nit, origin, nfev, fun, best_fun, step_rate


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
def step_verdict(length, tests, last_fun, fun, last_x, x, spare):
    """The first that holds of the tests FTOL, XTOL, else RUNNING.

    spare : float array (n,), may be written
    """
    if tests.ftol >= 0.0 and abs(fun - last_fun) <= tests.ftol * max(abs(last_fun), abs(fun), 1.0):
        return _FTOL
    if tests.xtol >= 0.0:
        subtract(spare, x, last_x)
        if norm(length, spare) <= tests.xtol * (tests.xtol + norm(length, x)):
            return _XTOL
    return RUNNING


# For problems that can't be compiled. The loop is Python, but what it calls for the method and for vectors is still
# machine code.
iterate_in_python = iterate.py_func if COMPILING else iterate
