"""Many fits side by side, each by the steps of `least_squares.fit`.

One run of a tape evaluates a trial point in each lane. Then each lane judges its trial and makes the next; one that is
done stores its fit and takes the next that waits. What most lanes need is computed for all of them at once, in vector
registers: the judgement of trials, and steps that no radius and no bound limits. The rest goes lane by lane.

Nothing in a lane depends on the others, nor on which lane a fit is in. Arrays (..., lanes) are vectors in C order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import borrowed, kernel, slice_of
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._loops.least_squares import (
    NEAR,
    after_rejection,
    after_step,
    assess,
    polished,
    trust_step,
    verified,
    within_range,
)
from gradopt._loops.types import RUNNING
from gradopt._numerics.bounds import Box, inside
from gradopt._numerics.cholesky import factor_in_lanes, row_of, solve_lower_in_lanes, solve_upper_in_lanes

_GTOL, _FTOL, _XTOL = int(Status.GTOL), int(Status.FTOL), int(Status.XTOL)
_MAX_ITER, _LINE_SEARCH, _NON_FINITE = int(Status.MAX_ITER), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

# Turns of Newton's method for the damping that all lanes take together.
_TURNS = 6

# What a lane waits for: nothing, or the value of its start, of a trial, of a step of its polish.
_IDLE, _START, _TRIAL, _POLISH = 0, 1, 2, 3


class Fits(NamedTuple):
    """The fits of a block, one in each row. Floats have the dtype of the tape."""

    inputs: NDArray[Any]  # (fits, N) what the tape takes as x, the free parameters (n) first
    low: NDArray[Any]  # (fits, n) the bounds
    high: NDArray[Any]  # (fits, n)
    x: NDArray[Any]  # (fits, n) written: the last accepted iterates
    cost: NDArray[np.float64]  # (fits,) written
    status: NDArray[np.int8]  # (fits,) fits with RUNNING are run; written
    nit: NDArray[np.int32]  # (fits,) written
    nfev: NDArray[np.int32]  # (fits,) written


class Lanes(NamedTuple):
    """The state of all lanes. With K the number of moments, floats have the dtype of the tape but where it is said."""

    fit: NDArray[np.int64]  # (lanes,) the fit of each
    waits_for: NDArray[np.int64]  # (lanes,)
    nit: NDArray[np.int64]  # (lanes,)
    nfev: NDArray[np.int64]  # (lanes,)
    tries: NDArray[np.int64]  # (lanes,) trials of this update; steps of the polish
    reason: NDArray[np.int64]  # (lanes,) the status before the polish
    accepted: NDArray[np.bool_]  # (lanes,) whether the last trial was
    sound: NDArray[np.bool_]  # (lanes,) whether everything there was finite
    limited: NDArray[np.bool_]  # (lanes,) whether the radius limits the step
    definite: NDArray[np.bool_]  # (lanes,) whether the damped equations are positive definite
    ready: NDArray[np.bool_]  # (lanes,) whether the next step is made
    fun: NDArray[np.float64]  # (lanes,) the objective
    radius: NDArray[np.float64]  # (lanes,)
    length: NDArray[np.float64]  # (lanes,) of the step
    promised: NDArray[np.float64]  # (lanes,) its gain in 2 f, as promised
    gained: NDArray[np.float64]  # (lanes,) and as it was
    squares: NDArray[np.float64]  # (lanes,) the weighted squares before it
    reach: NDArray[np.float64]  # (lanes,) norm(D x)
    cosine: NDArray[np.float64]  # (lanes,) the largest, of the residual and a column of J
    lowest: NDArray[np.float64]  # (lanes,) the objective before the polish
    best: NDArray[np.float64]  # (lanes,) norm(Q'r)^2 in the polish
    below: NDArray[np.float64]  # (lanes,) what the damping is known to be above
    above: NDArray[np.float64]  # (lanes,) and below
    damping: NDArray[Any]  # (lanes,) of the step
    x: NDArray[Any]  # (n, lanes) the iterates
    low: NDArray[Any]  # (n, lanes)
    high: NDArray[Any]  # (n, lanes)
    scale: NDArray[Any]  # (n, lanes) D
    free: NDArray[Any]  # (n, lanes) 0 for parameters that a bound holds, else 1
    moments: NDArray[Any]  # (K, lanes) as in `protocol.gauss_newton`
    equations: NDArray[Any]  # (n, n, lanes) D^-1 H D^-1
    factors: NDArray[Any]  # (n, n, lanes) Cholesky's factors of it, damped
    steps: NDArray[Any]  # (n, lanes)
    right: NDArray[Any]  # (n, lanes) the right-hand sides
    one: One


class One(NamedTuple):
    """What lanes need by themselves, one after the other."""

    x: NDArray[Any]  # (n,)
    new_x: NDArray[Any]  # (n,)
    low: NDArray[Any]  # (n,)
    high: NDArray[Any]  # (n,)
    scale: NDArray[Any]  # (n,)
    moments: NDArray[Any]  # (K,)
    new_moments: NDArray[Any]  # (K,)
    matrix: NDArray[Any]  # (n, n)
    vectors: NDArray[Any]  # (5, n)


def new_lanes(lanes: int, n: int, dtype: Any) -> Lanes:
    """Lanes without fits."""
    size = n + n * (n + 1) // 2 + 1
    one = One(*[np.zeros(length, dtype) for length in (n, n, n, n, n, size, size, (n, n), (5, n))])
    arrays: list[Any] = [
        *[np.zeros(lanes, np.int64) for _ in range(6)],
        *[np.zeros(lanes, bool) for _ in range(5)],
        *[np.zeros(lanes) for _ in range(12)],
        *[np.zeros(length * lanes, dtype) for length in (1, n, n, n, n, n, size, n * n, n * n, n, n)],
        one,
    ]
    return Lanes(*arrays)


@kernel
def fit_many(problem, method, tests, max_iter, fits, lanes, work, out, trials):
    """Fit all.

    problem : the lowered tape; it writes the objective and the moments of each lane
    method : lowered `LevenbergMarquardt`
    tests : StopTests
    fits : Fits
    lanes : Lanes
    work : the workspace of the tape
    out : float array (1 + K, lanes), written by the tape: objectives, then moments
    trials : float array (N, lanes), written: the inputs of each lane
    """
    fits, lanes, work, out, trials = borrowed(fits), borrowed(lanes), borrowed(work), borrowed(out), borrowed(trials)
    waiting, running = 0, 0
    for lane in range(lanes.fit.size):
        waiting = _take(fits, lanes, lane, waiting, trials)
        running += lanes.waits_for[lane] != _IDLE
    while running > 0:
        value_and_grad(problem, out, work, trials)
        _judge(lanes, out, trials)
        waiting, running = _settle(method, tests, max_iter, fits, lanes, waiting, out, trials)
        _make_steps(lanes, trials)
        _make_limited_steps(lanes, trials)


# A call passes all arrays of the lanes, which takes longer than what is done for one lane.


@kernel(late_bound=True)
def _settle(method, tests, max_iter, fits, lanes, waiting, out, trials):
    """Store the fits that are done, and take others; returns the number of the next that waits, and of those taken."""
    fits, lanes, out, trials = borrowed(fits), borrowed(lanes), borrowed(out), borrowed(trials)
    running = 0
    for lane in range(lanes.fit.size):
        if lanes.waits_for[lane] != _IDLE:
            status = _status(method, tests, max_iter, lanes, lane, out, trials)
            if status != RUNNING:
                _store(fits, lanes, lane, status)
                waiting = _take(fits, lanes, lane, waiting, trials)
            running += lanes.waits_for[lane] != _IDLE
    return waiting, running


@kernel(inline=True)
def _take(fits, lanes, lane, waiting, trials):
    """Give a lane the next fit that is to be run, if there is one; returns the number of the one after it."""
    count, width, n = lanes.fit.size, fits.inputs.shape[1], fits.x.shape[1]
    lanes.waits_for[lane] = _IDLE
    while waiting < fits.status.size and lanes.waits_for[lane] == _IDLE:
        if fits.status[waiting] == RUNNING:
            lanes.fit[lane], lanes.waits_for[lane] = waiting, _START
            lanes.nit[lane], lanes.nfev[lane], lanes.tries[lane] = 0, 0, 0
            for i in range(width):
                trials[i * count + lane] = fits.inputs[waiting, i]
            for j in range(n):
                at = j * count + lane
                lanes.low[at], lanes.high[at], lanes.scale[at] = fits.low[waiting, j], fits.high[waiting, j], 0.0
        waiting += 1
    return waiting


@kernel(inline=True)
def _store(fits, lanes, lane, status):
    """Store a fit that is done."""
    fit, count = lanes.fit[lane], lanes.fit.size
    fits.status[fit], fits.cost[fit] = status, lanes.fun[lane]
    fits.nit[fit], fits.nfev[fit] = lanes.nit[lane], lanes.nfev[lane]
    for j in range(fits.x.shape[1]):
        fits.x[fit, j] = lanes.x[j * count + lane]


@kernel(late_bound=True)
def _judge(lanes, out, trials) -> None:
    """Judge the trials of all lanes, and move to those that are accepted."""
    lanes, out, trials = borrowed(lanes), borrowed(out), borrowed(trials)
    count = lanes.fit.size
    size = lanes.moments.size // count
    total = lanes.cosine  # for now
    for k in range(count):
        total[k] = abs(np.float64(out[k]))
    for i in range(1, size + 1):
        for k in range(count):
            total[k] += abs(np.float64(out[i * count + k]))
    for k in range(count):
        sound = total[k] < np.inf
        new_fun, waits_for = np.float64(out[k]), lanes.waits_for[k]
        gained, accepted, radius = assess(
            lanes.fun[k], new_fun, sound, lanes.promised[k], lanes.length[k], lanes.limited[k], lanes.radius[k]
        )
        accepted = waits_for == _START or (waits_for == _TRIAL and accepted)
        lanes.sound[k], lanes.accepted[k], lanes.gained[k] = sound, accepted, gained
        lanes.radius[k] = radius
        lanes.squares[k] = lanes.moments[(size - 1) * count + k]
        lanes.fun[k] = new_fun if accepted else lanes.fun[k]
    _select(lanes.x, trials, lanes.accepted)
    _select(lanes.moments, slice_of(out, count, size * count), lanes.accepted)
    _update_scales(lanes)
    _find_what_is_free(lanes)


# Loops over lanes use few arrays each: LLVM checks whether they overlap, and gives up where there are many.


@kernel(late_bound=True)
def _update_scales(lanes) -> None:
    """Update D and norm(D x); D is 0 in lanes that have just started."""
    lanes = borrowed(lanes)
    count = lanes.fit.size
    n, zero, one = lanes.x.size // count, lanes.x.dtype.type(0.0), lanes.x.dtype.type(1.0)
    for k in range(count):
        lanes.reach[k] = 0.0
    for j in range(n):
        diagonal, scale = row_of(lanes.moments, n + j * (j + 1) // 2 + j, count), row_of(lanes.scale, j, count)
        x, reach = row_of(lanes.x, j, count), lanes.reach
        for k in range(count):
            column = np.sqrt(diagonal[k]) if diagonal[k] > zero else zero
            larger = column if column > scale[k] else scale[k]
            scale[k] = larger if larger > zero else one
        for k in range(count):
            reach[k] += (np.float64(scale[k]) * np.float64(x[k])) ** 2
    for k in range(count):
        lanes.reach[k] = np.sqrt(lanes.reach[k])


@kernel(late_bound=True)
def _find_what_is_free(lanes) -> None:
    """Find the parameters that no bound holds, and the largest cosine between the residual and their columns of J."""
    lanes = borrowed(lanes)
    count = lanes.fit.size
    n, zero, one = lanes.x.size // count, lanes.x.dtype.type(0.0), lanes.x.dtype.type(1.0)
    size, cosine = lanes.above, lanes.cosine  # the first is spare for now
    squares = row_of(lanes.moments, lanes.moments.size // count - 1, count)
    for k in range(count):
        size[k] = np.sqrt(np.float64(squares[k])) if squares[k] > zero else 0.0
        cosine[k] = 0.0
    for j in range(n):
        x, slopes, free = row_of(lanes.x, j, count), row_of(lanes.moments, j, count), row_of(lanes.free, j, count)
        low, high = row_of(lanes.low, j, count), row_of(lanes.high, j, count)
        for k in range(count):
            held = (low[k] == high[k]) | ((x[k] <= low[k]) & (slopes[k] > zero))
            free[k] = zero if held | ((x[k] >= high[k]) & (slopes[k] < zero)) else one
        diagonal, steepest = row_of(lanes.moments, n + j * (j + 1) // 2 + j, count), row_of(lanes.steps, j, count)
        for k in range(count):
            column = np.sqrt(diagonal[k]) if diagonal[k] > zero else zero
            steepest[k] = abs(slopes[k]) / column if abs(slopes[k]) > zero else zero
        for k in range(count):
            angle = np.float64(steepest[k]) / size[k] if steepest[k] > zero else 0.0
            angle = angle if free[k] > zero else 0.0
            cosine[k] = angle if angle > cosine[k] else cosine[k]


@kernel(inline=True)
def _select(old, new, chosen):
    """Replace rows of `old`, (any, lanes), by those of `new` in the chosen lanes."""
    count = chosen.size
    for i in range(old.size // count):
        row, others = row_of(old, i, count), row_of(new, i, count)
        for k in range(count):
            row[k] = others[k] if chosen[k] else row[k]


@kernel(inline=True)
def _status(method, tests, max_iter, lanes, lane, out, trials):
    """The status of a lane whose trial has been judged; it may begin, or go on with, its polish."""
    lanes.nfev[lane] += 1
    if lanes.waits_for[lane] == _POLISH:
        return _polish(method, lanes, lane, out, trials)
    status, accepted, sound = RUNNING, lanes.accepted[lane], lanes.sound[lane]
    if lanes.waits_for[lane] == _START:
        lanes.radius[lane] = method.radius * (lanes.reach[lane] if lanes.reach[lane] > 0.0 else 1.0)
    promised, radius, squares = lanes.promised[lane], lanes.radius[lane], lanes.squares[lane]
    if not accepted:
        lanes.tries[lane] += 1
        gained, length, reach = lanes.gained[lane], lanes.length[lane], lanes.reach[lane]
        nit, tries = lanes.nit[lane], lanes.tries[lane]
        status = after_rejection(tests, squares, gained, promised, length, radius, reach, sound, nit, tries)
        if status in (_FTOL, _XTOL):
            status = _verified(lanes, lane, tests, status)
    else:
        lanes.tries[lane] = 0
        if not sound:
            status = _NON_FINITE
        elif lanes.cosine[lane] <= tests.gtol:
            status = _LINE_SEARCH if _changes_nothing(lanes, lane) else _GTOL
        elif lanes.waits_for[lane] == _TRIAL:
            status = after_step(tests, squares, lanes.gained[lane], promised, radius, lanes.reach[lane])
            if status != RUNNING and _verified(lanes, lane, tests, status) != status:
                status = RUNNING
        lanes.nit[lane] += lanes.waits_for[lane] == _TRIAL
        if status == RUNNING and lanes.nit[lane] >= max_iter:
            status = _MAX_ITER
    if status in (_GTOL, _FTOL, _XTOL) and method.polish > 0:
        lanes.waits_for[lane], lanes.tries[lane], lanes.reason[lane] = _POLISH, 0, status
        box = _gather(lanes, lane)
        one = lanes.one
        lanes.lowest[lane] = lanes.fun[lane]
        lanes.best[lane] = within_range(box, one.x, one.scale, one.moments, one.matrix, one.vectors)
        return _try_polish(method, box, lanes, lane, trials)
    if status == RUNNING:
        lanes.waits_for[lane] = _TRIAL
    return status


@kernel(inline=True)
def _changes_nothing(lanes, lane):
    """Whether no parameter changes the model, which does not fit: a plateau is no minimum."""
    count, size = lanes.fit.size, lanes.moments.size
    n = lanes.x.size // count
    for j in range(n):
        diagonal = lanes.moments[(n + j * (j + 1) // 2 + j) * count + lane]
        if diagonal > 0.0 or lanes.free[j * count + lane] == 0.0:
            return False
    return lanes.moments[size - count + lane] > 0.0


@kernel(inline=True)
def _gather(lanes, lane):
    """Copy the state of a lane to `one`; returns its bounds."""
    one, count = lanes.one, lanes.fit.size
    for j in range(one.x.size):
        at = j * count + lane
        one.x[j], one.scale[j], one.low[j], one.high[j] = lanes.x[at], lanes.scale[at], lanes.low[at], lanes.high[at]
    for i in range(one.moments.size):
        one.moments[i] = lanes.moments[i * count + lane]
    return Box(one.low, one.high, one.x)


@kernel(inline=True)
def _verified(lanes, lane, tests, status):
    one, box = lanes.one, _gather(lanes, lane)
    return verified(box, one.x, one.scale, one.moments, one.matrix, one.vectors, tests, status)


@kernel(late_bound=True)
def _polish(method, lanes, lane, out, trials):
    """Judge a step of the polish, and try the next one; returns the status."""
    lanes, out, trials = borrowed(lanes), borrowed(out), borrowed(trials)
    one, count, new_fun = lanes.one, lanes.fit.size, np.float64(out[lane])
    box = _gather(lanes, lane)
    for j in range(one.x.size):
        one.new_x[j] = trials[j * count + lane]
    for i in range(one.moments.size):
        one.new_moments[i] = out[(1 + i) * count + lane]
    best = polished(
        box,
        lanes.lowest[lane],
        new_fun,
        lanes.sound[lane],
        lanes.best[lane],
        one.new_x,
        one.scale,
        one.moments,
        one.new_moments,
        one.matrix,
        one.vectors,
    )
    if not best < np.inf:
        return lanes.reason[lane]
    lanes.fun[lane], lanes.best[lane] = new_fun, best
    lanes.tries[lane] += 1
    for j in range(one.x.size):
        lanes.x[j * count + lane] = one.x[j] = one.new_x[j]
    for i in range(one.moments.size):
        lanes.moments[i * count + lane] = one.new_moments[i]
    return _try_polish(method, box, lanes, lane, trials)


@kernel(inline=True)
def _try_polish(method, box, lanes, lane, trials):
    """Write the undamped step from `vectors` as a trial; returns the status if there is none."""
    one, count, best = lanes.one, lanes.fit.size, lanes.best[lane]
    status = RUNNING
    if lanes.tries[lane] >= method.polish or not 0.0 < best < np.inf:
        status = lanes.reason[lane]
    else:
        for j in range(one.x.size):
            value = one.x[j] + one.vectors[0, j]
            trials[j * count + lane] = value
            if value != inside(box, j, value):
                status = lanes.reason[lane]
    return status


@kernel(late_bound=True)
def _make_steps(lanes, trials) -> None:
    """Make the steps of all lanes within their radii, as `least_squares.trust_step` does; see `ready`.

    In the variables D p. Parameters that a bound holds do not move. Where the equations are singular, a step would
    cross a bound, or the damping is not found in a few turns, the step is not ready.
    """
    lanes, trials = borrowed(lanes), borrowed(trials)
    count = lanes.fit.size
    n = lanes.x.size // count
    _scaled_equations(lanes)
    for k in range(count):
        lanes.ready[k], lanes.limited[k] = lanes.waits_for[k] != _TRIAL, False
        lanes.damping[k], lanes.below[k] = 0.0, 0.0
    _lengths(lanes.above, lanes.right)
    for k in range(count):
        lanes.above[k] = lanes.above[k] / lanes.radius[k] if lanes.radius[k] > 0.0 else 0.0
    for turn in range(_TURNS):
        factor_in_lanes(lanes.factors, lanes.equations, lanes.damping, lanes.definite)
        for i in range(n * count):
            lanes.steps[i] = lanes.right[i]
        solve_lower_in_lanes(lanes.factors, lanes.steps, count)
        solve_upper_in_lanes(lanes.factors, lanes.steps, count)
        _lengths(lanes.length, lanes.steps)
        pending = 0
        for k in range(count):
            if not lanes.ready[k]:
                gap, room = lanes.length[k] - lanes.radius[k], lanes.radius[k]
                fits = gap <= 0.0 and turn == 0
                near = abs(gap) <= NEAR * room or lanes.above[k] - lanes.below[k] <= 1e-12 * lanes.above[k]
                lanes.ready[k] = lanes.definite[k] and (fits or near)
                lanes.limited[k] = not fits
                pending += not lanes.ready[k] and lanes.definite[k]
        if pending == 0 or turn == _TURNS - 1:
            break
        _next_damping(lanes)
    _keep_steps_within_bounds(lanes)
    _select(slice_of(trials, 0, n * count), lanes.steps, lanes.ready)


@kernel(late_bound=True)
def _scaled_equations(lanes) -> None:
    """Write D^-1 H D^-1 and -D^-1 g, with unit rows for what a bound holds."""
    lanes = borrowed(lanes)
    count = lanes.fit.size
    n, at = lanes.x.size // count, lanes.x.size // count
    one, zero = lanes.x.dtype.type(1.0), lanes.x.dtype.type(0.0)
    for i in range(n):
        slopes, free = row_of(lanes.moments, i, count), row_of(lanes.free, i, count)
        scale, right = row_of(lanes.scale, i, count), row_of(lanes.right, i, count)
        for k in range(count):
            right[k] = -slopes[k] / scale[k] if free[k] > zero else zero
        for j in range(i + 1):
            equation, moments = row_of(lanes.equations, i * n + j, count), row_of(lanes.moments, at, count)
            other, as_free = row_of(lanes.scale, j, count), row_of(lanes.free, j, count)
            for k in range(count):
                equation[k] = moments[k] / scale[k] / other[k]
            unit = one if i == j else zero
            for k in range(count):
                equation[k] = equation[k] if free[k] * as_free[k] > zero else unit
            at += 1


@kernel(late_bound=True)
def _lengths(out, vectors) -> None:
    """Write the lengths of vectors (n, lanes) to out, float64 (lanes,)."""
    count = out.size
    for k in range(count):
        out[k] = 0.0
    for i in range(vectors.size // count):
        v = row_of(vectors, i, count)
        for k in range(count):
            out[k] += np.float64(v[k]) * np.float64(v[k])
    for k in range(count):
        out[k] = np.sqrt(out[k])


@kernel(late_bound=True)
def _next_damping(lanes) -> None:
    """Take a step of Newton's method for the damping where the length is not yet near the radius."""
    lanes = borrowed(lanes)
    count = lanes.fit.size
    real = lanes.x.dtype.type
    for i in range(lanes.x.size // count):
        v = row_of(lanes.steps, i, count)
        for k in range(count):
            v[k] = v[k] / real(lanes.length[k]) if lanes.length[k] > 0.0 else real(0.0)
    solve_lower_in_lanes(lanes.factors, lanes.steps, count)
    _lengths(lanes.gained, lanes.steps)  # the gain is no longer needed
    for k in range(count):
        if not lanes.ready[k]:
            gap, room, slope = lanes.length[k] - lanes.radius[k], lanes.radius[k], lanes.gained[k] ** 2
            low, high, damping = lanes.below[k], lanes.above[k], lanes.damping[k]
            if gap < 0.0:
                high = min(high, damping)
            else:
                low = max(low, damping)
            damping += gap / room / slope if slope > 0.0 else 0.0
            if not low < damping < high:
                damping = max(1e-3 * high, math.sqrt(low * high))
            lanes.below[k], lanes.above[k], lanes.damping[k] = low, high, real(damping)


@kernel(late_bound=True)
def _keep_steps_within_bounds(lanes) -> None:
    """Replace the steps D p by x + p; those beyond bounds, and those that no lane waits for, are not ready.

    Also computes what they promise.
    """
    lanes = borrowed(lanes)
    count = lanes.fit.size
    for k in range(count):
        lanes.ready[k] = lanes.ready[k] and lanes.waits_for[k] == _TRIAL
        if lanes.ready[k]:
            lanes.promised[k] = np.float64(lanes.damping[k]) * lanes.length[k] ** 2
    for i in range(lanes.x.size // count):
        step, right = row_of(lanes.steps, i, count), row_of(lanes.right, i, count)
        x, scale = row_of(lanes.x, i, count), row_of(lanes.scale, i, count)
        for k in range(count):
            gain = np.float64(step[k]) * np.float64(right[k])
            lanes.promised[k] += gain if lanes.ready[k] else 0.0
            step[k] = x[k] + (step[k] / scale[k] if step[k] != 0.0 else step[k])
        low, high = row_of(lanes.low, i, count), row_of(lanes.high, i, count)
        for k in range(count):
            lanes.ready[k] = lanes.ready[k] & (low[k] <= step[k]) & (step[k] <= high[k])


@kernel(late_bound=True)
def _make_limited_steps(lanes, trials) -> None:
    """Make the steps that are not ready."""
    lanes, trials = borrowed(lanes), borrowed(trials)
    for lane in range(lanes.fit.size):
        if lanes.waits_for[lane] == _TRIAL and not lanes.ready[lane]:
            _make_limited_step(lanes, lane, trials)


@kernel(inline=True)
def _make_limited_step(lanes, lane, trials):
    one, count, box = lanes.one, lanes.fit.size, _gather(lanes, lane)
    length, promised, limited = trust_step(
        box, one.x, one.scale, one.moments, one.matrix, one.vectors, lanes.radius[lane]
    )
    lanes.length[lane], lanes.promised[lane], lanes.limited[lane] = length, promised, limited
    for j in range(one.x.size):
        trials[j * count + lane] = inside(box, j, one.x[j] + one.vectors[0, j])
