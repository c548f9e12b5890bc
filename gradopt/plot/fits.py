"""The plot of a fitted curve: data with error bars, the model with its band, residuals below."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._core import validate
from gradopt._results.curve_fit_result import CurveFitResult
from gradopt.plot.canvas import colour, legend_beside, pyplot

_FINE = 400  # points of the curve


def fitted_curve(fit: CurveFitResult, *, level: float = 0.95, figure: Any = None) -> Any:
    """Draw a fit: what `CurveFitResult.plot` does.

    Parameters
    ----------
    fit : CurveFitResult
        Of one predictor: xdata is a vector.
    level : float
        The level of the bands, in (0, 1).
    figure : matplotlib Figure or SubFigure, optional
        The figure to draw in. Default a new one.

    Returns
    -------
    tuple of Axes
        Of the curve and of the residuals.
    """
    x, y, sigma = fit.data
    if not isinstance(x, np.ndarray) or x.ndim != 1:
        raise ValueError(f"plot needs an xdata that is a vector, got {validate.shown(x)}")
    if figure is None:
        figure = pyplot().figure(figsize=(7.6, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bars = {"fmt": "o", "ms": 3.5, "lw": 1.0, "color": "0.35", "zorder": 3}
    upper.errorbar(x, y, sigma, label="data", **bars)
    fine = np.linspace(x.min(), x.max(), _FINE)
    upper.plot(fine, fit.predict(fine), color=colour(0), label="fit", zorder=4)
    bands = ((fit.prediction_band, 0.12, "new data"), (fit.confidence_band, 0.35, "curve"))
    for band, shade, name in bands:
        low, high = band(fine, level)
        if np.isfinite(low).all() and np.isfinite(high).all():
            label = f"{name}, {100 * level:g} % band"
            upper.fill_between(fine, low, high, color=colour(0), alpha=shade, lw=0, label=label)
    lower.axhline(0.0, color=colour(0), lw=1.0)
    lower.errorbar(x, fit.residuals, sigma, **bars)
    upper.set(ylabel="y")
    lower.set(xlabel="x", ylabel="residual")
    legend_beside(upper)
    return upper, lower
