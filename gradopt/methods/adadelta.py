"""Adadelta: steps in the units of the parameters, from moving averages of squared gradients and squared steps.

    g <- grad + weight_decay x
    v <- rho v + (1 - rho) g**2
    d <- sqrt(u + eps) / sqrt(v + eps) g
    u <- rho u + (1 - rho) d**2
    x <- x - rate d

M. D. Zeiler, ADADELTA: an adaptive learning rate method, arXiv 1212.5701, 2012, in the form of torch.optim.Adadelta.
"""

from __future__ import annotations

import math
from typing import ClassVar

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import update
from gradopt.methods.base import FirstOrderMethod
from gradopt.schedules import LearningRate


@config
class Adadelta(FirstOrderMethod):
    """Adadelta: steps scaled by the ratio of past steps to past gradients.

    Parameters
    ----------
    learning_rate : float or Schedule
        The factor on the step, >= 0.
    rho : float
        The decay of the moving averages, in [0, 1].
    eps : float
        Added under both roots, >= 0; with 0, x never moves.
    weight_decay : float or tuple of float
        Adds weight_decay * x to the gradient, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x::

        v = rho * v + (1 - rho) * g**2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        x = x - rate * d

    Equal to torch.optim.Adadelta, and to optax.adadelta with its eps and rate.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.Adadelta(), target=1e-4).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("squared_gradients", "squared_steps")

    learning_rate: LearningRate = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check("rho", validate.number, 0, 1)
        self._check("eps", validate.number, 0)
        self._check_weight_decay()


@update.on(Adadelta)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    rate, rho, rest = real(rate), real(method.rho), real(1.0 - method.rho)
    eps, weight_decay = real(method.eps), real(method.weight_decay)
    gradients, steps = slots
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        gradients[j] = rho * gradients[j] + rest * g * g
        step = math.sqrt(steps[j] + eps) / math.sqrt(gradients[j] + eps) * g
        steps[j] = rho * steps[j] + rest * step * step
        x[j] -= rate * step
