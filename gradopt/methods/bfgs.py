"""The method of Broyden, Fletcher, Goldfarb and Shanno with a dense matrix.

With s the last step and y the change of the gradient over it, H approximates the inverse of the Hessian:

    d = -H g
    H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y

J. Nocedal and S. Wright, Numerical Optimization, 2006, section 6.1. Within bounds, parameters that a bound holds are
eliminated from H, which gives the inverse of the Hessian of the others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel
from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import direction, first_step, new_slots, update_memory
from gradopt._loops.line_search import LINE_SEARCH
from gradopt._loops.types import Loop
from gradopt._numerics.bounds import free_negative, hold_near_bounds, longest_move, mark_free
from gradopt._numerics.vectors import epsilon, norm
from gradopt.methods.base import LineSearchMethod

_PASSES = 3  # of choosing a direction within bounds
_TINY = 1e-300
_DAMPED = 0.2  # the least y's, in units of y'Hy, after damping


@config
class BFGS(LineSearchMethod):
    """The BFGS method with a dense matrix and a strong Wolfe line search: for up to some hundred parameters.

    The result has the matrix as `hess_inv`, (n, n). It is no covariance: that of the last steps, not of the minimum;
    `gradopt.uncertainty` has standard errors.

    Parameters
    ----------
    max_line_search : int
        Maximum number of evaluations in a search, >= 2.

    Raises
    ------
    TypeError, ValueError
        max_line_search is out of its range.

    Notes
    -----
    Where the curvature along a step is not positive, the step is damped, so that H stays positive definite (M. J. D.
    Powell, Algorithms for nonlinear constraints that use Lagrangian functions, Math. Programming 14, 1978). An update
    costs O(n^2); `LBFGS` costs O(n), and on few parameters takes about as many.

    Counterpart: scipy.optimize.minimize with method="BFGS".

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.BFGS())
    >>> print(result.x.round(6), result.success, result.hess_inv.shape)
    [1. 1.] True (2, 2)
    """

    class Lowered(NamedTuple):
        max_line_search: int
        curvature: float

    slots: ClassVar[tuple[str, ...]] = ("direction", "inverse", "reduced", "vectors", "length")
    loop: ClassVar[Loop] = replace(LINE_SEARCH, takes_bounds=True)

    max_line_search: int = 20

    def __post_init__(self) -> None:
        self._check("max_line_search", validate.integer, 2)

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(self.max_line_search, 0.9)

    def facts(self, slots: tuple[NDArray[Any], ...]) -> dict[str, Any]:
        return {"hess_inv": slots[1].copy()}


@new_slots.on(BFGS)
def _new_slots(method, x):
    n = x.size
    inverse, reduced = np.zeros((n, n), x.dtype), np.zeros((n, n), x.dtype)
    return np.zeros_like(x), inverse, reduced, np.zeros((3, n), x.dtype), np.ones(2)


@direction.on(BFGS)
def _(method, slots, box, x, grad, restart):
    d, inverse, reduced, _, length = slots
    if restart:
        length[1] = 0.0
    if box is not None:
        mark_free(box, x, grad)
        length[0] = min(length[0], longest_move(box, x, grad))
    for _ in range(_PASSES):
        _downhill(d, inverse, reduced, length, box, grad)
        if box is None or not hold_near_bounds(d, box, x, grad):
            break


@kernel(late_bound=True)
def _downhill(d, inverse, reduced, length, box, grad) -> None:
    """Write -H grad to d, over the free parameters.

    d : float array (n,), C order, written
    inverse : float array (n, n), read
    reduced : float array (n, n), written if there is a box
    length : float64 array (2,): the length of the last step; whether H is known, else it is a multiple of I; read
    box : Box or None, read
    grad : float array (n,), C order, read
    """
    n = d.size
    free_negative(box, d, grad)
    if length[1] == 0.0:  # take a step as long as the last one
        scale = d.dtype.type(length[0] / max(norm(None, d), _TINY))
        for j in range(n):
            d[j] *= scale
        return
    matrix = inverse
    if box is not None:
        matrix = reduced
        for i in range(n):
            for j in range(n):
                matrix[i, j] = inverse[i, j]
        for held in range(n):
            if box.free[held] == 0.0 and matrix[held, held] > 0.0:
                for i in range(n):
                    if box.free[i] != 0.0:
                        share = matrix[i, held] / matrix[held, held]
                        for j in range(n):
                            if j != held:
                                matrix[i, j] -= share * matrix[held, j]
    for i in range(n):
        total = 0.0
        for j in range(n):
            if box is None or box.free[j] != 0.0:
                total -= np.float64(matrix[i, j]) * np.float64(grad[j])
        d[i] = total if box is None or box.free[i] != 0.0 else 0.0


@first_step.on(BFGS)
def _(method, slots, slope):
    return 1.0


@update_memory.on(BFGS)
def _(method, slots, x, grad, last_x, last_grad):
    _, inverse, _, vectors, length = slots
    _update(inverse, vectors, length, x, grad, last_x, last_grad)


@kernel(late_bound=True)
def _update(inverse, vectors, length, x, grad, last_x, last_grad) -> None:
    """Update H by the last step; before the first one, H is s'y / y'y times I.

    inverse : float array (n, n), written
    vectors : float array (3, n), written
    length : float64 array (2,), as for `_downhill`, written
    """
    n = x.size
    step, change, image = vectors[0], vectors[1], vectors[2]
    step_step, change_change, step_change = 0.0, 0.0, 0.0
    for j in range(n):
        step[j], change[j] = x[j] - last_x[j], grad[j] - last_grad[j]
        step_step += np.float64(step[j]) * np.float64(step[j])
        change_change += np.float64(change[j]) * np.float64(change[j])
        step_change += np.float64(step[j]) * np.float64(change[j])
    length[0] = math.sqrt(step_step)
    tells = step_change > epsilon(x) * math.sqrt(step_step * change_change)
    if not 0.0 < change_change < np.inf or (length[1] == 0.0 and not tells):
        return
    if length[1] == 0.0:
        for i in range(n):
            for j in range(n):
                inverse[i, j] = step_change / change_change if i == j else 0.0
        length[1] = 1.0
    bend = 0.0
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += np.float64(inverse[i, j]) * np.float64(change[j])
        image[i] = total
        bend += total * np.float64(change[i])
    if not tells:
        if not bend > 0.0:
            return
        share = (1.0 - _DAMPED) * bend / (bend - step_change)
        for j in range(n):
            step[j] = share * step[j] + (1.0 - share) * image[j]
        step_change = share * step_change + (1.0 - share) * bend
    weight = (1.0 + bend / step_change) / step_change
    for i in range(n):
        for j in range(n):
            inverse[i, j] += weight * step[i] * step[j] - (step[i] * image[j] + image[i] * step[j]) / step_change
