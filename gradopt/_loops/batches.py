"""The training loop: gradient descent on one batch of rows after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, kernel
from gradopt._core.protocol import batch_value_and_grad, current_rate, note_iterate, update
from gradopt._core.status import Status
from gradopt._loops.clipping import clipped
from gradopt._loops.types import RUNNING
from gradopt._numerics.vectors import norm

_NON_FINITE = int(Status.NON_FINITE)


class BatchArrays(NamedTuple):
    """The arrays of a training run, allocated once. Floats have the dtype of x."""

    x: NDArray[Any]  # (n,) the parameters
    grad: NDArray[Any]  # (n,) the gradient of the last batch
    spare: NDArray[Any]  # (n,) for the clipped gradient; the array `grad` itself if nothing is clipped
    slots: tuple[NDArray[Any], ...]  # each (n,): what the method remembers
    schedule_state: NDArray[np.float64]  # (5,) what the schedule remembers
    work: Any  # the workspace of the problem
    order: NDArray[np.int64]  # (rows,) the rows in the order of this epoch


class Position(NamedTuple):
    """Where a training run stands."""

    nit: int  # updates done
    memory_starts_at: int  # the value of nit when the method began to remember
    epoch: int  # epochs completed
    row: int  # rows of this epoch that were used
    total: float  # the sum of the losses of these rows, each as seen before its update
    rate: float  # the learning rate of the last update
    grad_norm: float  # the gradient's norm before that update


@kernel
def iterate_batches(problem, method, steering, arrays, position, batch_size, by_epoch, updates):
    """Do `updates` updates of the current epoch, one per batch, or fewer if objective or gradient is not finite.

    problem, method : lowered
    steering : Steering
    arrays : BatchArrays, written
    position : Position
    batch_size : int
    by_epoch : bool, whether the schedule counts epochs instead of updates
    updates : int, at most the number of batches left in this epoch

    Returns (status, *position): NON_FINITE or RUNNING, and where the run stands now.
    """
    problem, work = borrowed(problem), borrowed(arrays.work)
    x, grad, spare = borrowed(arrays.x), borrowed(arrays.grad), borrowed(arrays.spare)
    slots, order, schedule_state = borrowed(arrays.slots), borrowed(arrays.order), borrowed(arrays.schedule_state)
    nit, memory_starts_at, epoch, row, total, step_rate, grad_norm = position
    status = RUNNING

    for _ in range(updates):
        rows = order[row : min(row + batch_size, order.size)]
        fun = batch_value_and_grad(problem, grad, work, x, rows)
        new_norm = norm(None, grad)
        if not abs(fun) + new_norm < np.inf:
            status = _NON_FINITE
            break

        grad_norm = new_norm
        k = epoch if by_epoch else nit
        step_rate = steering.scale * current_rate(method.learning_rate, schedule_state, k)
        update(method, slots, x, clipped(steering.clipping, spare, grad, grad_norm), step_rate, nit - memory_starts_at)
        nit += 1
        note_iterate(problem, work, x)
        row += rows.size
        total += fun * rows.size

    return status, nit, memory_starts_at, epoch, row, total, step_rate, grad_norm
