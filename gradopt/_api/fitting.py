"""What `least_squares` and `curve_fit` share: bounds as lower and upper ends, and the run of a fit."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._loops.clipping import NoClipping
from gradopt._loops.types import StopTests
from gradopt._numerics.bounds import Box
from gradopt._results.result import OptimizeResult
from gradopt._run.callbacks import Callbacks
from gradopt._run.descent import Descent, Limits
from gradopt._run.messages import message
from gradopt._run.progress_bar import bar_of
from gradopt._run.supervisor import Supervision, supervise
from gradopt._tape.record.errors import BranchError
from gradopt.methods import LevenbergMarquardt
from gradopt.problems.functions.residuals import ResidualProblem

_METHODS = ("trf", "dogbox", "lm")
_NO_CLIPPING = NoClipping()


class Settings(NamedTuple):
    """How a fit is run."""

    tests: StopTests
    max_nfev: int
    max_iter: int
    method: LevenbergMarquardt


def settings_of(
    ftol: Any, xtol: Any, gtol: Any, max_nfev: Any, x_scale: Any, n: int, max_iter: Any = None, polish: Any = None
) -> Settings:
    """The checked settings; a tolerance that is None is off."""
    given = {"gtol": gtol, "ftol": ftol, "xtol": xtol}
    if all(value is None for value in given.values()):
        raise ValueError("at least one of ftol, xtol and gtol must be given, got None for all")
    checked = {name: -1.0 if value is None else validate.number(name, value, 0) for name, value in given.items()}
    tests = StopTests(checked["gtol"], checked["ftol"], checked["xtol"], -np.inf)
    limit = sys.maxsize if max_nfev is None else validate.integer("max_nfev", max_nfev, 1)
    method = LevenbergMarquardt() if polish is None else LevenbergMarquardt(polish=polish)
    updates = method.loop.max_iter if max_iter is None else validate.integer("max_iter", max_iter, 0)
    if isinstance(x_scale, str) and x_scale != "jac":
        raise ValueError(f"x_scale must be 'jac', None, or positive numbers, got {x_scale!r}")
    if x_scale is not None and not isinstance(x_scale, str):
        method = method.with_scale(_positive("x_scale", x_scale, n))
    return Settings(tests, limit, updates, method)


def relative_steps(diff_step: Any, n: int) -> NDArray[np.float64] | None:
    """The steps of differences, one for each parameter; None if none are asked for."""
    return None if diff_step is None else _positive("diff_step", diff_step, n)


def _positive(name: str, value: Any, n: int) -> NDArray[np.float64]:
    """A positive number for each parameter, from one for all or n of them."""
    given = validate.array(name, np.atleast_1d(np.asarray(value)), 1).astype(np.float64)
    if given.size not in (1, n):
        raise ValueError(f"{name} must be a number or {n} numbers, got {given.size}")
    if not (given > 0.0).all():
        raise ValueError(f"{name} must be positive, got {validate.shown(value)}")
    return np.broadcast_to(given, n).copy()


def box_between(bounds: Any, n: int, method: Any) -> Box | None:
    """The box of bounds as (lower, upper), each a number or n of them, or scipy's Bounds; None if all are infinite."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        sides = [np.squeeze(side) if np.size(side) == 1 else side for side in (bounds.lb, bounds.ub)]
    else:
        sides = list(bounds) if np.iterable(bounds) and not isinstance(bounds, (str, dict)) else []
        if len(sides) != 2:
            raise ValueError(f"bounds must be (lower, upper) or a scipy.optimize.Bounds, got {validate.shown(bounds)}")
    arrays = []
    for name, side in zip(("lower", "upper"), sides, strict=True):
        try:
            array = np.asarray(side, np.float64)
            if array.ndim and array.shape != (n,):
                raise ValueError
            arrays.append(np.broadcast_to(array, n).copy())
        except (TypeError, ValueError):
            raise ValueError(
                f"bounds must have a number or {n} numbers as {name} ends, got {validate.shown(side)}; bounds are"
                " (lower, upper) here, not pairs"
            ) from None
    low, high = arrays
    if np.isnan(low).any() or np.isnan(high).any():
        raise ValueError(f"bounds must not be NaN, got {validate.shown(bounds)}")
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise ValueError(f"bounds must have lower <= upper, got {low[i]} > {high[i]} for parameter {i}")
    if not (np.isfinite(low) | np.isfinite(high)).any():
        return None
    if method == "lm":
        raise ValueError("method 'lm' does not take bounds; leave the method out, or take 'trf'")
    return Box(low, high, np.ones(n))


def checked_method(method: Any) -> str | None:
    return None if method is None else str(validate.choice("method", method, _METHODS))


def require_inside(name: str, x: NDArray[Any], box: Box | None) -> None:
    """Raise a ValueError that names the first parameter outside of the bounds."""
    if box is None:
        return
    outside = (x < box.low) | (x > box.high)
    if outside.any():
        i = int(np.argmax(outside))
        interval = f"{box.low[i]:g} to {box.high[i]:g}"
        raise ValueError(f"Initial guess is outside of provided bounds: {name}[{i}] = {x[i]:g} is not in {interval}")


def names_of(f: Callable[..., Any], p0: Any, given: int | None, constants: int) -> tuple[tuple[str, ...], int]:
    """The names of the parameters of f(x, *params, *constants), and their number.

    p0 : the start, of which only a mapping's names count
    given : how many parameters the start has, if it is not a mapping and says it
    """
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    any_number = any(p.kind == p.VAR_POSITIONAL for p in parameters) or not parameters
    names = [p.name for p in positional[1:]]
    if not any_number:
        names = names[: len(names) - constants]
        if given is not None and given < len(names) and all(p.default is not p.empty for p in positional[1 + given :]):
            names = names[:given]
        if given is not None and given != len(names):
            raise ValueError(f"p0 must have {len(names)} elements, one for each of {', '.join(names)}, got {given}")
        if not names:
            raise ValueError("f must take parameters after its first argument, and has none")
        return tuple(names), len(names)
    if isinstance(p0, Mapping):
        return tuple(p0), len(p0)
    if given is None:
        raise ValueError("p0 must be given: f takes any number of parameters")
    names = names[:given]
    return (*names, *(f"p{i}" for i in range(len(names), given))), given


def place_of(name: Any, names: tuple[str, ...], where: str) -> int:
    """The place of a parameter; an error says that `where` names one that f does not have."""
    if name not in names:
        raise ValueError(f"{where} must name parameters of f, which are {', '.join(names)}, got {name!r}")
    return names.index(name)


class Fit(NamedTuple):
    """A fit that has ended."""

    result: OptimizeResult  # of the run
    status: Status
    message: str
    problem: ResidualProblem  # that was run


def run_fit(
    problem: ResidualProblem,
    x0: NDArray[np.float64],
    box: Box | None,
    settings: Settings,
    callback: Any = None,
    verbose: int = 0,
) -> Fit:
    """Run a fit to its end; verbose : 1 to print a line at the end, 2 to print one for each update too."""
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2, got {validate.shown(verbose)}")
    callbacks = [one for one in (callback, _print_update if verbose == 2 else None) if one is not None]
    tests, max_nfev, max_iter, method = settings
    limits = Limits(tests, max_iter, max_nfev, _NO_CLIPPING, box)
    run = Descent(problem, method, x0.copy(), limits, False, "scalars", None)
    try:
        with bar_of(False, *run.total) as bar:
            status = supervise(run, Supervision(Callbacks(callbacks or None), bar, None, np.inf))
    except BranchError:
        if problem.instead is None:
            raise
        return run_fit(problem.instead(), x0, box, settings, callback, verbose)
    fit = Fit(run.result(), status, message(status, run, max_nfev=max_nfev, max_time=np.inf), problem)
    if verbose:
        print(f"{fit.message}\n{fit.result.nfev} evaluations, objective {fit.result.fun:.6g}")
    return fit


def _print_update(intermediate_result: Any) -> None:
    print(f"update {intermediate_result.nit:5d}  objective {intermediate_result.fun:.6e}")
