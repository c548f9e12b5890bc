"""The loops as functions for users' compiled code: what `descend` calls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradopt._compiler import generic, kernel, zeros_for
from gradopt._core.config import Config
from gradopt._core.protocol import new_slots
from gradopt._loops.clipping import NoClipping
from gradopt._loops.first_order import iterate
from gradopt._loops.line_search import LINE_SEARCH, search
from gradopt._loops.types import NO_LIMIT, Progress, Record, RunArrays, Steering, StopTests
from gradopt._numerics.vectors import epsilon

_START = Progress(0, 0, 0, np.inf, np.inf, 0.0)
_SEARCH_FTOL = LINE_SEARCH.noise
_NothingClipped = NoClipping.Lowered


class EmbeddedProblem(NamedTuple):
    """A problem as compiled code receives it."""

    lowered: Any
    static_length: Any  # as in `RunArrays`
    work: Any  # each descent copies it
    n: int  # the number of parameters; -1 if the problem does not know it
    like: Any  # an empty array of the dtype of the parameters


class Updating(Config):
    """A first-order method as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any
        slots: tuple[int, ...]  # one number per slot


class Searching(Config):
    """A line-search method as `descend` receives it."""

    class Lowered(NamedTuple):
        lowered: Any


@generic
def descended(method: Any, problem: Any, work: Any, x: Any, max_iter: int, gtol: float) -> Any:
    """Run the loop of a family of methods from x, which is overwritten; returns (fun, nit, status).

    method : what `Method.for_descend` returned
    problem : EmbeddedProblem
    work : the problem's workspace, written
    x : float array (n,), C order, written
    """
    raise NotImplementedError


@descended.on(Updating)
def _(method, problem, work, x, max_iter, gtol):
    arrays = _arrays(problem.static_length, x, zeros_for(method.slots, x), work)
    tests = StopTests(gtol, -1.0, -1.0, -np.inf, NO_LIMIT, NO_LIMIT)
    status, nit, _, _, fun, _, _ = iterate(
        problem.lowered, method.lowered, _unlimited(), arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, status


@descended.on(Searching)
def _(method, problem, work, x, max_iter, gtol):
    arrays = _arrays(problem.static_length, x, new_slots(method.lowered, x), work)
    tests = StopTests(gtol, _SEARCH_FTOL * epsilon(x), -1.0, -np.inf, NO_LIMIT, NO_LIMIT)
    status, nit, _, _, fun, _, _ = search(
        problem.lowered, method.lowered, _unlimited(), arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, status


@generic
def descended_within(method: Any, problem: Any, work: Any, x: Any, max_iter: int, tests: Any, box: Any) -> Any:
    """Run the loop of a family of methods from x, which is overwritten; returns (fun, nit, nfev, status).

    method : what `Method.for_descend` returned
    problem : a lowered problem
    work : its workspace, written
    x : float array (n,), C order, written
    tests : StopTests
    box : Box or None
    """
    raise NotImplementedError


@descended_within.on(Updating)
def _(method, problem, work, x, max_iter, tests, box):
    arrays = _arrays(None, x, zeros_for(method.slots, x), work)
    status, nit, _, nfev, fun, _, _ = iterate(
        problem, method.lowered, _steering(box), arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@descended_within.on(Searching)
def _(method, problem, work, x, max_iter, tests, box):
    arrays = _arrays(None, x, new_slots(method.lowered, x), work)
    status, nit, _, nfev, fun, _, _ = search(
        problem, method.lowered, _steering(box), arrays, _START, tests, _record(x), max_iter + 1
    )
    return fun, nit, nfev, status


@kernel(inline=True)
def _arrays(static_length, x, slots, work):
    return RunArrays(static_length, x, np.empty_like(x), x.copy(), np.empty_like(x), x.copy(), slots, np.zeros(5), work)


@kernel(inline=True)
def _unlimited():
    return _steering(None)


@kernel(inline=True)
def _steering(box):
    return Steering(_NothingClipped(0), 1.0, box)


@kernel(inline=True)
def _record(x):
    nothing = np.empty(0)
    return Record(nothing, nothing, nothing, np.empty((0, x.size), x.dtype))
