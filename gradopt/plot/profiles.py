"""Plots of profiles, of confidence regions, and of all pairs of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._api.contour import contour as region_of
from gradopt._api.profile import profile as profile_of
from gradopt._api.uncertainty import uncertainty
from gradopt._core import validate
from gradopt._results.profile import Contour, Profile
from gradopt.plot.canvas import axes_or_new, colour, legend_beside, pyplot

_BY_CURVATURE = {"color": "0.45", "lw": 1.0, "ls": "--"}


def profile(found: Profile, *, ax: Any = None) -> Any:
    """The profile of a parameter beside the parabola of the curvature at the minimum.

    Parameters
    ----------
    found : Profile
        From `gradopt.profile`.
    ax : Axes, optional
        The axes to draw on. Default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        found is no Profile.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(lambda x: 0.5 * (x[0] - 1.0) ** 2, [0.0])
    >>> gradopt.plot.profile(gradopt.profile(result, 0)).get_ylabel()
    'objective above the minimum'
    """
    if not isinstance(found, Profile):
        raise TypeError(f"found must be a Profile, got {validate.shown(found)}; gradopt.profile makes one")
    ax = axes_or_new(ax)
    low, high = found.wald
    if np.isfinite([low, high]).all():
        fine = np.linspace(min(low, found.values.min()), max(high, found.values.max()), 200)
        center, half = 0.5 * (low + high), 0.5 * (high - low)
        parabola = found.threshold * ((fine - center) / half) ** 2
        shown = parabola <= 1.5 * found.threshold
        ax.plot(fine[shown], parabola[shown], label="by the curvature", **_BY_CURVATURE)
    ax.plot(found.values, found.fun - found.minimum, marker=".", label="profile", color=colour(0))
    ends = [end for end in (found.low, found.high) if np.isfinite(end)]
    for end, name in zip(ends, ("interval", None), strict=False):
        ax.axvline(end, color=colour(1), lw=0.9, ls=":", label=name)
    ax.axhline(found.threshold, color="0.7", lw=0.8, label="its threshold")
    ax.set(xlabel=found.name, ylabel="objective above the minimum")
    legend_beside(ax, f"level {100 * found.level:g} %")
    return ax


def contour(found: Contour, *, ax: Any = None) -> Any:
    """The edge of a confidence region of two parameters beside the ellipse of the curvature at the minimum.

    Parameters
    ----------
    found : Contour
        From `gradopt.contour`.
    ax : Axes, optional
        The axes to draw on. Default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        found is no Contour.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> result = gradopt.optimize(lambda x: 0.5 * np.sum(x**2), [1.0, 1.0])
    >>> gradopt.plot.contour(gradopt.contour(result, 0, 1)).get_xlabel()
    'x[0]'
    """
    if not isinstance(found, Contour):
        raise TypeError(f"found must be a Contour, got {validate.shown(found)}; gradopt.contour makes one")
    ax = axes_or_new(ax)
    edge = {"color": colour(0)}
    for points, style, name in ((found.ellipse, _BY_CURVATURE, "by the curvature"), (found.points, edge, "profile")):
        ring = np.concatenate([points, points[:1]]) if points is found.ellipse or found.closed else points
        ax.plot(*ring.T, label=name, **style)
    ax.plot(*found.center, "+", color=colour(1), ms=9, label="minimum")
    ax.set(xlabel=found.names[0], ylabel=found.names[1])
    legend_beside(ax, f"level {100 * found.level:g} %")
    return ax


def corner(result: Any, level: float = 0.95, *, parameters: Any = None, scale: float | None = None) -> Any:
    """All pairs of parameters: profiles on the diagonal, confidence regions beside their ellipses below it.

    Parameters
    ----------
    result : OptimizeResult, LeastSquaresResult or CurveFitResult
        As for `gradopt.uncertainty`.
    level : float
        In (0, 1).
    parameters : sequence of int or str, optional
        Those to draw. Default all that are free and determined, of which there may be 8.
    scale : float, optional
        As for `gradopt.uncertainty`.

    Returns
    -------
    array of Axes

    Raises
    ------
    TypeError, ValueError
        As for `gradopt.contour`; there are more than 8 parameters.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> result = gradopt.optimize(lambda x: 0.5 * np.sum(x**2), [1.0, 1.0])
    >>> gradopt.plot.corner(result).shape
    (2, 2)
    """
    found = uncertainty(result, scale=scale)
    free = [i for i in range(len(found.names)) if found.stderr[i] > 0.0 and np.isfinite(found.stderr[i])]
    chosen = free if parameters is None else list(parameters)
    if not 1 <= len(chosen) <= 8:
        raise ValueError(f"parameters must be 1 to 8 of them, got {len(chosen)}")
    size = len(chosen)
    side = 2.2 * size + 1.0
    figure = pyplot().figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.subplots(size, size, squeeze=False, sharex="col")
    for i, down in enumerate(chosen):
        for j, across in enumerate(chosen):
            ax = axes[i, j]
            if j > i:
                ax.set_axis_off()
                continue
            if i == j:
                profile(profile_of(result, down, level, scale=scale), ax=ax)
                ax.yaxis.set_label_position("right")  # on the left stands the name of the row's parameter
                ax.set(ylabel="above the minimum", yticks=[])
            else:
                contour(region_of(result, across, down, level, scale=scale), ax=ax)
                if j > 0:
                    ax.sharey(axes[i, 0])
                    ax.tick_params(labelleft=False)
                    ax.set(ylabel="")
            ax.get_legend().remove()
            if i < size - 1:
                ax.set(xlabel="")
    names: dict[str, Any] = {}
    for ax in (axes[-1, 0], axes[0, 0]):
        names |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    place = "upper right" if size > 1 else "outside lower center"
    figure.legend(names.values(), names.keys(), loc=place, title=f"level {100 * level:g} %", frameon=False)
    return axes
