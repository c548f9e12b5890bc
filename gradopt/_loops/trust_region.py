"""The loop of Newton's method: minima of quadratic models within a trust radius.

    m(p) = g'p + 1/2 p'H p        g, H from `protocol.value_and_grad` and `protocol.hessian`
    norm(D p) <= radius           D: roots of the absolute diagonal of H, at least a tenth of what they were

Up to some number of parameters the model's minimum is exact: one decomposition D^-1 H D^-1 = Q W Q' gives it for every
radius, for indefinite and singular H, and in the hard case, where g has no part along the lowest curvature (J. More and
D. Sorensen, Computing a trust region step, SIAM J. Sci. Stat. Comput. 4, 1983). Beyond, see `truncated_newton`.

Within bounds, parameters that a bound holds are left out, and a step that would cross bounds ends at them.

A point with a small gradient is no minimum while a curvature there is negative: the run goes on along it. FTOL is a
success only if the step without a radius would gain nothing more, either.
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import borrowed, kernel, portable
from gradopt._core.protocol import hessian, note_iterate, value_and_grad
from gradopt._core.status import Status
from gradopt._loops.least_squares import assess
from gradopt._loops.recording import note_lowest, write_row
from gradopt._loops.stop_tests import finite, negligible, value_verdict
from gradopt._loops.truncated_newton import (
    DECOMPOSED,
    ESCAPES,
    FREE,
    IN_BASIS,
    PARTS,
    RADIUS,
    RIGHT,
    SADDLE,
    STEEPEST,
    TRIAL,
    VALUES,
    mark_free,
    points_away,
    step_by_products,
)
from gradopt._loops.types import RUNNING, Loop
from gradopt._numerics.bounds import inside, stationary, stopped_at_bounds, tame_held_slopes
from gradopt._numerics.vectors import copy, epsilon, fill, norm

_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_MAX_NFEV, _LINE_SEARCH, _NON_FINITE = int(Status.MAX_NFEV), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

_TRIES = 100  # of shorter and shorter steps in an update
_PASSES = 50  # of Newton's method for the damping
_NEAR = 0.1  # how near the length of a step must be to the radius
_KEPT = 0.1  # the least share of D that an update keeps
_LEFT = 10.0  # how many tolerances the step without a radius may still promise after FTOL


@kernel
def follow(problem, method, steering, arrays, progress, tests, record, iterates):
    """Run the descent for `iterates` iterates, the start included, or until a test stops it.

    The arguments are those of `first_order.iterate`; of steering only the box is used. The rate is the radius.
    """
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    box, x, grad, best_x = borrowed(steering.box), arrays.x, arrays.grad, arrays.best_x
    new_x, new_grad = arrays.new_x, arrays.new_grad
    slots = borrowed(arrays.slots)
    step, scale, memory, matrix, _, vectors, _ = slots
    nit, memory_starts_at, nfev, fun, best_fun, radius = progress
    best_is_x, status, n = False, RUNNING, x.size
    dense = matrix.size > 0
    starts = nfev == 0
    if starts:
        copy(new_x, x)
        new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
        tame_held_slopes(box, new_x, new_grad)
        nfev += 1
    radius = memory[RADIUS]

    for row in range(iterates):
        moved = row > 0 or not starts
        gained, promised, length, limited = 0.0, 0.0, 0.0, False
        tries, accepted = 0, not moved
        while not accepted:
            if dense:
                length, promised, limited = exact_step(box, x, grad, slots, radius)
            else:
                length, promised, limited = step_by_products(problem, work, box, x, grad, slots, radius)
            for j in range(n):
                new_x[j] = inside(box, j, x[j] + step[j])
            if nfev >= tests.max_nfev:
                status = _MAX_NFEV
                break
            new_fun = np.float64(value_and_grad(problem, new_grad, work, new_x))
            tame_held_slopes(box, new_x, new_grad)
            nfev += 1
            tries += 1
            sound = finite(new_fun, norm(None, new_grad))
            gained, accepted, radius = assess(fun, new_fun, sound, promised, length, limited, radius)
            if not accepted and sound and _hidden(fun, gained, promised, x):
                accepted = norm(None, new_grad) < norm(None, grad)
            if not accepted:
                status = _after_rejection(tests, fun, new_fun, gained, promised, length, sound, tries)
                if status != RUNNING:
                    break
        if not accepted:
            if status == _FTOL and (
                not _settled(box, x, grad, slots, tests, fun, limited) or _is_saddle(problem, work, box, x, grad, slots)
            ):
                status = _LINE_SEARCH
            break

        best_fun, best_is_x = note_lowest(best_x, best_fun, best_is_x, x, new_fun)
        copy(x, new_x)
        copy(grad, new_grad)
        fun = new_fun
        note_iterate(problem, work, x)
        nit += moved
        grad_norm = norm(None, grad)
        sound = finite(fun, grad_norm)
        memory[DECOMPOSED] = memory[ESCAPES] = 0.0
        if dense and sound:
            hessian(problem, matrix, work, x)
            mark_free(box, x, grad, vectors[FREE])
            sound = _all_finite(matrix, vectors[FREE])
        if not moved and memory[RADIUS] == 0.0:  # not where an earlier run ended
            _set_scale(scale, matrix, 0.0)
            length = _scaled_length(scale, x)
            radius = method.radius * (length if length > 0.0 else 1.0)
        elif moved and sound:
            _set_scale(scale, matrix, _KEPT)
        memory[RADIUS], memory[STEEPEST] = radius, max(memory[STEEPEST], grad_norm)
        status = value_verdict(tests, fun, sound, stationary(None, box, x, grad, grad_norm, tests.gtol))
        if status == RUNNING and moved:
            if negligible(tests, 0.5 * max(abs(gained), promised), fun, fun):
                status = _FTOL if _settled(box, x, grad, slots, tests, fun, limited) else RUNNING
            elif tests.xtol >= 0.0 and not limited and norm(None, step) <= tests.xtol * (tests.xtol + norm(None, x)):
                status = _XTOL
        if status in (_GTOL, _FTOL, _XTOL) and _is_saddle(problem, work, box, x, grad, slots):
            status = RUNNING
        write_row(record, row, fun, radius, grad_norm, x)
        if status != RUNNING or nfev >= tests.pause_at:
            break

    memory[RADIUS] = radius
    if best_is_x:
        copy(best_x, x)
    return status, nit, memory_starts_at, nfev, fun, best_fun, radius


@kernel(inline=True)
def _hidden(fun, gained, promised, x):
    """Whether rounding hides what a step gains."""
    noise = 20.0 * epsilon(x) * abs(fun)
    return promised <= noise and abs(gained) <= noise


@kernel(inline=True)
def _after_rejection(tests, fun, new_fun, gained, promised, length, sound, tries):
    """The status after trial number `tries` of an update was rejected."""
    if new_fun == -np.inf:
        return _NON_FINITE
    if not length > 0.0 or tries >= _TRIES:
        return _LINE_SEARCH if sound else _NON_FINITE
    if sound and negligible(tests, 0.5 * max(abs(gained), promised), fun, fun):
        return _FTOL
    return RUNNING


@kernel(late_bound=True)
def _all_finite(matrix, free):
    """Whether H is finite for the free parameters; at a bound it need not be."""
    total = 0.0
    for i in range(free.size):
        for j in range(free.size):
            if free[i] != 0.0 and free[j] != 0.0:
                total += abs(np.float64(matrix[i, j]))
    return total < np.inf


@kernel(late_bound=True)
def _scaled_length(scale, x):
    """norm(D x)."""
    total = 0.0
    for j in range(x.size):
        total += (scale[j] * np.float64(x[j])) ** 2
    return math.sqrt(total)


@kernel(late_bound=True)
def _set_scale(scale, matrix, kept) -> None:
    """Set D from the diagonal of H, to no less than a share of what it was; 1 without H.

    A parameter without a curvature of its own has that beside another one, or 1.
    """
    n = matrix.shape[0]
    if n == 0:
        fill(scale, 1.0)
    for i in range(n):
        size = abs(np.float64(matrix[i, i]))
        if size == 0.0:
            for j in range(n):
                size = max(size, abs(np.float64(matrix[i, j])))
        size = size if size < np.inf else np.float64(0.0)
        root = max(math.sqrt(size), kept * scale[i])
        scale[i] = root if root > 0.0 else 1.0


@kernel(late_bound=True)
def _lowest_curvature(box, x, grad, slots):
    """The lowest eigenvalue of D^-1 H D^-1 over the free parameters; infinite if there are none."""
    _, scale, memory, matrix, basis, vectors, _ = slots
    mark_free(box, x, grad, vectors[FREE])
    _decompose(scale, memory, matrix, basis, vectors)
    return _lowest(vectors)


@portable
def _is_saddle(problem, work, box, x, grad, slots):
    """Whether a curvature at x is negative, over the free parameters."""
    if slots[3].size == 0:
        return points_away(problem, work, box, x, grad, slots)
    return _lowest_curvature(box, x, grad, slots) < SADDLE


@kernel(late_bound=True)
def _lowest(vectors):
    """The lowest eigenvalue; that of a parameter that is not free is larger than the others."""
    for j in range(vectors.shape[1]):
        if vectors[IN_BASIS, j] != 0.0:
            return vectors[VALUES, 0]
    return np.inf


@kernel(late_bound=True)
def _decompose(scale, memory, matrix, basis, vectors) -> None:
    """Write Q to basis and the eigenvalues to vectors, over the free parameters, unless they are there.

    A parameter that is not free gets an eigenvalue above all others.
    """
    n, free, in_basis = scale.size, vectors[FREE], vectors[IN_BASIS]
    same = memory[DECOMPOSED] != 0.0
    for j in range(n):
        same = same and free[j] == in_basis[j]
    if same:
        return
    largest = 0.0
    for i in range(n):
        in_basis[i] = free[i]
        total = 0.0
        for j in range(n):
            both = free[i] != 0.0 and free[j] != 0.0
            basis[i, j] = np.float64(matrix[i, j]) / scale[i] / scale[j] if both else 0.0
            total += abs(basis[i, j])
        largest = max(largest, total)
    for i in range(n):
        if free[i] == 0.0:
            basis[i, i] = 2.0 * largest + 1.0
    values, columns = np.linalg.eigh(basis)
    for i in range(n):
        vectors[VALUES, i] = values[i]
        for j in range(n):
            basis[i, j] = columns[i, j]
    memory[DECOMPOSED] = 1.0


@kernel(late_bound=True)
def exact_step(box, x, grad, slots, radius):
    """Write the step to slots[0]: (its length norm(D p), twice the promised gain, whether the radius limits it).

    A step that would cross bounds ends there: the parameters that would leave are fixed at their bounds, and the others
    solved for again.
    """
    step, scale, memory, matrix, basis, vectors, _ = slots
    n, limited, gain, length = x.size, False, 0.0, 0.0
    for sign in (1.0, -1.0):  # of a step along a negative curvature, of which one may lead out of the bounds
        mark_free(box, x, grad, vectors[FREE])
        fill(step, 0.0)
        for _ in range(n + 1):
            limited = _solve(grad, step, scale, memory, matrix, basis, vectors, radius, sign)
            if box is None or not stopped_at_bounds(box, x, step, vectors[FREE]):
                break
        gain, length = 0.0, 0.0
        for i in range(n):
            curved = 0.0
            for j in range(n):
                if step[i] != 0.0 and step[j] != 0.0:
                    curved += np.float64(matrix[i, j]) * step[j]
            gain -= (2.0 * grad[i] + curved) * step[i]
            length += (scale[i] * step[i]) ** 2
        if box is None or gain > 0.0:
            break
    return math.sqrt(length), gain, limited


@kernel(late_bound=True)
def _solve(grad, step, scale, memory, matrix, basis, vectors, radius, sign):
    """Solve for the free elements of the step; whether the radius limits it. The others are read."""
    n = scale.size
    free, values, parts, right = vectors[FREE], vectors[VALUES], vectors[PARTS], vectors[RIGHT]
    _decompose(scale, memory, matrix, basis, vectors)
    fixed = 0.0
    for i in range(n):
        right[i] = 0.0
        if free[i] == 0.0:
            fixed += (scale[i] * step[i]) ** 2
        else:
            slope = np.float64(grad[i])
            for j in range(n):
                if free[j] == 0.0 and step[j] != 0.0:
                    slope += np.float64(matrix[i, j]) * step[j]
            right[i] = -slope / scale[i]
    for k in range(n):
        parts[k] = 0.0
        for i in range(n):
            parts[k] += basis[i, k] * right[i]
    room = math.sqrt(max(radius * radius - fixed, (1e-3 * radius) ** 2))
    damping, along, limited = _damping(values, parts, room)
    for k in range(n):
        shifted = values[k] + damping
        vectors[TRIAL, k] = parts[k] / shifted if shifted > 0.0 and parts[k] != 0.0 else 0.0
    if along != 0.0:  # the hard case
        vectors[TRIAL, 0] = sign * along
    for i in range(n):
        if free[i] != 0.0:
            total = 0.0
            for k in range(n):
                total += basis[i, k] * vectors[TRIAL, k]
            step[i] = total / scale[i]
    return limited


@kernel(late_bound=True)
def _damping(values, parts, room):
    """The damping l of a step q[k] = parts[k] / (values[k] + l): (l, its part along values[0] or 0, if it is limited).

    values : float64 array (n,), ascending
    room : the largest length of q
    """
    n, lowest = values.size, values[0]
    least = n * 2.0**-52 * max(abs(lowest), abs(values[n - 1]))
    if lowest >= -least:
        length = _length(values, parts, 0.0, least)
        if length <= room:
            return 0.0, 0.0, False
    low = max(0.0, -lowest)
    total = 0.0
    for k in range(n):
        total += parts[k] * parts[k]
    high = low + math.sqrt(total) / room
    rest = _length(values, parts, low, least)
    if rest < room and lowest < -least:
        return low, math.copysign(math.sqrt(room * room - rest * rest), parts[0]), True
    damping = max(low + 1e-3 * (high - low), least)
    for _ in range(_PASSES):
        squares, cubes = 0.0, 0.0
        for k in range(n):
            shifted = values[k] + damping
            q = parts[k] / shifted
            squares += q * q
            cubes += q * q / shifted
        length = math.sqrt(squares)
        if abs(length - room) <= _NEAR * room or high - low <= 1e-15 * high:
            break
        if length > room:
            low = max(low, damping)
        else:
            high = min(high, damping)
        damping += squares / cubes * (length - room) / room
        if not low < damping < high:
            damping = max(math.sqrt(low * high), low + 1e-3 * (high - low))
    return damping, 0.0, True


@kernel(inline=True)
def _length(values, parts, damping, least):
    """The length of q over the elements that the damping leaves regular; infinite if another one is not 0."""
    total, size = 0.0, 0.0
    for k in range(values.size):
        size = max(size, abs(parts[k]))
    for k in range(values.size):
        shifted = values[k] + damping
        if shifted > least:
            total += (parts[k] / shifted) ** 2
        elif abs(parts[k]) > 1e-14 * size:
            return np.inf
    return math.sqrt(total)


@kernel(late_bound=True)
def _settled(box, x, grad, slots, tests, fun, limited):
    """Whether the step without a radius would gain next to nothing; a negative curvature counts as none."""
    _, scale, _, matrix, basis, vectors, _ = slots
    if matrix.size == 0:
        return not limited
    _lowest_curvature(box, x, grad, slots)  # makes the basis
    values, free = vectors[VALUES], vectors[FREE]
    n, gain = x.size, 0.0
    least = n * 2.0**-52 * abs(values[n - 1])
    for k in range(n):
        part = 0.0
        for i in range(n):
            if free[i] != 0.0:
                part += basis[i, k] * np.float64(grad[i]) / scale[i]
        if part != 0.0:
            gain += part * part / max(values[k], least)
    return negligible(tests, 0.5 * gain / _LEFT, fun, fun)


TRUST_REGION = Loop(
    kernel=follow,
    requires=(),
    ftol=0.0,
    max_iter=15_000,
    evaluates=hessian,
    takes_bounds=True,
    non_finite=(
        "wherever update {update} looked, or its second derivatives did there; x is the last finite iterate. The"
        " objective may be unbounded below, or x0 far from where it is defined"
    ),
)
