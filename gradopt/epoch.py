"""The training loop: gradient descent on one batch of rows after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt.compiler import borrowed, kernel
from gradopt.protocol import batch_value_and_grad, rate, update
from gradopt.status import Status
from gradopt.vectors import norm

RUNNING = -1
_NON_FINITE = int(Status.NON_FINITE)


class TrainingMemory(NamedTuple):
    """The arrays of a training run, allocated once. Floats are of the dtype of x."""

    x: NDArray[Any]  # (n,) the parameters
    grad: NDArray[Any]  # (n,) the gradient of the last batch
    slots: tuple[NDArray[Any], ...]  # each (n,): what the method remembers
    work: Any  # what the problem asked for
    order: NDArray[np.int64]  # (rows,) the rows in the order of this epoch


class Position(NamedTuple):
    """Where a training run stands."""

    nit: int  # updates done
    epoch: int  # epochs completed
    row: int  # rows of this epoch that were used
    total: float  # the sum over these rows of the losses as they were seen
    rate: float  # the learning rate of the last update
    grad_norm: float  # the norm of the gradient before it


@kernel
def descend_batches(problem, method, memory, position, batch_size, by_epoch, updates):
    """Do so many updates of the current epoch, each from the next batch, or fewer if something is not finite.

    problem, method : compiled twins
    memory : TrainingMemory, written
    position : Position
    batch_size : int
    by_epoch : bool, whether the schedule counts epochs and not updates
    updates : int, at most the batches that are left in this epoch

    Returns (status, *position): NON_FINITE or RUNNING, and where the run stands now.
    """
    problem, work = borrowed(problem), borrowed(memory.work)
    x, grad = borrowed(memory.x), borrowed(memory.grad)
    slots, order = borrowed(memory.slots), borrowed(memory.order)
    nit, epoch, row, total, step_rate, grad_norm = position
    status = RUNNING

    for _ in range(updates):
        rows = order[row : min(row + batch_size, order.size)]
        fun = batch_value_and_grad(problem, grad, work, x, rows)
        new_norm = norm(None, grad)
        if not abs(fun) + new_norm < np.inf:
            status = _NON_FINITE
            break

        grad_norm = new_norm
        step_rate = rate(method.learning_rate, epoch if by_epoch else nit)
        update(method, slots, x, grad, step_rate, nit)
        nit += 1
        row += rows.size
        total += fun * rows.size

    return status, nit, epoch, row, total, step_rate, grad_norm
