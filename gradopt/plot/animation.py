"""Animations of runs: steps on a curve, a ball in a valley, a fit that approaches its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._results.result import OptimizeResult
from gradopt.plot.canvas import axes_or_new, colour, iterates, legend_beside, pyplot, with_labels
from gradopt.plot.curves import points_of_fit
from gradopt.plot.planes import drawn_ways
from gradopt.problems import CurveFit, PolynomialFit, Problem, Regressor

_FITS = (PolynomialFit, CurveFit, Regressor)
_FINE = 300  # points of the curve of a fit
_TRAIL = 25  # iterates that are drawn behind the ball


def animate(
    problem: Problem | OptimizeResult | Callable[..., Any],
    results: OptimizeResult | Sequence[OptimizeResult] | None = None,
    *,
    labels: Sequence[str] | None = None,
    frames: int = 100,
    interval: float = 50.0,
    ax: Any = None,
    window: Any = None,
) -> Any:
    """Animate runs: balls on the curve or over the contours of the objective, or a fit that approaches its data.

    Parameters
    ----------
    problem : Problem, callable or OptimizeResult
        A problem or a function as for `path`, or a fit as for `fit`. Or a result alone, which knows its problem.
    results : OptimizeResult or sequence of these, optional
        Runs of it with record="x"; of a fit, one.
    labels : sequence of str, optional
        The names of the runs.
    frames : int
        Number of pictures at most, >= 2. Long runs are thinned out, the early steps less than the late ones.
    interval : float
        Milliseconds from one picture to the next, > 0.
    ax : matplotlib Axes, optional
        The axes to draw in. Default those of a new figure.
    window : sequence of (low, high), optional
        As for `path`; not for fits.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        `.save("run.gif", writer="pillow")` writes a GIF, `.save("run.mp4")` a film where ffmpeg is installed, and
        `.to_jshtml()` is for notebooks. Keep a reference to it while it is shown.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        The problem has more than two parameters and is no fit, or a run recorded no iterates.

    Examples
    --------
    >>> import gradopt, os, tempfile
    >>> problem = gradopt.problems.Rosenbrock()
    >>> runs = [gradopt.optimize(problem, method=name, max_iter=200, record="x") for name in ("lbfgs", "rprop")]
    >>> film = gradopt.plot.animate(problem, runs, labels=["L-BFGS", "Rprop"], frames=5)
    >>> film.save(os.path.join(tempfile.mkdtemp(), "valley.gif"), writer="pillow")
    """
    pyplot()
    from matplotlib.animation import FuncAnimation

    shown: Any = problem
    if isinstance(problem, OptimizeResult):
        if results is not None:
            raise TypeError("give a problem with its results, or a result alone")
        if "problem" not in problem:
            raise ValueError("the result does not know its problem: give both, animate(problem, result)")
        shown, results = problem.problem, problem
    runs = with_labels([results] if isinstance(results, OptimizeResult) else list(results or ()), labels)
    ways = [iterates(result) for result, _ in runs]
    moments = _moments(max(map(len, ways)), validate.integer("frames", frames, 2))
    validate.number("interval", interval, 0, above=True)
    if isinstance(shown, _FITS):
        if len(runs) > 1:
            raise ValueError(f"of a fit, one run is animated, got {len(runs)}")
        draw, figure = _approach(shown, runs[0][0], ways[0], ax)
    else:
        draw, figure = _balls(shown, runs, ax, window)

    def picture(frame: int) -> list[Any]:
        return draw(int(moments[frame]))

    film = FuncAnimation(figure, picture, frames=len(moments), interval=interval, blit=False)
    picture(len(moments) - 1)  # a figure that is shown or saved as it is shows the end
    return film


def _moments(count: int, frames: int) -> NDArray[np.int64]:
    """The numbers of the iterates to draw: all of them, or so many, in growing steps."""
    if count <= frames:
        return np.arange(count)
    spread = np.geomspace(1.0, count, 4 * frames).astype(int) - 1
    distinct = np.unique(spread)
    chosen = np.linspace(0, len(distinct) - 1, frames).round().astype(int)
    return np.unique(np.append(distinct[chosen], count - 1))


def _balls(
    problem: Any, runs: list[tuple[Any, str | None]], ax: Any, window: Any
) -> tuple[Callable[[int], list[Any]], Any]:
    axes, drawn = drawn_ways(problem, [result for result, _ in runs], ax, [label for _, label in runs], window=window)
    points = [np.column_stack(line.get_data()) for line, _ in drawn]
    for trail, ball in drawn:
        ball.set(markersize=9, zorder=6, color=trail.get_color(), label="_ball")
    legend_beside(axes)  # where the ball is not the end

    def draw(moment: int) -> list[Any]:
        for (trail, ball), way in zip(drawn, points, strict=True):
            now = min(moment, len(way) - 1)
            trail.set_data(*way[max(0, now - _TRAIL) : now + 1].T)
            ball.set_data(*way[now : now + 1].T)
        axes.set_title(f"update {moment}")
        return [axes]

    return draw, axes.figure


def _approach(problem: Any, result: Any, way: NDArray[Any], ax: Any) -> tuple[Callable[[int], list[Any]], Any]:
    t, y, model = points_of_fit(problem)
    axes = axes_or_new(ax)
    fine = np.linspace(float(t.min()), float(t.max()), _FINE)
    axes.plot(t, y, "o", color="0.5", markersize=4, label="data")
    (curve,) = axes.plot(fine, np.zeros_like(fine), color=colour(0), linewidth=2, label="model")
    margin = 0.25 * (float(y.max() - y.min()) or 1.0)
    axes.set(xlabel="t", ylabel="y", ylim=(float(y.min()) - margin, float(y.max()) + margin))
    legend_beside(axes)

    def draw(moment: int) -> list[Any]:
        with np.errstate(all="ignore"):
            curve.set_ydata(model(way[moment].astype(np.float64), fine))
        axes.set_title(f"update {result.history.nit[moment]}, loss {result.history.fun[moment]:.4g}")
        return [axes]

    return draw, axes.figure
