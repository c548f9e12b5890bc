"""The loop for sums of squares: steps of Gauss and Newton within a trust radius.

    H = J'J, g = J'r              from `protocol.gauss_newton`; losses put weights in both
    (H + l D^2) p = -g            the step; l = 0 if norm(D p) <= radius, else l such that it is the radius
    D                             running maxima of the column norms of J

The radius follows the ratio of what a step gains to what the model promised. J. More, The Levenberg-Marquardt
algorithm: implementation and theory, Lecture Notes in Mathematics 630 (1978). Within bounds, parameters that a bound
holds are left out, and a step that would cross bounds ends at them.

The tests are scale-free: GTOL looks at the angles between the residual and the columns of J, FTOL at relative
reductions, XTOL at the radius relative to norm(D x). A stop is a success only if the undamped step would gain nothing
more, either, so a radius that a kink or a wall has shrunk is none. After it, undamped steps follow as long as they
shorten the part of the residual within the range of J, norm(Q'r) for J = Q R, which shows gains that the sum of squares
hides by rounding.
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import borrowed, kernel, portable
from gradopt._core.protocol import gauss_newton, note_iterate
from gradopt._core.status import Status
from gradopt._loops.recording import note_lowest, write_row
from gradopt._loops.types import RUNNING, Loop
from gradopt._numerics.bounds import held, inside, stopped_at_bounds
from gradopt._numerics.cholesky import factor, solve_lower, solve_upper
from gradopt._numerics.vectors import copy, norm

_GTOL, _FTOL, _XTOL, _TARGET = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL), int(Status.TARGET)
_MAX_NFEV, _LINE_SEARCH, _NON_FINITE = int(Status.MAX_NFEV), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

_TRIES = 100  # of shorter and shorter steps in an update
_PASSES = 30  # of Newton's method for the damping
NEAR = 0.1  # how near the length of a step must be to the radius
_ACCEPTED, _POOR, _GOOD = 1e-4, 0.25, 0.75  # ratios of gain and promise
_SHRINKS = 0.81  # the squared factor by which a step of the polish must shorten norm(Q'r)
_ROUNDING = 1e-9  # the relative growth of the sum of squares that rounding may cause meanwhile
_TINY = 1e-15  # the least damping of a singular matrix, relative to its largest element
_LEFT = 100.0  # how many tolerances the undamped step may still promise after a success


@kernel
def fit(problem, method, steering, arrays, progress, tests, record, iterates):
    """Run the descent for `iterates` iterates, the start included, or until a test stops it.

    The arguments are those of `first_order.iterate`; of steering only the box is used. The rate is the radius.
    """
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    box, x, grad, new_x, best_x = borrowed(steering.box), arrays.x, arrays.grad, arrays.new_x, arrays.best_x
    scale, memory, moments, new_moments, matrix, vectors = borrowed(arrays.slots)
    nit, memory_starts_at, nfev, fun, best_fun, radius = progress
    best_is_x, status, n, size = False, RUNNING, x.size, 0.0
    starts = nfev == 0
    if starts:
        copy(new_x, x)
        new_fun = np.float64(gauss_newton(problem, new_moments, work, new_x))
        nfev += 1
    radius = memory[0]

    for row in range(iterates):
        moved = row > 0 or not starts
        gained, promised, length, limited = 0.0, 0.0, 0.0, False
        tries, accepted = 0, not moved
        while not accepted:
            length, promised, limited = trust_step(box, x, scale, moments, matrix, vectors, radius)
            for j in range(n):
                new_x[j] = inside(box, j, x[j] + vectors[0, j])
            if nfev >= tests.max_nfev:
                status = _MAX_NFEV
                break
            new_fun = np.float64(gauss_newton(problem, new_moments, work, new_x))
            nfev += 1
            tries += 1
            size = moments[-1]
            sound = abs(new_fun) < np.inf and all_finite(new_moments)
            gained, accepted, radius = assess(fun, new_fun, sound, promised, length, limited, radius)
            if not accepted:
                reach = scaled_length(scale, x)
                status = after_rejection(tests, size, gained, promised, length, radius, reach, sound, nit, tries)
                if status != RUNNING:
                    break
        if not accepted:
            if status in (_FTOL, _XTOL):
                status = verified(box, x, scale, moments, matrix, vectors, tests, status)
            if status in (_FTOL, _XTOL):
                fun, nfev = _polish(problem, method, box, work, arrays, tests, fun, nfev)
                if best_is_x or fun < best_fun:
                    best_fun, best_is_x = fun, True
            break

        best_fun, best_is_x = note_lowest(best_x, best_fun, best_is_x, x, new_fun)
        copy(x, new_x)
        copy(moments, new_moments)
        fun = new_fun
        copy(grad, moments[:n])
        note_iterate(problem, work, x)
        nit += moved
        if not moved:
            radius = first_radius(method, nit, memory, scale, moments, x)
        for j in range(n):
            if not method.has_scale:
                scale[j] = max(scale[j], math.sqrt(max(diagonal(moments, n, j), 0.0)))
        if not (abs(fun) < np.inf and all_finite(moments)):
            status = _NON_FINITE
        elif fun <= tests.target:
            status = _TARGET
        elif aligned(box, x, moments) <= tests.gtol:
            status = _GTOL
        elif moved:
            status = after_step(tests, size, gained, promised, radius, scaled_length(scale, x))
            if status != RUNNING and verified(box, x, scale, moments, matrix, vectors, tests, status) != status:
                status = RUNNING
        memory[0] = radius
        if status in (_GTOL, _FTOL, _XTOL):
            fun, nfev = _polish(problem, method, box, work, arrays, tests, fun, nfev)
            if best_is_x or fun < best_fun:
                best_fun, best_is_x = fun, True
        write_row(record, row, fun, radius, norm(None, grad), x)
        if status != RUNNING or nfev >= tests.pause_at:
            break

    memory[0] = radius
    if best_is_x:
        copy(best_x, x)
    return status, nit, memory_starts_at, nfev, fun, best_fun, radius


@kernel(inline=True)
def assess(fun, new_fun, sound, promised, length, limited, radius):
    """What a trial is worth: (its gain in 2 f, whether it is accepted, the next radius).

    sound : whether everything there is finite
    promised, length, limited : as `trust_step` returned them
    """
    gained = 2.0 * (fun - new_fun) if sound else -np.inf
    ratio = gained / promised if promised > 0.0 else 0.0
    if not ratio >= _POOR:
        radius = 0.25 * length
    elif ratio > _GOOD and limited:
        radius *= 2.0
    return gained, ratio >= _ACCEPTED, radius


@kernel(inline=True)
def after_rejection(tests, size, gained, promised, length, radius, reach, sound, nit, tries):
    """The status after trial number `tries` of an update was rejected.

    size : the weighted squares
    length, promised : as `trust_step` returned them
    reach : norm(D x)
    """
    little = tests.ftol * size
    if abs(gained) <= little and promised <= little:
        return _FTOL
    if nit > 0 and radius <= tests.xtol * reach:
        return _XTOL
    if not length > 0.0 or tries >= _TRIES:
        return _LINE_SEARCH if sound else _NON_FINITE
    return RUNNING


@kernel(inline=True)
def after_step(tests, size, gained, promised, radius, reach):
    """The status after an update; size : the weighted squares before it; reach : norm(D x)."""
    little = tests.ftol * size
    if abs(gained) <= little and promised <= little and gained <= 2.0 * promised:
        return _FTOL
    return _XTOL if radius <= tests.xtol * reach else RUNNING


@kernel(inline=True)
def diagonal(moments, n, j):
    """H[j, j]."""
    return moments[n + j * (j + 1) // 2 + j]


@kernel(late_bound=True)
def all_finite(v):
    total = 0.0
    for j in range(v.size):
        total += abs(np.float64(v[j]))
    return total < np.inf


@kernel(late_bound=True)
def scaled_length(scale, x):
    """norm(D x)."""
    total = 0.0
    for j in range(x.size):
        total += (np.float64(scale[j]) * np.float64(x[j])) ** 2
    return math.sqrt(total)


@kernel(late_bound=True)
def first_radius(method, nit, memory, scale, moments, x):
    """The radius at the start of a run; also sets D there. A run that goes on keeps both."""
    if nit > 0 and memory[0] > 0.0:
        return memory[0]
    n = x.size
    for j in range(n):
        column = math.sqrt(max(diagonal(moments, n, j), 0.0))
        if not method.has_scale:
            scale[j] = column if column > 0.0 else 1.0
    length = scaled_length(scale, x)
    return method.radius * (length if length > 0.0 else 1.0)


@kernel(late_bound=True)
def aligned(box, x, moments):
    """The largest cosine of the angle between the residual and a column of J that no bound holds."""
    n = x.size
    size, largest = math.sqrt(max(moments[-1], 0.0)), 0.0
    for j in range(n):
        slope, column = abs(np.float64(moments[j])), math.sqrt(max(diagonal(moments, n, j), 0.0))
        if slope > 0.0 and not held(box, j, x[j], moments[j]):
            largest = max(largest, slope / (column * size) if column * size > 0.0 else np.inf)
    return largest


@kernel(late_bound=True)
def trust_step(box, x, scale, moments, matrix, vectors, radius):
    """Write a step to vectors[0]: (its length norm(D p), the promised gain of 2 f, whether the radius limits it).

    A step that would cross bounds ends there: the parameters that would leave are fixed at their bounds, and the others
    solved for again.

    box : Box or None
    x, scale : float arrays (n,), read
    moments : as in `protocol.gauss_newton`, read
    matrix : float array (n, n), written
    vectors : float array (5, n), written: the step, what is free, the right-hand side, and two that are spare
    radius : 0 for the step without a radius
    """
    n, limited = x.size, False
    step, free = vectors[0], vectors[1]
    for j in range(n):
        free[j] = 0.0 if held(box, j, x[j], moments[j]) else 1.0
        step[j] = 0.0
    for _ in range(n + 1):
        limited = _solve(scale, moments, matrix, vectors, radius)
        if box is None or not stopped_at_bounds(box, x, step, free):
            break
    gain, length = 0.0, 0.0
    at = n
    for i in range(n):
        length += (scale[i] * step[i]) ** 2
        gain -= 2.0 * moments[i] * step[i]
        for j in range(i + 1):
            gain -= (1.0 if i == j else 2.0) * moments[at] * step[i] * step[j]
            at += 1
    return math.sqrt(length), gain, limited


@kernel(late_bound=True)
def _solve(scale, moments, matrix, vectors, radius):
    """Solve for the free elements of the step, in the variables D p; whether the radius limits it.

    The arrays are those of `trust_step`; the elements of the step that are not free are read.
    """
    n = scale.size
    step, free, right, trial, spare = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    fixed = 0.0
    for i in range(n):
        right[i] = -moments[i]
        if free[i] == 0.0:
            fixed += (scale[i] * step[i]) ** 2
    at = n
    for i in range(n):
        for j in range(i + 1):
            if free[i] == 0.0 or free[j] == 0.0:
                right[i] -= moments[at] * step[j] if free[j] == 0.0 else 0.0
                if i != j:
                    right[j] -= moments[at] * step[i] if free[i] == 0.0 else 0.0
            at += 1
    size = 0.0
    for i in range(n):
        right[i] = right[i] / scale[i] if free[i] != 0.0 and scale[i] > 0.0 else 0.0
        size += right[i] * right[i]
    room = math.sqrt(max(radius * radius - fixed, (1e-3 * radius) ** 2))
    size = math.sqrt(size)
    damping, low, high = 0.0, 0.0, size / room if room > 0.0 else 0.0
    limited, singular, largest = False, False, 0.0
    for i in range(n):
        if scale[i] > 0.0:
            largest = max(largest, diagonal(moments, n, i) / scale[i] / scale[i])
    least = n * _TINY * (largest if largest > 0.0 else 1.0)
    for turn in range(_PASSES):
        while not _damped(scale, moments, matrix, free, damping):
            low, singular = max(low, damping), True
            damping = max(10.0 * damping, least)
        for i in range(n):
            trial[i] = right[i]
        solve_lower(matrix, trial)
        solve_upper(matrix, trial)
        length = norm(None, trial)
        if room == 0.0 or (length <= room and (damping == 0.0 or (singular and turn == 0))):
            break
        limited = True
        gap = length - room
        if abs(gap) <= NEAR * room or (turn > 0 and high - low <= 1e-12 * high):
            break
        for i in range(n):
            spare[i] = trial[i] / length
        solve_lower(matrix, spare)
        slope = 0.0
        for i in range(n):
            slope += spare[i] * spare[i]
        newton = gap / room / slope if slope > 0.0 else 0.0
        if gap < 0.0:
            high = min(high, damping)
        else:
            low = max(low, damping)
        damping += newton
        if not low < damping < high:
            damping = max(1e-3 * high, math.sqrt(low * high))
    for i in range(n):
        if free[i] != 0.0:
            step[i] = trial[i] / scale[i] if scale[i] > 0.0 else 0.0
    return limited


@kernel(inline=True)
def _damped(scale, moments, matrix, free, damping):
    """Factor D^-1 H D^-1 + l I, with unit rows for what is not free; whether it is positive definite."""
    n = scale.size
    at = n
    for i in range(n):
        for j in range(i + 1):
            both = free[i] != 0.0 and free[j] != 0.0 and scale[i] > 0.0 and scale[j] > 0.0
            matrix[i, j] = moments[at] / scale[i] / scale[j] if both else 0.0
            at += 1
        matrix[i, i] = matrix[i, i] + damping if free[i] != 0.0 and scale[i] > 0.0 else 1.0
    return factor(matrix)


@kernel(late_bound=True)
def verified(box, x, scale, moments, matrix, vectors, tests, status):
    """The status, or LINE_SEARCH where the radius is to blame for it.

    It is not if the undamped step promises little more, or is short, or the residual is all but orthogonal to J: where
    residuals are large and J is near singular, that step promises what it can't keep.
    """
    if aligned(box, x, moments) <= math.sqrt(tests.gtol):
        return status
    length, promised, _ = trust_step(box, x, scale, moments, matrix, vectors, 0.0)
    if promised <= _LEFT * tests.ftol * moments[-1] or length <= _LEFT * tests.xtol * scaled_length(scale, x):
        return status
    return _LINE_SEARCH


@portable
def _polish(problem, method, box, work, arrays, tests, fun, nfev):
    """Take undamped steps while they shorten norm(Q'r), and keep the best point: (fun, nfev)."""
    x, grad, new_x, n = arrays.x, arrays.grad, arrays.new_x, arrays.x.size
    scale, _, moments, new_moments, matrix, vectors = arrays.slots
    lowest = fun
    best = within_range(box, x, scale, moments, matrix, vectors)
    for _ in range(method.polish):
        if not 0.0 < best < np.inf or nfev >= tests.max_nfev:
            break
        for j in range(n):
            new_x[j] = x[j] + vectors[0, j]
            if new_x[j] != inside(box, j, new_x[j]):
                return fun, nfev
        new_fun = np.float64(gauss_newton(problem, new_moments, work, new_x))
        nfev += 1
        sound = abs(new_fun) < np.inf and all_finite(new_moments)
        size = polished(box, lowest, new_fun, sound, best, new_x, scale, moments, new_moments, matrix, vectors)
        if not size < np.inf:
            break
        best, fun = size, new_fun
        copy(x, new_x)
        copy(moments, new_moments)
        copy(grad, moments[:n])
    return fun, nfev


@kernel(inline=True)
def polished(box, lowest, new_fun, sound, best, new_x, scale, moments, new_moments, matrix, vectors):
    """norm(Q'r)^2 after a step of the polish, and the next step in `vectors`; infinite if the step is not worth it.

    lowest : the objective before the polish
    best : norm(Q'r)^2 before the step
    """
    if not sound or new_fun > lowest + _ROUNDING * abs(moments[-1]):
        return np.inf
    size = within_range(box, new_x, scale, new_moments, matrix, vectors)
    return size if size < _SHRINKS * best else np.inf


@kernel(late_bound=True)
def within_range(box, x, scale, moments, matrix, vectors):
    """norm(Q'r)^2 for J = Q R over the free parameters, infinite if R is singular; writes the step to vectors[0]."""
    n = x.size
    step, free, right, trial = vectors[0], vectors[1], vectors[2], vectors[3]
    for j in range(n):
        free[j] = 0.0 if held(box, j, x[j], moments[j]) else 1.0
        right[j] = -moments[j] / scale[j] if free[j] != 0.0 and scale[j] > 0.0 else 0.0
        trial[j] = right[j]
    if not _damped(scale, moments, matrix, free, 0.0):
        return np.inf
    solve_lower(matrix, trial)
    size = 0.0
    for j in range(n):
        size += trial[j] * trial[j]
    solve_upper(matrix, trial)
    for j in range(n):
        step[j] = trial[j] / scale[j] if free[j] != 0.0 and scale[j] > 0.0 else 0.0
    return size


LEAST_SQUARES = Loop(
    kernel=fit,
    requires=(),
    gtol=1e-8,
    ftol=1e-8,
    xtol=1e-8,
    evaluates=gauss_newton,
    takes_bounds=True,
    non_finite=(
        "wherever update {update} looked; x is the last finite iterate. x0 may be far from where the residuals are"
        " defined"
    ),
)
