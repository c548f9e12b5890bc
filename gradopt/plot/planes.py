"""Plots of objectives over one or two directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.result import OptimizeResult
from gradopt.plot.canvas import axes_or_new, colour, iterates, legend_beside, palette, spreads, with_labels
from gradopt.problems import Problem
from gradopt.problems.functions.function import as_problem

_POINTS = 81  # grid points along each axis
_ARROWS = 15
# The marks are drawn over the paths, the minimum below the end of a run that found it.
_START = {"color": "w", "markeredgecolor": "k", "markersize": 6, "zorder": 4}
_END = {"color": "k", "markersize": 4, "zorder": 6}
_MINIMUM = {"markeredgecolor": "k", "markeredgewidth": 0.7, "markersize": 13, "zorder": 5}


def path(
    problem: Problem | Callable[..., Any],
    *results: Any,
    ax: Any = None,
    labels: Sequence[str] | None = None,
    colors: Sequence[Any] | None = None,
    quiver: bool = False,
    window: Any = None,
) -> Any:
    """Draw the path of runs: over contours for two parameters, on the curve of the objective for one.

    Parameters
    ----------
    problem : Problem or callable
        A problem with one or two parameters, or a function fun(x) of as many, which may return (value, gradient) as
        for jac=True. Of a function with other arguments, give `lambda x: fun(x, ...)`.
    *results : OptimizeResult
        Runs with record="x".
    ax : matplotlib Axes, optional
        The axes to draw in. Default those of a new figure.
    labels : sequence of str, optional
        The names of the runs.
    colors : sequence of matplotlib colours, optional
        One for each run. Default those of the style "gradopt.plot.style".
    quiver : bool
        Also draw the directions of steepest descent.
    window : sequence of (low, high), optional
        The range to show for each parameter. Default the range of the runs, and the minimizer if known.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        The problem has more than two parameters (see `landscape`), or a run recorded no iterates.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Rosenbrock()
    >>> result = gradopt.optimize(problem, record="x")
    >>> axes = gradopt.plot.path(problem, result, quiver=True)
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('x[0]', 'x[1]')

    >>> def bowl(x):
    ...     return (x[0] - 1.0) ** 2 + 3.0 * x[1] ** 2
    >>> axes = gradopt.plot.path(bowl, gradopt.optimize(bowl, [3.0, 1.0], record="x"))
    """
    axes, _ = drawn_ways(problem, results, ax, labels, colors, quiver, window)
    return axes


def drawn_ways(
    problem: Any, results: Any, ax: Any, labels: Any, colors: Any = None, quiver: bool = False, window: Any = None
) -> tuple[Any, list[tuple[Any, Any]]]:
    """The axes that `path` returns, and the line and the last point of each run on them."""
    runs = with_labels(results, labels)
    ways = [iterates(result) for result, _ in runs]
    problem = shown_problem(problem, ways[0][0])
    n = ways[0].shape[1]
    if n > 2:
        raise ValueError(f"plot.path draws one or two parameters, got {n}; plot.landscape draws any number")
    if any(way.shape[1] != n for way in ways):
        raise ValueError("the results must have the same number of parameters")
    sides = _window(window, np.vstack(ways), problem)
    axes = axes_or_new(ax)
    if n == 1:
        _curve(axes, problem, np.zeros(1), np.ones(1), np.linspace(*sides[0], 4 * _POINTS))
    else:
        _contours(axes, problem, np.zeros(2), np.eye(2), sides)
        if quiver:
            _steepest_descent(axes, problem, sides)
    if colors is None:
        colors = [colour(i) for i in range(len(runs))]
    elif len(colors) != len(runs):
        raise ValueError(f"colors must have one colour per result, {len(runs)}, got {len(colors)}")
    drawn: list[tuple[Any, Any]] = []
    for (result, label), way, color in zip(runs, ways, colors, strict=True):
        points = way.T if n == 2 else np.array([way[:, 0], result.history.fun])
        (line,) = axes.plot(*points, ".-", color=color, markersize=3, linewidth=0.8, label=label or "run")
        axes.plot(*points[:, :1], "o", label=None if drawn else "start", **_START)
        (end,) = axes.plot(*points[:, -1:], "o", label=None if drawn else "end", **_END)
        drawn.append((line, end))
    if problem.minimizer is not None and problem.minimum is not None:
        place = [*problem.minimizer, problem.minimum][:2]
        axes.plot(*([part] for part in place), "*", label="minimum", color=palette()[-1], **_MINIMUM)
    if n == 2 and quiver:  # its arrows have no entry of their own in legends
        axes.plot([], [], marker=r"$\rightarrow$", linestyle="none", color="0.6", label="steepest descent")
    axes.set(xlim=sides[0], xlabel=problem.parameter_name(0))
    if n == 2:
        axes.set(ylim=sides[1], ylabel=problem.parameter_name(1))
    else:
        axes.set(ylabel="objective")
    legend_beside(axes)
    return axes, drawn


def landscape(
    problem: Problem | Callable[..., Any],
    x: Any,
    ax: Any = None,
    directions: Any = None,
    span: float | None = None,
    rng: Any = 0,
) -> Any:
    """Draw the objective around a point, along two directions, or along one if there is only one parameter.

    Parameters
    ----------
    problem : Problem or callable
        A problem with any number of parameters, or a function fun(x), which may return (value, gradient).
    x : array_like (n,)
        The point in the middle, such as the x of a result.
    ax : matplotlib Axes, optional
        The axes to draw in. Default those of a new figure.
    directions : array_like (1, n) or (2, n), optional
        The directions. Default two random ones, orthogonal and of length 1.
    span : float, optional
        The distance to each side, in units of the directions, > 0. Default half the norm of x, or 1 if x is 0.
    rng : None, int or numpy.random.Generator
        Source of the random directions.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        An argument is wrong.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> axes = gradopt.plot.landscape(lambda x: np.sum(np.cosh(x)), np.zeros(50))
    >>> axes.get_xlabel()
    'along direction 1'

    Notes
    -----
    A slice through many dimensions shows little of them: a bowl in the slice may be a valley or a saddle elsewhere.
    """
    problem = shown_problem(problem, x)
    middle = problem.checked("x", x).astype(np.float64)
    if directions is None:
        draws = validate.generator("rng", rng).normal(size=(middle.size, min(2, middle.size)))
        along = np.linalg.qr(draws)[0].T
    else:
        along = validate.array("directions", directions, 2)
    if along.shape not in ((1, middle.size), (2, middle.size)):
        raise ValueError(f"directions must have the shape (1, {middle.size}) or (2, {middle.size}), got {along.shape}")
    reach = (
        (0.5 * float(np.linalg.norm(middle)) or 1.0) if span is None else validate.number("span", span, 0, above=True)
    )
    axes = axes_or_new(ax)
    if len(along) == 1:
        _curve(axes, problem, middle, along[0], np.linspace(-reach, reach, 4 * _POINTS))
        axes.plot([0.0], [problem.value(middle)], "o", **_START)
        axes.set(ylabel="objective")
    else:
        drawn = _contours(axes, problem, middle, along, [(-reach, reach)] * 2, filled=True)
        axes.figure.colorbar(drawn, ax=axes, label="objective", format="%.3g")
        axes.plot([0.0], [0.0], "o", **_START)
        axes.set(ylabel="along direction 2")
    axes.set(xlabel="along direction 1")
    plate = {"boxstyle": "round,pad=0.15", "facecolor": "w", "edgecolor": "none", "alpha": 0.8}
    axes.annotate("x", axes.get_lines()[-1].get_xydata()[0], (7, 7), textcoords="offset points", bbox=plate)
    return axes


def shown_problem(given: Any, x: Any) -> Problem:
    """A problem as it is, and a function as a problem that starts at x."""
    if isinstance(given, Problem):
        return given
    if not callable(given) or isinstance(given, OptimizeResult):
        raise TypeError(f"problem must be a Problem, or a function fun(x) -> float, got {validate.shown(given)}")
    start = validate.array("x", x, 1)
    try:
        return as_problem(given, None, (), start)
    except TypeError as error:
        with suppress(TypeError):
            return as_problem(given, True, (), start)
        raise TypeError(
            f"the function is drawn as fun(x): {error}. One with other arguments is drawn as lambda x: fun(x, ...)"
        ) from error


def _where_defined(evaluate: Callable[[Any], Any], x: Any, otherwise: Any = np.nan) -> Any:
    """The value or gradient at x; `otherwise` where a function of Python raises an error, as math.log(-1.0) does."""
    try:
        return evaluate(x)
    except (ArithmeticError, ValueError):
        return otherwise


def _window(window: Any, seen: NDArray[Any], problem: Problem) -> list[tuple[float, float]]:
    """The range to show along each axis."""
    n = seen.shape[1]
    if window is not None:
        sides = validate.array("window", window, 2)
        if sides.shape != (n, 2) or (sides[:, 0] >= sides[:, 1]).any():
            raise ValueError(f"window must be {n} pairs (low, high), got {validate.shown(window)}")
        return [(float(low), float(high)) for low, high in sides]
    if problem.minimizer is not None:
        seen = np.vstack([seen, problem.minimizer])
    low, high = seen.min(axis=0), seen.max(axis=0)
    margin = 0.15 * np.maximum(high - low, 0.1 * np.maximum((high - low).max(), 1e-3))
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]


def _curve(axes: Any, problem: Problem, middle: NDArray[Any], along: NDArray[Any], steps: NDArray[Any]) -> None:
    with np.errstate(all="ignore"):
        axes.plot(
            steps,
            [_where_defined(problem.value, middle + step * along) for step in steps],
            color="0.6",
            label="objective",
        )


def _contours(
    axes: Any, problem: Problem, middle: NDArray[Any], along: NDArray[Any], sides: Any, filled: bool = False
) -> Any:
    u, v = (np.linspace(low, high, _POINTS) for low, high in sides)
    with np.errstate(all="ignore"):
        points = [[middle + a * along[0] + b * along[1] for a in u] for b in v]
        heights = np.array([[_where_defined(problem.value, point) for point in row] for row in points])
    heights = np.ma.masked_invalid(heights)
    if heights.count() == 0:
        raise ValueError("the objective is finite nowhere in the window")
    low, high = float(heights.min()), float(heights.max())
    above = heights.compressed() - low
    if high <= low:
        levels: Any = 2
    elif spreads(above[above > 0]):  # a valley: more lines near its bottom
        levels = low + np.append(0.0, np.geomspace(1e-4, 1.0, 14)) * (high - low)
    else:
        levels = np.linspace(low, high, 14)
    if filled:
        from matplotlib.colors import PowerNorm

        return axes.contourf(u, v, heights, levels=levels, norm=PowerNorm(0.3, low, high))
    return axes.contour(u, v, heights, levels=levels, colors="0.7", linewidths=0.8)


def _steepest_descent(axes: Any, problem: Problem, sides: Any) -> None:
    u, v = np.meshgrid(*(np.linspace(low, high, _ARROWS + 2)[1:-1] for low, high in sides))
    with np.errstate(all="ignore"):
        nothing = np.full(2, np.nan)
        points = zip(u.flat, v.flat, strict=True)
        down = -np.array([_where_defined(problem.grad, point, nothing) for point in points])
        down = down / np.linalg.norm(down, axis=1, keepdims=True)
    axes.quiver(u.ravel(), v.ravel(), *down.T, color="0.6", angles="xy", scale=2.2 * _ARROWS, width=0.004)
