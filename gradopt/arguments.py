"""The arguments of `optimize`: what they mean together, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gradopt import validate
from gradopt.box import Box, box_of
from gradopt.config import Config
from gradopt.functions import as_problem
from gradopt.loop import StopTests
from gradopt.methods import LBFGS, Adam, LineSearchMethod, Method, as_method
from gradopt.problems import Problem
from gradopt.result import State
from gradopt.user_code import warn

_DEFAULT_METHOD: dict[bool, Method] = {False: LBFGS(), True: Adam()}  # on training runs
_DEFAULT_MAX_ITER = {False: 10_000, True: 15_000}  # of line-search methods
_DEFAULT_EPOCHS = 100
_DEFAULT_GTOL = 1e-5
SEARCH_FTOL = 10.0  # of line-search methods, in units of the last place


def refuse(where: str, **settings: Any) -> None:
    """A ValueError for the first setting that is given."""
    for name, value in settings.items():
        if value is not None:
            raise ValueError(f"{name} has no meaning for {where}")


def refuse_rng(problem: Any, x0: Any, state: State | None, rng: Any) -> None:
    """A ValueError for an rng from which nothing would be drawn."""
    if rng is None:
        return
    draws = isinstance(problem, Problem) and problem.x0 is None and x0 is None and state is None
    if not draws:
        raise ValueError("rng has no meaning for a run in which nothing is drawn")


def stop_tests(
    method: Method, dtype: Any, gtol: float | None, ftol: float | None, xtol: float | None, target: float
) -> StopTests:
    """The tests that end a run without batches; -1 for those that are off."""
    if ftol is None and isinstance(method, LineSearchMethod):
        ftol = SEARCH_FTOL * float(np.finfo(dtype).eps)
    return StopTests(
        gtol=validate.number("gtol", _DEFAULT_GTOL if gtol is None else gtol, 0),
        ftol=-1.0 if ftol is None else validate.number("ftol", ftol, 0),
        xtol=-1.0 if xtol is None else validate.number("xtol", xtol, 0),
        target=target,
    )


def update_limit(method: Method, max_iter: int | None) -> int:
    """The updates of a run without batches at the most."""
    return _DEFAULT_MAX_ITER[isinstance(method, LineSearchMethod)] if max_iter is None else max_iter


def training_limits(epochs: int | None, max_iter: int | None) -> tuple[int, int]:
    """The epochs and updates of a training run at the most; sys.maxsize where there is no limit."""
    updates = sys.maxsize if max_iter is None else max_iter
    if epochs is None:
        return _DEFAULT_EPOCHS if max_iter is None else sys.maxsize, updates
    return validate.integer("epochs", epochs, 0), updates


def chosen_method(method: Method | str | None, state: State | None, training: bool) -> Method:
    """The method that is given, or that of the state, or the default."""
    if method is None and state is None:
        return _DEFAULT_METHOD[training]
    if state is None:
        return as_method(method)
    chosen = state.method if method is None else as_method(method)
    if type(chosen) is not type(state.method):
        raise ValueError(
            f"method must be {type(state.method).__name__}, as in the state, with any settings, got {chosen}"
        )
    return chosen


def problem_and_start(
    problem: Any, x0: Any, jac: Any, args: Any, state: State | None, rng: Any, method: Method, bounds: Any
) -> tuple[Problem, Any, Box | None]:
    """The problem, a callable as one; where the run starts; and its bounds."""
    if state is not None and x0 is not None:
        raise ValueError("x0 can't be given beside a state, which has its own x")
    if isinstance(problem, Problem):
        if jac is not None or args != ():
            raise ValueError(f"jac and args belong to a callable; {problem} has its own gradient and data")
        start = x0
        if state is None and x0 is None:
            start = problem.start(rng)
            if start is None:
                raise ValueError(f"x0 must be given: {problem} has no start of its own")
        x = problem.checked("x0", start) if state is None else problem.checked("state.x", state.x)
        box = _box(method, bounds, x)
        return problem, x, box
    if (
        not callable(problem)
        or isinstance(problem, Config)
        or (isinstance(problem, type) and issubclass(problem, Config))
    ):
        raise TypeError(f"problem must be a gradopt.problems.Problem or a callable, got {validate.shown(problem)}")
    if state is None and x0 is None:
        raise ValueError("x0 must be given: a callable has no start of its own")
    x = validate.array("x0", x0, 1) if state is None else state.x.copy()
    box = _box(method, bounds, x)
    return as_problem(problem, jac, args, x.copy(), box), x, box


def _box(method: Method, bounds: Any, x: Any) -> Box | None:
    """The bounds, into which x is moved."""
    box = box_of(bounds, x.size, x.dtype)
    if box is None:
        return None
    if not getattr(method, "takes_bounds", False):
        raise ValueError(f"bounds need a method that keeps them, such as LBFGS(), got {method}")
    inside = np.clip(x, box.low, box.high)
    if (inside != x).any():
        i = int(np.argmax(inside != x))
        warn(f"x0 is outside of the bounds and was moved into them: x0[{i}] = {x[i]:g} became {inside[i]:g}")
        x[:] = inside
    return box
