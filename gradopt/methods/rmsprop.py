"""RMSprop: gradients divided by the root of a moving average of their squares.

    g <- grad + weight_decay x
    v <- alpha v + (1 - alpha) g**2
    a <- alpha a + (1 - alpha) g                            only if centered
    d <- g / (sqrt(v) + eps), or g / (sqrt(v - a**2) + eps) if centered
    b <- momentum b + d                                     only with momentum
    x <- x - rate b, or rate d without momentum

G. Hinton, Neural networks for machine learning, lecture 6e, 2012; centered: A. Graves, Generating sequences with
recurrent neural networks, arXiv 1308.0850, 2013; in the form of torch.optim.RMSprop.
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
class RMSprop(FirstOrderMethod):
    """RMSprop: gradients divided by their recent root mean square.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, >= 0.
    alpha : float
        The decay of the moving averages, in [0, 1].
    eps : float
        Added to the divisor, >= 0.
    weight_decay : float or tuple of float
        Adds weight_decay * x to the gradient, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.
    momentum : float
        The share of the last step that is kept, in [0, 1).
    centered : bool
        Divide by the estimated standard deviation instead of the root mean square.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x::

        v = alpha * v + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g                        # if centered
        d = g / (sqrt(v - a**2 if centered else v) + eps)
        b = momentum * b + d                                   # with momentum
        x = x - rate * (b if momentum else d)

    Equal to torch.optim.RMSprop. optax.rmsprop has eps inside the root by default, and other defaults.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.RMSprop(0.01), target=1e-3).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("mean_square", "mean_gradient", "momentum_buffer")

    learning_rate: LearningRate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check("alpha", validate.number, 0, 1)
        self._check("eps", validate.number, 0)
        self._check_weight_decay()
        self._check("momentum", validate.number, 0, 1, below=True)
        self._check("centered", validate.flag)


@update.on(RMSprop)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    alpha, rest, momentum = real(method.alpha), real(1.0 - method.alpha), real(method.momentum)
    rate, eps, weight_decay = real(rate), real(method.eps), real(method.weight_decay)
    centered, with_momentum = method.centered, method.momentum > 0.0
    squares, means, buffer = slots
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        variance = squares[j] = alpha * squares[j] + rest * g * g
        if centered:
            means[j] = alpha * means[j] + rest * g
            variance -= means[j] * means[j]
        step = g / (math.sqrt(variance) + eps)
        if with_momentum:
            step = buffer[j] = momentum * buffer[j] + step
        x[j] -= rate * step
