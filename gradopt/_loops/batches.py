"""The training loop: gradient descent on one batch of rows after another, epoch after epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, kernel
from gradopt._core.protocol import batch_value_and_grad, current_rate, note_iterate, observe
from gradopt._core.status import Status
from gradopt._loops.clipping import clipped
from gradopt._loops.parts import update_parts
from gradopt._loops.types import RUNNING
from gradopt._numerics.vectors import copy, copy_to_row, norm

_NON_FINITE = int(Status.NON_FINITE)
_TARGET = int(Status.TARGET)
_EARLY_STOPPED = int(Status.EARLY_STOPPED)


class BatchArrays(NamedTuple):
    """The arrays of a training run. Floats have the dtype of x."""

    x: NDArray[Any]  # (n,) the parameters
    grad: NDArray[Any]  # (n,) the gradient of the last batch
    spare: NDArray[Any]  # (n,) for the clipped gradient; the array `grad` itself if nothing is clipped
    best_x: NDArray[Any]  # (n,) the parameters after the best epoch
    slots: tuple[NDArray[Any], ...]  # each (n,): what the method remembers
    schedule_state: NDArray[np.float64]  # (5,) what the schedule remembers
    work: Any  # the workspace of the problem
    orders: NDArray[np.int64]  # (epochs, rows) the order of the rows in each epoch; the last one holds for later ones


class Position(NamedTuple):
    """Where a training run stands."""

    nit: int  # updates done
    memory_starts_at: int  # the value of nit when the method began to remember
    epoch: int  # epochs completed
    row: int  # rows of this epoch that were used
    total: float  # the sum of the losses of these rows, each as seen before its update
    rate: float  # the learning rate of the last update
    grad_norm: float  # the gradient's norm before that update
    best: float  # the lowest value of what is monitored, at the end of an epoch; infinite before the first one
    waited: int  # epochs since the last improvement


class EpochTests(NamedTuple):
    """When to stop after an epoch."""

    target: float  # its loss is <= target; -inf for never
    patience: int  # so many epochs in a row without improvement; sys.maxsize for never
    min_delta: float  # an improvement lowers the best value by min_delta; negative: by anything above 0


class EpochRecord(NamedTuple):
    """The history of the epochs that a call of the loop closes, one row per epoch. Arrays without rows are not written.

    An epoch is closed by the loop if there is a row of `nit` for it; else by the loop's caller.
    """

    nit: NDArray[np.int64]  # (m,)
    fun: NDArray[np.float64]  # (m,)
    learning_rate: NDArray[np.float64]  # (m,)
    grad_norm: NDArray[np.float64]  # (m,)
    x: NDArray[Any]  # (m, n)


@kernel
def iterate_batches(problem, method, steering, arrays, position, tests, record, batch_size, by_epoch, updates):
    """Do `updates` updates, one per batch, or fewer if an epoch ends the run, or objective or gradient is not finite.

    problem, method : lowered
    steering : Steering
    arrays : BatchArrays, written
    position : Position
    tests : EpochTests
    record : EpochRecord, written
    batch_size : int
    by_epoch : bool, whether the schedule counts epochs instead of updates
    updates : int, at most the number of batches left in the epochs that `record` has rows for, or in the current one

    Returns (status, *position): a `Status` value or RUNNING, and where the run stands now.
    """
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    x, grad, spare, best_x = borrowed(arrays.x), borrowed(arrays.grad), borrowed(arrays.spare), borrowed(arrays.best_x)
    slots, orders, schedule_state = borrowed(arrays.slots), borrowed(arrays.orders), borrowed(arrays.schedule_state)
    nit, memory_starts_at, epoch, row, total, step_rate, grad_norm, best, waited = position
    size, closed, best_is_x = orders.shape[1], 0, False
    status = RUNNING

    for _ in range(updates):
        rows = orders[min(closed, orders.shape[0] - 1), row : min(row + batch_size, size)]
        fun = batch_value_and_grad(problem, grad, work, x, rows)
        new_norm = norm(None, grad)
        if not abs(fun) + new_norm < np.inf:
            status = _NON_FINITE
            break

        if best_is_x:
            copy(best_x, x)
            best_is_x = False
        grad_norm = new_norm
        k = epoch if by_epoch else nit
        step_rate = steering.scale * current_rate(method.learning_rate, schedule_state, k)
        direction = clipped(steering.clipping, spare, grad, grad_norm)
        update_parts(steering.parts, method, slots, x, direction, step_rate, nit - memory_starts_at)
        nit += 1
        note_iterate(problem, work, x)
        row += rows.size
        total += fun * rows.size

        if row == size and closed < record.nit.size:
            loss = total / size
            record.nit[closed], record.fun[closed] = nit, loss
            record.learning_rate[closed], record.grad_norm[closed] = step_rate, grad_norm
            if closed < record.x.shape[0]:
                copy_to_row(record.x, closed, x)
            best_is_x = loss < best
            best, waited = after_epoch(tests.min_delta, loss, best, waited)
            observe(method.learning_rate, schedule_state, loss, 0)
            epoch, row, total, closed = epoch + 1, 0, 0.0, closed + 1
            if loss <= tests.target:
                status = _TARGET
                break
            if waited >= tests.patience:
                status = _EARLY_STOPPED
                break

    if best_is_x:
        copy(best_x, x)
    return status, nit, memory_starts_at, epoch, row, total, step_rate, grad_norm, best, waited


@kernel
def after_epoch(min_delta, value, best, waited):
    """The new (best, waited) after an epoch with this value of what is monitored."""
    improved = value < best if min_delta < 0.0 else value <= best - min_delta
    return value if value < best else best, 0 if improved else waited + 1
