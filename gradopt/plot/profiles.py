"""Plots of profiles, of confidence regions, and of all pairs of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._api.contour import contour as region_of
from gradopt._api.profile import profile as profile_of
from gradopt._api.uncertainty import uncertainty
from gradopt._core import validate
from gradopt._results.profile import Contour, Profile
from gradopt.plot.canvas import axes_or_new, pyplot

_CURVE = {"color": "C0", "lw": 1.6}
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
    ax.plot(found.values, found.fun - found.minimum, marker=".", label="profile", **_CURVE)
    ax.axhline(found.threshold, color="0.7", lw=0.8, label=f"{100 * found.level:g} %")
    for end in (found.low, found.high):
        if np.isfinite(end):
            ax.axvline(end, color="C0", lw=0.8, ls=":")
    ax.set(xlabel=found.name, ylabel="objective above the minimum")
    ax.legend(frameon=False)
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
    for points, style, name in ((found.ellipse, _BY_CURVATURE, "by the curvature"), (found.points, _CURVE, "profile")):
        ring = np.concatenate([points, points[:1]]) if points is found.ellipse or found.closed else points
        ax.plot(*ring.T, label=f"{name}, {100 * found.level:g} %", **style)
    ax.plot(*found.center, "+", color="C3", ms=9)
    ax.set(xlabel=found.names[0], ylabel=found.names[1])
    ax.legend(frameon=False)
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
    side = max(2.0 * size, 3.0)
    axes = pyplot().figure(figsize=(side + 1.0, side + 0.5), layout="constrained").subplots(size, size, squeeze=False)
    for i, down in enumerate(chosen):
        for j, across in enumerate(chosen):
            ax = axes[i, j]
            if j > i:
                ax.set_axis_off()
            elif i == j:
                profile(profile_of(result, down, level, scale=scale), ax=ax)
                ax.set(ylabel="", yticks=[])
            else:
                contour(region_of(result, across, down, level, scale=scale), ax=ax)
            if ax.get_legend() is not None:
                ax.get_legend().remove()
            if i < size - 1:
                ax.set(xlabel="")
            if j > 0:
                ax.set(ylabel="")
    return axes
