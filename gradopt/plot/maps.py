"""Maps of many fits over an image: values, standard errors, statuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.status import Status
from gradopt._results.many_fits import ManyFits
from gradopt.plot.canvas import colour, pyplot

_PER_ROW = 4
_ORDER = (2, 4, 0, 3, 1, 5, 7, 6)  # of the colours for statuses: calm ones for most
_TAILS = 2.0  # percent of the fits that may lie beyond either end of a colour scale


def maps(fits: ManyFits, *, names: Sequence[str] | None = None, figure: Any = None) -> Any:
    """Draw the parameters of many fits over an image, with their standard errors, and the statuses.

    Parameters
    ----------
    fits : ManyFits
        Of two axes, the rows and columns of an image.
    names : sequence of str, optional
        The parameters to draw. Default all that are fitted.
    figure : matplotlib Figure or SubFigure, optional
        The figure to draw in. Default a new one.

    Returns
    -------
    numpy.ndarray of Axes
        Row by row: values, then standard errors if there are any; the last is that of the statuses.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        fits are no ManyFits of two axes, or a name is not that of a parameter.

    Notes
    -----
    Fits that failed are grey. Each colour scale goes from the 2nd to the 98th percentile of what it shows.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> t, rates = np.linspace(0.0, 2.0, 9), np.linspace(0.5, 1.5, 12).reshape(3, 4)
    >>> def decay(t, amount, rate):
    ...     return amount * np.exp(-rate * t)
    >>> fits = gradopt.fit_many(decay, t, 3.0 * np.exp(-rates[..., None] * t), p0=[1.0, 1.0])
    >>> axes = gradopt.plot.maps(fits)
    >>> [ax.get_title() for ax in axes]
    ['amount', 'rate', 'error of amount', 'error of rate', 'status']
    """
    if not isinstance(fits, ManyFits):
        raise TypeError(f"fits must be ManyFits from fit_many, got {validate.shown(fits)}")
    fits = fits.compute()
    if len(fits.shape) != 2:
        raise ValueError(f"fits must have two axes, those of an image, got the shape {fits.shape}")
    chosen = list(fits.fitted_names) if names is None else list(names)
    for name in chosen:
        if name not in fits.names:
            raise ValueError(f"names must be parameters, which are {', '.join(fits.names)}, got {name!r}")
    places = [fits.names.index(name) for name in chosen]
    panels = [(name, fits.x[..., i]) for name, i in zip(chosen, places, strict=True)]
    if fits.stderr is not None:
        panels += [(f"error of {name}", fits.stderr[..., i]) for name, i in zip(chosen, places, strict=True)]
    columns = min(_PER_ROW, max(len(chosen), 1))
    rows = math.ceil((len(panels) + 1) / columns)
    if figure is None:
        figure = pyplot().figure(figsize=(3.2 * columns, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax, (title, values) in zip(axes, panels, strict=False):
        _draw_values(figure, ax, title, np.where(fits.success, values, np.nan))
    _draw_statuses(figure, axes[len(panels)], fits.status)
    for ax in axes[len(panels) + 1 :]:
        ax.set_axis_off()
    return axes[: len(panels) + 1]


def _draw_values(figure: Any, ax: Any, title: str, values: NDArray[Any]) -> None:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [_TAILS, 100.0 - _TAILS]) if known.size else (0.0, 1.0)
    ax.set_facecolor("0.75")
    image = ax.imshow(values, vmin=low, vmax=high if high > low else low + 1.0, interpolation="nearest")
    bar = figure.colorbar(image, ax=ax, shrink=0.85)
    bar.ax.tick_params(labelsize=8)
    ax.set(title=title, xticks=[], yticks=[])


def _draw_statuses(figure: Any, ax: Any, status: NDArray[np.int8]) -> None:
    plt = pyplot()
    codes, numbers, counts = np.unique(status, return_inverse=True, return_counts=True)
    colours = plt.matplotlib.colors.ListedColormap([colour(_ORDER[i % len(_ORDER)]) for i in range(max(len(codes), 1))])
    last = max(len(codes) - 0.5, 0.5)
    image = ax.imshow(numbers.reshape(status.shape), cmap=colours, vmin=-0.5, vmax=last, interpolation="nearest")
    bar = figure.colorbar(image, ax=ax, shrink=0.85, ticks=range(len(codes)))
    bar.ax.set_yticklabels([f"{Status(int(c)).name}\n{n:,}" for c, n in zip(codes, counts, strict=True)], fontsize=8)
    bar.ax.tick_params(length=0)
    ax.set(title="status", xticks=[], yticks=[])
