"""What a loop records of an accepted iterate: its row of the history, and the lowest objective so far."""

from __future__ import annotations

from gradopt._compiler import kernel
from gradopt._numerics.vectors import copy, copy_to_row


@kernel(inline=True)
def write_row(record, row, fun, learning_rate, grad_norm, x):
    """Write a row of the history, if it is kept.

    record : Record, written
    x : float array (n,), C order, read
    """
    if row < record.fun.size:
        record.fun[row], record.learning_rate[row], record.grad_norm[row] = fun, learning_rate, grad_norm
    if row < record.x.shape[0]:
        copy_to_row(record.x, row, x)


@kernel(inline=True)
def note_lowest(best_x, best_fun, best_is_x, x, new_fun):
    """Record whether the iterate after x has the lowest objective so far; returns (best_fun, whether it has).

    The lowest iterate is copied to best_x only when the run leaves it: while the objective falls, nothing is copied.

    best_x : float array (n,), C order, written
    best_is_x : whether x has the lowest objective so far
    x : float array (n,), C order, read
    """
    if new_fun < best_fun:
        return new_fun, True
    if best_is_x:
        copy(best_x, x)
    return best_fun, False
