"""The loop of Nelder and Mead: a simplex of n + 1 points that moves downhill by values alone.

Each update replaces the highest vertex by a point on the line through it and the centroid of the others, or shrinks the
simplex towards the lowest one (J. Nelder and R. Mead, A simplex method for function minimization, The Computer Journal
7, 1965). The factors may depend on n (F. Gao and L. Han, Implementing the Nelder-Mead simplex algorithm with adaptive
parameters, Comput. Optim. Appl. 51, 2012).

A simplex can collapse away from a minimum. So where it has become small, a new one is made around its lowest vertex,
and only if it leads to nothing lower the run ends (C. T. Kelley, Detection and remediation of stagnation in the
Nelder-Mead algorithm, SIAM J. Optim. 10, 1999). Within bounds, points are moved into them.
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import borrowed, kernel, portable
from gradopt._core.protocol import note_iterate, value_and_grad
from gradopt._core.status import Status
from gradopt._loops.recording import write_row
from gradopt._loops.types import RUNNING, Loop
from gradopt._numerics.bounds import inside
from gradopt._numerics.vectors import copy, epsilon, fill

_FTOL, _XTOL, _TARGET = int(Status.FTOL), int(Status.XTOL), int(Status.TARGET)
_MAX_NFEV, _LINE_SEARCH, _NON_FINITE = int(Status.MAX_NFEV), int(Status.LINE_SEARCH), int(Status.NON_FINITE)

_FIRST, _FIRST_AT_ZERO = 0.05, 0.00025  # the edges of the first simplex, relative to x; where x is 0
_AGAIN = 0.1  # the same of later ones, relative to those
_GAIN = 10.0  # how many ftol a new simplex must gain, so that there is another one
_RESTARTS = 100

# What `slots` holds of a run besides arrays.
MADE, LOWEST, RESTARTS, WALLED = 0, 1, 2, 3

# Rows of `points`.
CENTROID, TRIAL, FARTHER = 0, 1, 2


@kernel
def explore(problem, method, steering, arrays, progress, tests, record, iterates):
    """Run the descent for `iterates` iterates, the start included, or until a test stops it.

    The arguments are those of `first_order.iterate`; of steering only the box is used. The rate is the size of the
    simplex, and x its lowest vertex.
    """
    problem, work, record = borrowed(problem), borrowed(arrays.work), borrowed(record)
    box, x, grad, new_grad = borrowed(steering.box), arrays.x, arrays.grad, arrays.new_grad
    simplex, values, points, memory = borrowed(arrays.slots)
    nit, memory_starts_at, nfev, fun, best_fun, size = progress
    status, n = RUNNING, x.size
    starts = nfev == 0
    if starts:
        fun = np.float64(value_and_grad(problem, new_grad, work, x))
        nfev += 1
        fill(grad, np.nan)
        note_iterate(problem, work, x)

    for row in range(iterates):
        if row == 0 and starts:
            if not abs(fun) < np.inf:
                status = _NON_FINITE
            elif nfev + n + 1 > tests.max_nfev:
                status = _MAX_NFEV
            elif memory[MADE] == 0.0:
                nfev = _make_simplex(problem, work, box, x, fun, new_grad, simplex, values, memory, 1.0, nfev)
                memory[LOWEST] = values[0]
            else:
                other = fun != values[0]
                nfev = _evaluate_again(problem, work, box, new_grad, simplex, values, nfev)
                if other:
                    memory[LOWEST], memory[RESTARTS] = values[0], 0.0
        elif nfev + n + 2 > tests.max_nfev:
            status = _MAX_NFEV
            break
        else:
            nfev = _move(problem, method, work, box, new_grad, simplex, values, points, nfev)
            nit += 1
        if status == RUNNING and values[0] == -np.inf:
            status = _NON_FINITE
        if status == RUNNING and not (row == 0 and starts):
            for j in range(n):
                x[j] = simplex[0, j]
            fun = values[0]
            note_iterate(problem, work, x)
        size = _size(simplex)
        if fun <= tests.target and status == RUNNING:
            status = _TARGET
        elif status == RUNNING and nit > 0:
            status = _verdict(tests, simplex, values, size)
            if status != RUNNING and memory[LOWEST] - fun > _GAIN * max(tests.ftol, epsilon(x)) * max(abs(fun), 1.0):
                if memory[RESTARTS] >= _RESTARTS:
                    status = _LINE_SEARCH
                elif nfev + n > tests.max_nfev:
                    status = _MAX_NFEV
                else:
                    memory[LOWEST], memory[RESTARTS] = fun, memory[RESTARTS] + 1.0
                    nfev = _make_simplex(problem, work, box, x, fun, new_grad, simplex, values, memory, _AGAIN, nfev)
                    status = RUNNING
                    fun = values[0]
                    for j in range(n):
                        x[j] = simplex[0, j]
            if status in (_FTOL, _XTOL) and memory[WALLED] != 0.0:
                status = _LINE_SEARCH
        write_row(record, row, fun, size, np.nan, x)
        if status != RUNNING or nfev >= tests.pause_at:
            break

    if fun < best_fun:
        best_fun = fun
        copy(arrays.best_x, x)
    return status, nit, memory_starts_at, nfev, fun, best_fun, size


@portable
def _make_simplex(problem, work, box, x, fun, grad, simplex, values, memory, share, nfev):
    """Write a simplex around x, with edges along the axes; returns the evaluations made so far.

    share : the lengths of the edges, relative to those of the first simplex
    """
    n = x.size
    for i in range(n + 1):
        for j in range(n):
            simplex[i, j] = x[j]
    values[0] = fun
    memory[MADE], memory[WALLED] = 1.0, 0.0
    for j in range(n):
        edge = share * (_FIRST * x[j] if x[j] != 0.0 else _FIRST_AT_ZERO)
        vertex = simplex[j + 1]
        if inside(box, j, x[j] + edge) != x[j] + edge:  # beyond the bound
            edge = -edge
        vertex[j] = inside(box, j, x[j] + edge)
        values[j + 1] = _value(problem, work, grad, vertex)
        if values[j + 1] == np.inf:
            memory[WALLED] = 1.0
    _sort(simplex, values)
    return nfev + n


@portable
def _evaluate_again(problem, work, box, grad, simplex, values, nfev):
    """Take up the simplex of an earlier run, whose bounds or objective may have been other ones.

    Returns the evaluations made so far.
    """
    n = values.size - 1
    for i in range(n + 1):
        vertex = simplex[i]
        for j in range(n):
            vertex[j] = inside(box, j, vertex[j])
        values[i] = _value(problem, work, grad, vertex)
    _sort(simplex, values)
    return nfev + n + 1


@portable
def _value(problem, work, grad, point):
    """The objective; infinite where it is NaN."""
    value = np.float64(value_and_grad(problem, grad, work, point))
    return value if value < np.inf else np.inf


@portable
def _move(problem, method, work, box, grad, simplex, values, points, nfev):
    """Replace the highest vertex, or shrink the simplex; returns the evaluations made so far."""
    n = values.size - 1
    expansion, contraction, shrinkage = 2.0, 0.5, 0.5
    if method.adaptive and n > 1:
        expansion, contraction, shrinkage = 1.0 + 2.0 / n, 0.75 - 0.5 / n, 1.0 - 1.0 / n
    centroid, trial, farther = points[CENTROID], points[TRIAL], points[FARTHER]
    highest = simplex[n]
    for j in range(n):
        total = 0.0
        for i in range(n):
            total += np.float64(simplex[i, j])
        centroid[j] = total / n
    _point(box, trial, centroid, highest, 1.0)
    value = _value(problem, work, grad, trial)
    nfev += 1
    if value < values[0]:
        _point(box, farther, centroid, highest, expansion)
        beyond = _value(problem, work, grad, farther)
        nfev += 1
        if beyond < value:
            _replace(simplex, values, farther, beyond)
        else:
            _replace(simplex, values, trial, value)
        return nfev
    if value < values[n - 1]:
        _replace(simplex, values, trial, value)
        return nfev
    outside = value < values[n]
    _point(box, farther, centroid, highest, contraction if outside else -contraction)
    nearer = _value(problem, work, grad, farther)
    nfev += 1
    if nearer <= value if outside else nearer < values[n]:
        _replace(simplex, values, farther, nearer)
        return nfev
    for i in range(1, n + 1):
        vertex = simplex[i]
        for j in range(n):
            vertex[j] = inside(box, j, simplex[0, j] + vertex.dtype.type(shrinkage) * (vertex[j] - simplex[0, j]))
        values[i] = _value(problem, work, grad, vertex)
    _sort(simplex, values)
    return nfev + n


@kernel(inline=True)
def _point(box, out, centroid, highest, factor):
    """Write centroid + factor (centroid - highest), moved into the bounds."""
    real = out.dtype.type
    for j in range(out.size):
        out[j] = inside(box, j, real(centroid[j] + real(factor) * (centroid[j] - highest[j])))


@kernel(inline=True)
def _replace(simplex, values, point, value):
    """Put a point in place of the highest vertex, at its place in the order."""
    n = point.size
    i = n
    while i > 0 and values[i - 1] > value:
        values[i] = values[i - 1]
        for j in range(n):
            simplex[i, j] = simplex[i - 1, j]
        i -= 1
    values[i] = value
    for j in range(n):
        simplex[i, j] = point[j]


@kernel(late_bound=True)
def _sort(simplex, values) -> None:
    """Bring the vertices into ascending order of their values; equal ones keep theirs."""
    n = values.size - 1
    for last in range(1, n + 1):
        i = last
        while i > 0 and values[i - 1] > values[i]:
            values[i - 1], values[i] = values[i], values[i - 1]
            for j in range(n):
                simplex[i - 1, j], simplex[i, j] = simplex[i, j], simplex[i - 1, j]
            i -= 1


@kernel(late_bound=True)
def _size(simplex):
    """The largest distance of a vertex from the lowest one along an axis."""
    largest = 0.0
    for i in range(1, simplex.shape[0]):
        for j in range(simplex.shape[1]):
            largest = max(largest, abs(np.float64(simplex[i, j]) - np.float64(simplex[0, j])))
    return largest


@kernel(inline=True)
def _verdict(tests, simplex, values, size):
    """FTOL if the values differ by little and the simplex is small; XTOL without a test of the values; else RUNNING.

    A simplex of equal values may still be large, beside a ridge.
    """
    n, reach = values.size - 1, 0.0
    for j in range(n):
        reach = max(reach, abs(np.float64(simplex[0, j])))
    small = tests.xtol < 0.0 or size <= tests.xtol * (tests.xtol + reach) or size == 0.0
    level = tests.ftol < 0.0 or values[n] - values[0] <= tests.ftol * max(abs(values[0]), 1.0)
    if not (small and level):
        return RUNNING
    return _XTOL if tests.ftol < 0.0 else _FTOL


SIMPLEX = Loop(
    kernel=explore,
    requires=(),
    max_iter=15_000,
    gtol=None,
    ftol=1e-8,
    xtol=1e-6,
    noise=100.0,
    takes_bounds=True,
    by_values=True,
    non_finite=(
        "at update {update}; x is the lowest point. The objective is unbounded below, or x0 is not where it is defined"
    ),
)
