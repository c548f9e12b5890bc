"""The loops as functions for users' compiled code: what `descend` calls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradopt._compiler import copied, generic, kernel, zeros_for
from gradopt._core.config import Config
from gradopt._core.protocol import new_slots, unknown_path
from gradopt._core.status import Status
from gradopt._loops.clipping import NoClipping
from gradopt._loops.first_order import iterate
from gradopt._loops.least_squares import fit
from gradopt._loops.line_search import search
from gradopt._loops.parts import Parts
from gradopt._loops.simplex import explore
from gradopt._loops.trust_region import follow
from gradopt._loops.types import NO_LIMIT, Progress, Record, RunArrays, Steering, StopTests

_START = Progress(0, 0, 0, np.inf, np.inf, 0.0)
_UNKNOWN_PATH = int(Status.UNKNOWN_PATH)
_NothingClipped = NoClipping.Lowered


class Form(NamedTuple):
    """A problem as a family of methods sees it."""

    lowered: Any
    work: Any  # each descent copies it


class EmbeddedProblem(NamedTuple):
    """A problem as compiled code receives it."""

    plain: Form
    curved: Any  # a `Form` with second derivatives, or None
    residuals: Any  # a `Form` of residuals, or None
    static_length: Any  # as in `RunArrays`, for the plain form
    box: Any  # Box or None; each descent copies it
    frozen: Any  # what stays as it is, the arrays `which` and `ends` of `Parts`; or None
    n: int  # the number of parameters; -1 if the problem does not know it
    like: Any  # an empty array of the dtype of the parameters


class Updating(Config):
    """A first-order method as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        slots: tuple[int, ...]  # one number per slot
        ftol: float
        xtol: float


class Searching(Config):
    """A line-search method as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        ftol: float
        xtol: float


class Following(Config):
    """A method that follows quadratic models, as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        dense: int  # up to how many parameters it takes whole Hessians
        ftol: float
        xtol: float


class Fitting(Config):
    """A method for sums of squares, as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        ftol: float
        xtol: float


class Exploring(Config):
    """A method that uses values alone, as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        ftol: float
        xtol: float


EMBEDDED = (Updating.Lowered, Searching.Lowered, Following.Lowered, Fitting.Lowered, Exploring.Lowered)


@generic
def descended(method: Any, problem: Any, x: Any, max_iter: int, gtol: float) -> Any:
    """Run the loop of a family of methods from x, which is overwritten; returns (fun, nit, nfev, status).

    method : what `Method.for_descend` returned
    problem : EmbeddedProblem
    x : float array (n,), C order, written
    """
    raise NotImplementedError


@descended.on(Updating)
def _(method, problem, x, max_iter, gtol):
    steering = steering_within(copied(problem.box), _all_but(problem.frozen, method.lowered))
    return _descended(method, problem.plain, problem.static_length, steering, x, max_iter, gtol)


@descended.on(Searching)
def _(method, problem, x, max_iter, gtol):
    steering = steering_within(copied(problem.box), None)
    return _descended(method, problem.plain, problem.static_length, steering, x, max_iter, gtol)


@descended.on(Following)
def _(method, problem, x, max_iter, gtol):
    steering = steering_within(copied(problem.box), None)
    return _descended(method, problem.curved, None, steering, x, max_iter, gtol)


@descended.on(Fitting)
def _(method, problem, x, max_iter, gtol):
    steering = steering_within(copied(problem.box), None)
    return _descended(method, problem.residuals, None, steering, x, max_iter, gtol)


@descended.on(Exploring)
def _(method, problem, x, max_iter, gtol):
    steering = steering_within(copied(problem.box), None)
    return _descended(method, problem.plain, None, steering, x, max_iter, -1.0)


@kernel(inline=True)
def _descended(method, form, static_length, steering, x, max_iter, gtol):
    tests = StopTests(gtol, method.ftol, method.xtol, -np.inf, NO_LIMIT, NO_LIMIT)
    work = copied(form.work)
    fun, nit, nfev, status = descended_within(method, form.lowered, work, x, max_iter, tests, steering, static_length)
    return fun, nit, nfev, _UNKNOWN_PATH if unknown_path(form.lowered, work) else status


@generic
def descended_within(
    method: Any, problem: Any, work: Any, x: Any, max_iter: int, tests: Any, steering: Any, static_length: Any
) -> Any:
    """Run the loop of a family of methods from x, which is overwritten; returns (fun, nit, nfev, status).

    method : what `Method.for_descend` returned
    problem : a lowered problem
    work : its workspace, written
    x : float array (n,), C order, written
    tests : StopTests
    steering : what `steering_within` returned
    static_length : as in `RunArrays`
    """
    raise NotImplementedError


@descended_within.on(Updating)
def _(method, problem, work, x, max_iter, tests, steering, static_length):
    arrays = _arrays(static_length, x, zeros_for(method.slots, x), work)
    status, nit, _, nfev, fun, _, _ = iterate(
        problem, method.lowered, steering, arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@descended_within.on(Searching)
def _(method, problem, work, x, max_iter, tests, steering, static_length):
    arrays = _arrays(static_length, x, new_slots(method.lowered, x), work)
    status, nit, _, nfev, fun, _, _ = search(
        problem, method.lowered, steering, arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@descended_within.on(Following)
def _(method, problem, work, x, max_iter, tests, steering, static_length):
    n = x.size
    rows = n if n <= method.dense else 0
    whole, vectors, pair = np.zeros((rows, rows), x.dtype), np.zeros((8, n)), np.zeros((2, n), x.dtype)
    slots = np.zeros(n), np.ones(n), np.zeros(4), whole, np.zeros((rows, rows)), vectors, pair
    arrays = _arrays(static_length, x, slots, work)
    status, nit, _, nfev, fun, _, _ = follow(
        problem, method.lowered, steering, arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@descended_within.on(Fitting)
def _(method, problem, work, x, max_iter, tests, steering, static_length):
    n = x.size
    moments = np.zeros(n + n * (n + 1) // 2 + 1, x.dtype)
    matrix, vectors = np.zeros((n, n), x.dtype), np.zeros((5, n), x.dtype)
    slots = np.zeros_like(x), np.zeros(1), moments, moments.copy(), matrix, vectors
    arrays = _arrays(static_length, x, slots, work)
    status, nit, _, nfev, fun, _, _ = fit(
        problem, method.lowered, steering, arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@descended_within.on(Exploring)
def _(method, problem, work, x, max_iter, tests, steering, static_length):
    n = x.size
    slots = np.zeros((n + 1, n), x.dtype), np.zeros(n + 1), np.zeros((3, n), x.dtype), np.zeros(4)
    arrays = _arrays(static_length, x, slots, work)
    status, nit, _, nfev, fun, _, _ = explore(
        problem, method.lowered, steering, arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@kernel(inline=True)
def _arrays(static_length, x, slots, work):
    return RunArrays(static_length, x, np.empty_like(x), x.copy(), np.empty_like(x), x.copy(), slots, np.zeros(5), work)


@kernel(inline=True)
def steering_within(box, parts):
    """The Steering of a descent that clips nothing; box : Box or None, written; parts : Parts or None."""
    return Steering(_NothingClipped(0), 1.0, box, parts)


@kernel(inline=True)
def _all_but(frozen, method):
    """The Parts of a method that leaves alone what is frozen."""
    if frozen is None:
        return None
    return Parts((method,), frozen[0], frozen[1])


@kernel(inline=True)
def _record(x):
    nothing = np.empty(0)
    return Record(nothing, nothing, nothing, np.empty((0, x.size), x.dtype))
