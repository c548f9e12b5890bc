"""Steps within a trust radius by conjugate gradients, for many parameters: with products H v alone, and D = 1.

They go on until they meet the radius or a negative curvature (T. Steihaug, The conjugate gradient method and trust
regions in large scale optimization, SIAM J. Numer. Anal. 20, 1983), or the rest is small beside the gradient.
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import kernel, portable
from gradopt._core.protocol import hessian_product
from gradopt._numerics.bounds import held, inside, stopped_at_bounds
from gradopt._numerics.vectors import fill, norm

SADDLE = -1e-8  # the scaled curvature below which a point is no minimum
_PROBES = 30  # products with which a negative curvature is looked for
_AT_MOST = 500  # products for a step
_RESOLVED = 10  # times a step is made again without the parameters that it moved to bounds

# Elements of `memory`, a slot of the method.
RADIUS, DECOMPOSED, STEEPEST, ESCAPES = 0, 1, 2, 3

# Rows of `vectors`, another one.
FREE, VALUES, PARTS, RIGHT, TRIAL, CURVED, IN_BASIS, AWAY = 0, 1, 2, 3, 4, 5, 6, 7


@kernel(inline=True)
def mark_free(box, x, grad, free):
    """Mark the parameters that no bound holds."""
    for j in range(x.size):
        free[j] = 0.0 if held(box, j, x[j], grad[j]) else 1.0


@portable
def _multiplied(problem, work, x, pair, v, out):
    """Write H v to out."""
    for j in range(x.size):
        pair[0, j] = v[j]
    hessian_product(problem, pair[1], work, x, pair[0])
    for j in range(x.size):
        out[j] = pair[1, j]


@portable
def step_by_products(problem, work, box, x, grad, slots, radius):
    """The same as `trust_region.exact_step`, by conjugate gradients."""
    step, _, memory, _, _, vectors, pair = slots
    curved, direction = vectors[CURVED], vectors[AWAY]
    limited = False
    fill(step, 0.0)
    fill(curved, 0.0)
    mark_free(box, x, grad, vectors[FREE])
    if memory[ESCAPES] != 0.0:  # along a negative curvature, downhill
        size, slope = norm(None, direction), 0.0
        for j in range(x.size):
            slope += direction[j] * np.float64(grad[j])
        limited = True
        for sign in (-1.0, 1.0):
            mark_free(box, x, grad, vectors[FREE])
            for j in range(x.size):
                step[j] = (sign * radius if slope > 0.0 else -sign * radius) / size * direction[j]
            if box is not None:
                stopped_at_bounds(box, x, step, vectors[FREE])
            _multiplied(problem, work, x, pair, step, curved)
            if box is None or _gain(grad, curved, step) > 0.0:
                break
    else:
        for _ in range(_RESOLVED):
            limited = _conjugate_gradients(problem, work, x, grad, slots, radius)
            if box is None or not stopped_at_bounds(box, x, step, vectors[FREE]):
                break
            _multiplied(problem, work, x, pair, step, curved)
    for j in range(x.size):
        step[j] = inside(box, j, x[j] + step[j]) - x[j]
    return norm(None, step), _gain(grad, curved, step), limited


@kernel(late_bound=True)
def _gain(grad, curved, step):
    """Twice what the model gains by a step; curved : H step."""
    gain = 0.0
    for j in range(step.size):
        if step[j] != 0.0:
            gain -= (2.0 * np.float64(grad[j]) + curved[j]) * step[j]
    return gain


@portable
def _conjugate_gradients(problem, work, x, grad, slots, radius):
    """Improve the free elements of the step, and vectors[CURVED] = H step; whether the radius ended it."""
    step, _, memory, _, _, vectors, pair = slots
    n, free, curved = x.size, vectors[FREE], vectors[CURVED]
    residual, direction, image = vectors[RIGHT], vectors[TRIAL], vectors[PARTS]
    squares = 0.0
    for j in range(n):
        residual[j] = -(np.float64(grad[j]) + curved[j]) if free[j] != 0.0 else 0.0
        direction[j] = residual[j]
        squares += residual[j] * residual[j]
    first = math.sqrt(squares)
    enough = min(0.1, math.sqrt(first / memory[STEEPEST])) * first if memory[STEEPEST] > 0.0 else 0.0
    for _ in range(min(n, _AT_MOST) + 1):
        if math.sqrt(squares) <= enough or squares == 0.0:
            return False
        _multiplied(problem, work, x, pair, direction, image)
        bend = 0.0
        for j in range(n):
            if direction[j] != 0.0:
                bend += direction[j] * image[j]
        if not abs(bend) < np.inf:
            return False
        along, ahead, size = 0.0, 0.0, 0.0
        rate = squares / bend if bend > 0.0 else np.inf
        for j in range(n):
            along += direction[j] * step[j]
            size += direction[j] * direction[j]
            ahead += step[j] * step[j]
        room = radius * radius - ahead
        outside = bend <= 0.0 or ahead + rate * (2.0 * along + rate * size) >= radius * radius
        if outside:
            root = math.sqrt(along * along + size * max(room, 0.0))
            rate = max(room, 0.0) / (along + root) if along > 0.0 else (root - along) / size
        for j in range(n):
            step[j] += rate * direction[j]
            curved[j] += rate * image[j]
        if outside:
            return True
        before, squares = squares, 0.0
        for j in range(n):
            if free[j] != 0.0:
                residual[j] -= rate * image[j]
            squares += residual[j] * residual[j]
        for j in range(n):
            direction[j] = residual[j] + squares / before * direction[j]
    return False


@portable
def points_away(problem, work, box, x, grad, slots):
    """Whether some products show a negative curvature: conjugate gradients for a right-hand side without a pattern."""
    _, _, memory, _, _, vectors, pair = slots
    n, free, residual, direction, image = x.size, vectors[FREE], vectors[RIGHT], vectors[AWAY], vectors[PARTS]
    mark_free(box, x, grad, free)
    number, squares, largest = 12345, 0.0, 0.0
    for j in range(n):
        number = (1103515245 * number + 12345) % 2147483648
        residual[j] = (number / 1073741824.0 - 1.0) * free[j]
        direction[j] = residual[j]
        squares += residual[j] * residual[j]
    for _ in range(min(n, _PROBES)):
        if squares == 0.0:
            break
        _multiplied(problem, work, x, pair, direction, image)
        bend, size = 0.0, 0.0
        for j in range(n):
            if direction[j] != 0.0:
                bend += direction[j] * image[j]
                size += direction[j] * direction[j]
        largest = max(largest, abs(bend) / size)
        if not abs(bend) < np.inf:
            break
        if bend < SADDLE * largest * size:
            memory[ESCAPES] = 1.0
            return True
        if bend <= 0.0:
            break
        rate, before, squares = squares / bend, squares, 0.0
        for j in range(n):
            if free[j] != 0.0:
                residual[j] -= rate * image[j]
            squares += residual[j] * residual[j]
        for j in range(n):
            direction[j] = residual[j] + squares / before * direction[j]
    return False
