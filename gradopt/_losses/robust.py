"""Losses of a sum of squares that weigh large residuals less, in the words of scipy.optimize.least_squares.

With z = (residual / scale)**2 the objective is 1/2 scale**2 sum rho(z). Each function returns rho(z) and its first two
derivatives; in NumPy, so that they serve arrays and traces alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._core import validate


def _linear(z: Any) -> tuple[Any, Any, Any]:
    return z, np.ones_like(z), np.zeros_like(z)


def _soft_l1(z: Any) -> tuple[Any, Any, Any]:
    root = np.sqrt(1.0 + z)
    return 2.0 * z / (root + 1.0), 1.0 / root, -0.5 / root**3


def _huber(z: Any) -> tuple[Any, Any, Any]:
    near = z <= 1.0
    root = np.sqrt(np.where(near, 1.0, z))
    return np.where(near, z, 2.0 * root - 1.0), 1.0 / root, np.where(near, 0.0, -0.5 / root**3)


def _cauchy(z: Any) -> tuple[Any, Any, Any]:
    return np.log1p(z), 1.0 / (1.0 + z), -1.0 / (1.0 + z) ** 2


def _arctan(z: Any) -> tuple[Any, Any, Any]:
    slope = 1.0 / (1.0 + z * z)
    return np.arctan(z), slope, -2.0 * z * slope**2


LOSSES: dict[str, Callable[[Any], tuple[Any, Any, Any]]] = {
    "linear": _linear,
    "soft_l1": _soft_l1,
    "huber": _huber,
    "cauchy": _cauchy,
    "arctan": _arctan,
}


def checked_loss(loss: Any) -> Any:
    """The loss, if it is the name of one or a function rho(z) -> (3, m); else an error."""
    return loss if callable(loss) else validate.choice("loss", loss, LOSSES)


def of_squares(loss: Any, residual: Any, scale: float) -> tuple[Any, Any]:
    """The objective and the weights of the residuals: its gradient is J'(weights residual).

    loss : a name, or a function
    residual : array (m,), traced or not
    """
    if loss == "linear":
        return 0.5 * np.sum(residual * residual), None
    z = (residual / scale) ** 2
    rho, slope, _ = LOSSES[loss](z) if isinstance(loss, str) else loss(z)
    return 0.5 * scale**2 * np.sum(rho), slope


def spread_of(loss: Any, residual: Any, scale: float) -> float:
    """The mean second derivative of the loss of a residual."""
    return float(np.mean(curvature_of(loss, residual, scale)))


def curvature_of(loss: Any, residual: Any, scale: float) -> Any:
    """The second derivative of each residual's loss, rho' + 2 z rho''."""
    z = (residual / scale) ** 2
    _, slope, curvature = LOSSES[loss](z) if isinstance(loss, str) else loss(z)
    return slope + 2.0 * z * curvature


def curvature_weights(loss: Any, residual: Any, scale: float) -> Any:
    """The roots of the second derivatives of each residual's loss, or of eps where they are less."""
    if loss == "linear":
        return np.ones_like(residual)
    return np.sqrt(np.maximum(curvature_of(loss, residual, scale), np.finfo(float).eps))


def of_counts(model: Any, counts: Any, constant: float) -> tuple[Any, Any, Any]:
    """Minus the log-likelihood of Poisson counts, its slopes by the model, and the weights of the information.

    sum of f - y log f + log y!, 1 - y / f, and 1 / f: its gradient is J'slopes, the expected information
    J' diag(weights) J (P. McCullagh and J. Nelder, Generalized Linear Models, 1989, section 2.5).

    constant : sum of log y!
    """
    model = np.where(model > 0.0, model, np.nan)
    logs = np.where(counts > 0.0, counts * np.log(np.where(counts > 0.0, model, 1.0)), 0.0)
    return np.sum(model - logs) + constant, 1.0 - counts / model, 1.0 / model
