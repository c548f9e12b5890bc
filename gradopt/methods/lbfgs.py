"""L-BFGS: a quasi-Newton direction from the last steps and the changes of the gradient in them.

    s = x - last x,  y = grad - last grad          of the last `memory` updates
    H = (s'y / y'y) I                              of the newest pair
    H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y    for each pair, oldest first
    d = -H grad                                    by the two-loop recursion, without forming H

J. Nocedal, Updating quasi-Newton matrices with limited storage, Math. Comp. 35 (1980); D. Liu and J. Nocedal, On the
limited memory BFGS method for large scale optimization, Math. Program. 45 (1989). Within bounds, H covers only the free
parameters and is built from their parts of the pairs.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, kernel
from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import direction, first_step, new_slots, update_memory
from gradopt._loops.line_search import LINE_SEARCH
from gradopt._loops.types import Loop
from gradopt._numerics.bounds import free_add, free_inner, free_negative, hold_near_bounds, longest_move, mark_free
from gradopt._numerics.vectors import epsilon, norm
from gradopt.methods.base import LineSearchMethod

_TINY = 1e-300
_PASSES = 4  # maximum number, to find the parameters held by bounds


@config
class LBFGS(LineSearchMethod):
    """Limited-memory BFGS with a strong Wolfe line search.

    Parameters
    ----------
    memory : int
        The number of updates that the curvature is estimated from, >= 1. Needs 2 * memory arrays of the length of x.
    max_line_search : int
        Maximum number of evaluations in a line search, >= 2.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    The first trial step has length 1; later ones are quasi-Newton steps. The run ends with LINE_SEARCH if even the
    direction of steepest descent has no acceptable step. With `bounds`, steps are projected into them.

    Counterparts: scipy's L-BFGS-B, torch.optim.LBFGS(line_search_fn="strong_wolfe").

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.LBFGS())
    >>> print(result.x.round(6), result.success)
    [1. 1.] True
    """

    class Lowered(NamedTuple):
        memory: int
        max_line_search: int
        curvature: float

    slots: ClassVar[tuple[str, ...]] = ("direction", "steps", "changes", "curvatures", "pairs", "length")
    loop: ClassVar[Loop] = replace(LINE_SEARCH, takes_bounds=True)

    memory: int = 10
    max_line_search: int = 20

    def __post_init__(self) -> None:
        self._check("memory", validate.integer, 1)
        self._check("max_line_search", validate.integer, 2)

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(self.memory, self.max_line_search, 0.9)

    def fitting_slots(self, slots: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        direction, steps, changes, curvatures, (stored, following), length = slots
        if not (0 <= stored <= len(steps) and 0 <= following < len(steps)):
            raise ValueError(f"state.slots[4] must be a count and a row of {len(steps)}, got {stored} and {following}")
        fitting = self.new_slots(direction)
        kept = min(int(stored), self.memory)
        for i in range(kept):
            source = (int(following) - kept + i) % len(steps)
            for target, rows in zip(fitting[1:3], (steps, changes), strict=True):
                target[i] = rows[source]
            fitting[3][:, i] = curvatures[:, source]
        fitting[0][:] = direction
        fitting[4][:] = kept, kept % self.memory
        fitting[5][:] = length
        return fitting


@new_slots.on(LBFGS)
def _new_slots(method, x):
    steps, changes = np.zeros((method.memory, x.size), x.dtype), np.zeros((method.memory, x.size), x.dtype)
    return np.zeros_like(x), steps, changes, np.zeros((3, method.memory)), np.zeros(2, np.int64), np.ones(1)


@direction.on(LBFGS)
def _(method, slots, box, x, grad, restart):
    d, steps, changes, curvatures, pairs, last_length = slots
    if restart:
        pairs[0] = 0
    if box is None:
        _two_loops(d, steps, changes, curvatures, pairs, last_length, box, grad)
    else:
        mark_free(box, x, grad)
        last_length[0] = min(last_length[0], longest_move(box, x, grad))
        for _ in range(_PASSES):
            _two_loops(d, steps, changes, curvatures, pairs, last_length, box, grad)
            if not hold_near_bounds(d, box, x, grad):
                break


@kernel(late_bound=True)
def _two_loops(d, steps, changes, curvatures, pairs, last_length, box, grad) -> None:
    """Write -H grad to d.

    d : float array (n,), C order, written
    steps, changes : float arrays (memory, n), C order, s and y, read
    curvatures : float64 array (3, memory): 1 / s'y and s'y / y'y, written if there is a box; weights, written
    pairs : int64 array (2,), the number of pairs, and the row after the newest; read
    last_length : float64 array (1,), the length of the last step, read
    box : Box or None, read
    grad : float array (n,), C order, read
    """
    d, steps, changes, curvatures = borrowed(d), borrowed(steps), borrowed(changes), borrowed(curvatures)
    memory, weights = steps.shape[0], curvatures[2]
    free_negative(box, d, grad)
    scale = 0.0
    i = pairs[1]
    for _ in range(pairs[0]):  # newest first
        i = (i if i > 0 else memory) - 1
        if box is not None:
            _measure(box, curvatures, i, steps[i], changes[i])
        if curvatures[0, i] > 0.0:
            weights[i] = free_inner(box, steps[i], d) * curvatures[0, i]
            free_add(box, d, -weights[i], changes[i])
            if scale == 0.0:
                scale = curvatures[1, i]
    if scale == 0.0:  # the curvature is unknown: take a step as long as the last one
        scale = last_length[0] / max(norm(None, d), _TINY)
    scale = d.dtype.type(scale)
    for j in range(d.size):
        d[j] *= scale
    for _ in range(pairs[0]):  # oldest first
        if curvatures[0, i] > 0.0:
            weight = free_inner(box, changes[i], d) * curvatures[0, i]
            free_add(box, d, weights[i] - weight, steps[i])
        i = i + 1 if i + 1 < memory else 0


@kernel(inline=True)
def _measure(box, curvatures, i, step, change):
    """Write the curvature of pair i over the free parameters; returns s's and whether the pair is usable.

    H is positive definite only if s'y is positive, and not by rounding alone.
    """
    step_change, change_change = free_inner(box, step, change), free_inner(box, change, change)
    step_step = free_inner(box, step, step)
    tells = step_change > epsilon(step) * math.sqrt(step_step * change_change)
    curvatures[0, i] = 1.0 / step_change if tells else 0.0
    curvatures[1, i] = step_change / change_change if tells else 0.0
    return step_step, tells


@first_step.on(LBFGS)
def _(method, slots, slope):
    return 1.0


@update_memory.on(LBFGS)
def _(method, slots, x, grad, last_x, last_grad):
    _, steps, changes, curvatures, pairs, last_length = slots
    last_length[0] = _keep_pair(steps, changes, curvatures, pairs, x, grad, last_x, last_grad)


@kernel(late_bound=True)
def _keep_pair(steps, changes, curvatures, pairs, x, grad, last_x, last_grad):
    """Replace the oldest pair by the newest one; returns the length of the step.

    The arrays are those of `_two_loops`, written.
    """
    steps, changes = borrowed(steps), borrowed(changes)
    memory, i = steps.shape[0], pairs[1]
    step, change = steps[i], changes[i]
    for j in range(x.size):
        step[j] = x[j] - last_x[j]
        change[j] = grad[j] - last_grad[j]
    step_step, tells = _measure(None, curvatures, i, step, change)
    if tells:
        pairs[0], pairs[1] = min(pairs[0] + 1, memory), (i + 1) % memory
    elif pairs[0] == memory:  # it has overwritten the oldest pair
        pairs[0] = memory - 1
    return math.sqrt(step_step)
