"""Plots of curves: histories, fits, schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt.plot.canvas import axes_or_new, colour, iterates, legend_below, legend_beside, pyplot, spreads, with_labels
from gradopt.problems import CurveFit, PolynomialFit, Regressor
from gradopt.schedules.base import inner_schedule

# Column of a history, corresponding column of the validation rows, name.
_PANELS = (
    ("fun", "val_fun", "objective"),
    ("grad_norm", None, "gradient norm"),
    ("learning_rate", None, "learning rate"),
    ("val_accuracy", None, "accuracy on validation rows"),
)


def history(*results: Any, labels: Sequence[str] | None = None, figure: Any = None) -> Any:
    """Draw the history of runs: objective, gradient norm and learning rate over updates, or epochs of training runs.

    Parameters
    ----------
    *results : OptimizeResult
        One or more runs. For training runs, validation is drawn as a dashed line.
    labels : sequence of str, optional
        The names of the runs.
    figure : matplotlib Figure or SubFigure, optional
        The figure to draw in. Default a new one.

    Returns
    -------
    Figure
        With a panel for each quantity. Scales are logarithmic if the numbers are positive and span two decades.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        A result is not an OptimizeResult, or recorded nothing.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Rosenbrock()
    >>> runs = [gradopt.optimize(problem, method=name, max_iter=200) for name in ("lbfgs", "adam")]
    >>> figure = gradopt.plot.history(*runs, labels=["L-BFGS", "Adam"])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['objective', 'gradient norm', 'learning rate']
    """
    runs = with_labels(results, labels)
    for result, _ in runs:
        if len(result.history) == 0:
            raise ValueError("the result has no history: run optimize with record='scalars'")
    panels = [panel for panel in _PANELS if any(panel[0] in result.history for result, _ in runs)]
    if figure is None:
        figure = pyplot().figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    by_epoch = all("state" in result and result.state.training is not None for result, _ in runs)
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (column, beside, name) in zip(every, panels, strict=True):
        drawn: list[Any] = []
        for i, (result, label) in enumerate(runs):
            if column not in result.history:
                continue
            validated, places = beside in result.history, _epochs(result) if by_epoch else result.history.nit
            line: dict[str, Any] = {
                "color": colour(i),
                "drawstyle": "steps-post" if column == "learning_rate" else None,
            }
            axes.plot(places, result.history[column], label=label or ("training" if validated else None), **line)
            drawn.extend(result.history[column])
            if validated:
                dashed = f"{label}, validation" if label else "validation"
                axes.plot(places, result.history[beside], "--", color=colour(i), label=dashed)
                drawn.extend(result.history[beside])
        axes.set(ylabel=name, xlabel="epoch" if by_epoch else "update", yscale="log" if spreads(drawn) else "linear")
    if len(runs) > 1 or any("val_fun" in result.history for result, _ in runs):
        legend_below(figure, every[0])
    return figure


def _epochs(result: Any) -> NDArray[np.float64]:
    """The completed epochs at each row of a training run's history; the last epoch may be in progress."""
    training, rows = result.state.training, len(result.history)
    whole = np.arange(rows) - rows + training.epoch + 1.0
    return np.append(whole[1:], training.epoch + training.row / training.rows) if training.row else whole


def schedule(schedule: Any, n: int, ax: Any = None, label: str | None = None) -> Any:
    """Draw the learning rates of updates 0 to n - 1.

    Parameters
    ----------
    schedule : float, Schedule or callable
        As for a method; a pure function of the update count k.
    n : int
        The number of updates, >= 1.
    ax : matplotlib Axes, optional
        The axes to draw in. Default those of a new figure.
    label : str, optional
        The name in the legend, which is drawn if there is one.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        schedule is not a schedule, or depends on the run, as ReduceOnPlateau does.

    Examples
    --------
    >>> import gradopt
    >>> axes = gradopt.plot.schedule(gradopt.OneCycle(0.1, steps=100), 120)
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('update', 'learning rate')
    """
    count = validate.integer("n", n, 1)
    rates = np.broadcast_to(inner_schedule("schedule", schedule)(np.arange(count)), count)
    axes = axes_or_new(ax)
    axes.plot(rates, label=label, color=colour(len(axes.get_lines())))
    axes.set(xlabel="update", ylabel="learning rate")
    if label is not None:
        legend_beside(axes)
    return axes


def fit(problem: Any, result: Any, ax: Any = None, moments: int = 4) -> Any:
    """Draw the data, and the model at several moments of a run.

    Parameters
    ----------
    problem : PolynomialFit, CurveFit or Regressor
        With one-dimensional t, or one input and one output.
    result : OptimizeResult
        Run with record="x" to see more than the end.
    ax : matplotlib Axes, optional
        The axes to draw in. Default those of a new figure.
    moments : int
        The number of curves, >= 1: the last one, the first, and others between them at growing distances.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        The problem is not a fit of one variable, or an argument is wrong.

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.PolynomialFit([0.0, 1.0, 2.0], [1.0, 2.0, 5.0])
    >>> result = gradopt.optimize(problem, record="x")
    >>> axes = gradopt.plot.fit(problem, result)
    >>> axes.get_legend_handles_labels()[1][0]
    'data'
    """
    t, y, model = points_of_fit(problem)
    with_labels([result], None)
    count = validate.integer("moments", moments, 1)
    axes = axes_or_new(ax)
    axes.plot(t, y, "o", color="0.35", markersize=4, zorder=3, label="data")
    fine = np.linspace(t.min(), t.max(), 300)
    if "x" in result.history:
        last = len(result.history) - 1
        rows = np.unique(np.append(np.geomspace(1, last + 1, count)[:-1].astype(int) - 1, last))
        curves = [(iterates(result)[row], result.history.nit[row], result.history.fun[row]) for row in rows]
    else:
        curves = [(result.x, result.nit, result.fun)]
    for i, (x, nit, fun) in enumerate(curves):
        color = pyplot().get_cmap("viridis")(i / max(len(curves) - 1, 1) * 0.9)
        axes.plot(fine, model(x, fine), color=color, label=f"update {nit}: loss {fun:.3g}")
    axes.set(xlabel="t", ylabel="y")
    legend_beside(axes)
    return axes


def points_of_fit(problem: Any) -> tuple[NDArray[Any], NDArray[Any], Callable[[Any, Any], NDArray[Any]]]:
    """The data t and y, and model(x, t), of a fit of one variable."""
    if isinstance(problem, PolynomialFit):
        return problem.t, problem.y, lambda x, t: np.asarray(np.polyval(x, t))
    if isinstance(problem, CurveFit) and problem.t.ndim == 1:
        return problem.t, problem.y, problem.predict
    if isinstance(problem, Regressor) and problem.X.shape[1] == 1 and problem.y.size == len(problem.X):
        return problem.X[:, 0], problem.y.ravel(), lambda x, t: problem.predict(x, t[:, None]).ravel()
    wanted = "a PolynomialFit, a CurveFit of one t, or a Regressor with one input and one output"
    raise TypeError(f"plot.fit draws {wanted}, got {validate.shown(problem)}")
