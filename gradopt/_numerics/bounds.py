"""Bounds on the parameters: low <= x <= high.

Kernels take a `Box`, or None if there are no bounds; which of the two is known at compile time. Points along a
direction are projected into the box: parameters that would leave it stay at the bound (D. Bertsekas, Projected Newton
methods for optimization problems with simple constraints, SIAM J. Control Optim. 20, 1982).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel, noinline, summation
from gradopt._numerics.vectors import epsilon, inner, within

# A parameter that would reach its bound within this step is fixed there.
_AT_ONCE = 1e-3


class Box(NamedTuple):
    """The bounds of a run. Floats have the dtype of x."""

    low: NDArray[Any]  # (n,) -inf for no bound
    high: NDArray[Any]  # (n,) inf for no bound
    free: NDArray[Any]  # (n,) 1 where a parameter may move, 0 where it is held at a bound; written


@kernel(inline=True)
def move(box, new_x, x, direction, step):
    """Write x + step direction, moved into the box, to new_x."""
    real = x.dtype.type
    step = real(step)
    if box is None:
        for j in range(x.size):
            new_x[j] = x[j] + step * direction[j]
    else:
        for j in range(x.size):
            new_x[j] = min(max(x[j] + step * direction[j], box.low[j]), box.high[j])


@kernel(inline=True)
def mark_free(box, x, grad):
    """Mark in box.free the parameters that may move: all but those at a bound beyond which the objective falls."""
    if box is not None:
        for j in range(x.size):
            box.free[j] = 0.0 if _is_held(box, j, x[j], grad[j]) else 1.0


@kernel(late_bound=True)
def hold_near_bounds(direction, box, x, grad):
    """Fix the free parameters that would hit a bound after a tiny step.

    Otherwise the search would meet a bend, and perhaps go uphill after it, before making any progress. Returns whether
    there are any; the caller should then choose a new direction for the others. If there are none, the parameters that
    are not free get the distance to their nearer bound as direction, if that is downhill, else 0.

    direction : float array (n,), C order, written
    box : Box, free written
    x, grad : float arrays (n,), C order, read
    """
    found = False
    for j in range(x.size):
        ahead = (box.high[j] if direction[j] > 0.0 else box.low[j]) - x[j]
        if box.free[j] != 0.0 and abs(ahead) < _AT_ONCE * abs(direction[j]):
            box.free[j], found = 0.0, True
    if not found:
        for j in range(x.size):
            if box.free[j] == 0.0:
                below, above = box.low[j] - x[j], box.high[j] - x[j]
                nearest = above if above < -below else below
                direction[j] = nearest if nearest * grad[j] < 0.0 else 0.0
    return found


@kernel(late_bound=True)
def longest_move(box, x, grad):
    """The distance from x to the corner of the box downhill; infinite without a bound there.

    box : Box, free read
    x, grad : float arrays (n,), C order, read
    """
    total = 0.0
    for j in range(x.size):
        if box.free[j] != 0.0 and grad[j] != 0.0:
            total += np.float64((box.low[j] if grad[j] > 0.0 else box.high[j]) - x[j]) ** 2
    return math.sqrt(total)


@kernel(inline=True)
def slope_along(static_length, box, x, direction, grad):
    """The derivative of the objective at x along a direction that is projected into the box."""
    if box is None:
        return inner(static_length, direction, grad)
    return _slope_inside(box.low, box.high, x, direction, grad)


@kernel(inline=True)
def predicted_change(box, grad, x, new_x, step, slope):
    """The change of a linear objective from x to new_x, a step along a direction with that slope."""
    if box is None:
        return step * slope
    return _change(grad, x, new_x)


@kernel(inline=True)
def predicted_decrease(grad, x, new_x):
    """What a quadratic objective with its minimum at new_x loses from x to new_x: half of what a linear one would."""
    return -0.5 * _change(grad, x, new_x)


@kernel(inline=True)
def stationary(static_length, box, x, grad, grad_norm, gtol):
    """Whether the absolute elements of the gradient, but for the parameters that a bound holds, are at most gtol."""
    if box is None:
        return within(static_length, grad, grad_norm, gtol)
    for j in range(x.size):  # noqa: SIM110
        if not abs(grad[j]) <= gtol and not _is_held(box, j, x[j], grad[j]):
            return False
    return True


@kernel(inline=True)
def _is_held(box, j, x, slope):
    """Whether parameter j is at a bound beyond which the objective falls, or can't move at all."""
    low, high = box.low[j], box.high[j]
    return low == high or (x <= low and slope > 0.0) or (x >= high and slope < 0.0)


@kernel(inline=True)
def held(box, j, x, slope):
    """The same where there may be no bounds."""
    return False if box is None else _is_held(box, j, x, slope)


@kernel(inline=True)
def inside(box, j, value):
    """The nearest value that parameter j may take."""
    return value if box is None else min(max(value, box.low[j]), box.high[j])


@kernel(inline=True)
def stopped_at_bounds(box, x, step, free):
    """Fix at their bounds the free parameters that a step would move beyond them; whether there were any.

    x : float array (n,), read
    step : float array (n,), written
    free : float array (n,), 1 where a parameter may move, else 0; written
    """
    found = False
    for j in range(x.size):
        if free[j] != 0.0 and not box.low[j] <= x[j] + step[j] <= box.high[j]:
            step[j] = (box.high[j] if step[j] > 0.0 else box.low[j]) - x[j]
            free[j], found = 0.0, True
    return found


@kernel(inline=True)
def tame_held_slopes(box, x, grad):
    """Write a large number to grad in place of an infinite slope at a bound that holds.

    Such a slope is no obstacle, and the number, unlike infinity, becomes 0 when the held parameters are left out.
    """
    if box is not None:
        largest = largest_slope(grad)
        for j in range(x.size):
            if abs(grad[j]) == np.inf and _is_held(box, j, x[j], grad[j]):
                grad[j] = largest if grad[j] > 0.0 else -largest


def true_slopes(box: Box | None, grad: NDArray[Any]) -> NDArray[Any]:
    """A copy of a gradient, with infinity in place of the large numbers of `tame_held_slopes`."""
    grad = grad.copy()
    if box is not None:
        largest = largest_slope(grad)
        grad[grad >= largest], grad[grad <= -largest] = np.inf, -np.inf
    return grad


def active_bounds(box: Box, x: NDArray[Any]) -> NDArray[np.int64]:
    """For each parameter: -1 at its lower bound, 1 at its upper one, else 0."""
    return np.where(x <= box.low, -1, np.where(x >= box.high, 1, 0))


@kernel(inline=True)
def largest_slope(grad):
    """The number that stands for an infinite slope: its square is finite, even summed over the parameters."""
    return grad.dtype.type(1e15 if epsilon(grad) > 1e-10 else 1e140)


@kernel(inline=True)
def free_inner(box, u, v):
    """The inner product of u and v over the free parameters."""
    if box is None:
        return inner(None, u, v)
    return _inner_over(box.free, u, v)


@kernel(inline=True)
def free_add(box, out, factor, v):
    """Add factor v to out, for the free parameters."""
    factor = out.dtype.type(factor)
    if box is None:
        for j in range(out.size):
            out[j] += factor * v[j]
    else:
        for j in range(out.size):
            out[j] += factor * v[j] * box.free[j]


@kernel(inline=True)
def free_negative(box, out, v):
    """Write -v to out, and 0 for parameters that are not free."""
    for j in range(out.size):
        out[j] = -v[j] if box is None else -v[j] * box.free[j]


@summation
def _slope_inside(low, high, x, direction, grad):
    noinline()
    total = 0.0
    for j in range(x.size):
        stays = (x[j] <= low[j] and direction[j] < 0.0) or (x[j] >= high[j] and direction[j] > 0.0)
        total += 0.0 if stays else np.float64(direction[j]) * np.float64(grad[j])
    return total


@summation
def _change(grad, x, new_x):
    noinline()
    total = 0.0
    for j in range(x.size):
        total += np.float64(grad[j]) * (np.float64(new_x[j]) - np.float64(x[j]))
    return total


@summation
def _inner_over(free, u, v):
    noinline()
    total = 0.0
    for j in range(u.size):
        total += np.float64(free[j]) * np.float64(u[j]) * np.float64(v[j])
    return total
