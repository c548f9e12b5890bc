"""Losses of a residual r = prediction - data, each with its slope.

A loss is the mean of `pointwise` over all numbers, converted by `from_mean`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from gradopt._compiler import generic
from gradopt._core import validate
from gradopt._core.config import Config, config


@generic(in_sums=True)
def pointwise(loss: Any, residual: float) -> tuple[float, float]:
    """The (value, slope) of one residual's loss; the slope times the factor of `from_mean` is the derivative."""
    raise TypeError(f"{type(loss).__name__} is not registered as a loss")


@generic
def from_mean(loss: Any, mean: float) -> tuple[float, float]:
    """The (objective, factor) from the mean of the pointwise losses; the factor scales the mean of the slopes."""
    raise TypeError(f"{type(loss).__name__} is not registered as a loss")


class Loss(Config):
    """Base of the losses."""

    # Whether the mean is taken over the numbers of a row too, not only over the rows.
    mean_over_outputs: ClassVar[bool] = True


@config
class MeanSquaredError(Loss):
    """mean r**2; "mse"."""


@config
class MeanAbsoluteError(Loss):
    """mean abs(r), with derivative 0 at r = 0; "mae"."""


@config
class RootMeanSquaredError(Loss):
    """sqrt(mean r**2), with derivative 0 where all residuals are 0; "rmse"."""


@config
class HalfSquaredError(Loss):
    """mean r**2 / 2, summed over several outputs; "half_squared_error"."""

    mean_over_outputs = False


@config
class Huber(Loss):
    """mean of r**2 / 2 where abs(r) <= 1 and abs(r) - 1/2 beyond; "huber" (P. J. Huber, 1964, with delta = 1)."""


@config
class Quantile(Loss):
    """mean of (1 - q) r where r > 0 and -q r where r < 0, with derivative 0 at r = 0; "quantile".

    The prediction that minimises it is the q-quantile (R. Koenker and G. Bassett, 1978).
    """

    q: float = 0.5


_LOSSES: dict[str, Loss] = {
    "mse": MeanSquaredError(),
    "mae": MeanAbsoluteError(),
    "rmse": RootMeanSquaredError(),
    "half_squared_error": HalfSquaredError(),
    "huber": Huber(),
}


def loss_named(name: Any) -> Loss:
    """The loss with this name; raises a ValueError if there is none."""
    return _LOSSES[validate.choice("loss", name, _LOSSES)]


@pointwise.on(RootMeanSquaredError)
@pointwise.on(MeanSquaredError)
def _(loss, residual):
    return residual * residual, residual


@pointwise.on(MeanAbsoluteError)
def _(loss, residual):
    return abs(residual), (residual > 0) * 1.0 - (residual < 0) * 1.0


@pointwise.on(HalfSquaredError)
def _(loss, residual):
    return 0.5 * residual * residual, residual


@pointwise.on(Huber)
def _(loss, residual):
    slope = min(max(residual, -1.0), 1.0)
    return slope * (residual - 0.5 * slope), slope


@pointwise.on(Quantile)
def _(loss, residual):
    slope = (residual > 0) * (1.0 - loss.q) - (residual < 0) * loss.q
    return slope * residual, slope


@from_mean.on(MeanSquaredError)
def _(loss, mean):
    return mean, 2.0


@from_mean.on(MeanAbsoluteError)
@from_mean.on(HalfSquaredError)
@from_mean.on(Huber)
@from_mean.on(Quantile)
def _(loss, mean):
    return mean, 1.0


@from_mean.on(RootMeanSquaredError)
def _(loss, mean):
    root = math.sqrt(mean)
    return root, 1.0 / root if root > 0.0 else 0.0
