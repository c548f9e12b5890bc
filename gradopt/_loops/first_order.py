"""The descent loop of the first-order methods. It knows problems and methods only through their generics."""

from __future__ import annotations

import numpy as np

from gradopt._compiler import borrowed, copy_back, kernel, on_stack, swapped
from gradopt._core.protocol import current_rate, note_iterate, observe, update, value_and_grad
from gradopt._core.status import Status
from gradopt._loops.batches import iterate_batches
from gradopt._loops.clipping import clipped
from gradopt._loops.parts import update_parts
from gradopt._loops.stop_tests import finite, step_verdict, value_verdict
from gradopt._loops.types import RUNNING, Loop
from gradopt._numerics.vectors import copy, copy_to_row, norm, within

_NON_FINITE = int(Status.NON_FINITE)


@kernel
def iterate(problem, method, steering, arrays, progress, tests, record, iterates):
    """Run the descent for `iterates` iterates, or until a test stops it.

    The first iterate of a run is the start; each further one follows an update, and is accepted only if objective and
    gradient are finite there. The start is always kept.

    problem, method : lowered
    steering : Steering
    arrays : RunArrays, written
    progress : Progress
    tests : StopTests
    record : Record, written; at least `iterates` rows, or none
    iterates : int, at least 1

    Returns (status, *progress): a `Status` value or RUNNING, and where the run stands now. This is not a NamedTuple:
    to make one, Numba would run Python code, where it does not expect a Ctrl-C.
    """
    static_length = arrays.static_length
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    x, grad = on_stack(static_length, arrays.x), on_stack(static_length, arrays.grad)
    new_x, new_grad = on_stack(static_length, arrays.new_x), on_stack(static_length, arrays.new_grad)
    best_x, slots = on_stack(static_length, arrays.best_x), on_stack(static_length, arrays.slots)
    schedule_state = borrowed(arrays.schedule_state)
    nit, memory_starts_at, nfev, fun, best_fun, step_rate = progress
    best_is_x, steps_matter = False, tests.ftol >= 0.0 or tests.xtol >= 0.0
    last_norm = norm(static_length, grad) if nfev > 0 else 0.0
    status = RUNNING

    for row in range(iterates):
        moved = nfev > 0
        if moved:
            copy(new_x, x)
            direction = clipped(steering.clipping, new_grad, grad, last_norm)
            update_parts(steering.parts, method, slots, new_x, direction, step_rate, nit - memory_starts_at)

        new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
        nfev += 1
        grad_norm = norm(static_length, new_grad)
        sound = finite(new_fun, grad_norm)
        if moved and not sound:
            status = _NON_FINITE
            break

        # Not by functions: with these, the loop's numbers leave their registers, and a step takes twice the time.
        if new_fun < best_fun:
            best_fun, best_is_x = new_fun, True
        elif best_is_x:
            copy(best_x, x)
            best_is_x = False

        x, new_x = swapped(static_length, x, new_x)
        grad, new_grad = swapped(static_length, grad, new_grad)
        last_fun, fun = fun, new_fun  # from here on, new_x and new_grad are the last ones
        nit += moved
        note_iterate(problem, work, x)
        if moved:
            observe(method.learning_rate, schedule_state, fun, nit)
        last_norm = grad_norm
        last_rate, step_rate = step_rate, steering.scale * current_rate(method.learning_rate, schedule_state, nit)
        if row < record.fun.size:
            record.fun[row], record.learning_rate[row], record.grad_norm[row] = fun, step_rate, grad_norm
        if row < record.x.shape[0]:
            copy_to_row(record.x, row, x)

        status = value_verdict(tests, fun, sound, within(static_length, grad, grad_norm, tests.gtol))
        if steps_matter and status == RUNNING and last_rate != 0.0:
            status = step_verdict(static_length, tests, last_fun, fun, new_x, x, new_grad)
        if status != RUNNING:
            break

    if best_is_x:
        copy(best_x, x)
    copy_back(static_length, arrays.x, x)
    copy_back(static_length, arrays.grad, grad)
    copy_back(static_length, arrays.best_x, best_x)
    copy_back(static_length, arrays.slots, slots)
    return status, nit, memory_starts_at, nfev, fun, best_fun, step_rate


FIRST_ORDER = Loop(
    kernel=iterate,
    requires=(update,),
    batches=iterate_batches,
    clips=True,
    recovers=True,
    non_finite=(
        "at update {update} (learning rate {rate:g}); x is the last finite iterate. A smaller learning_rate, or one"
        " that decays, may help"
    ),
)
