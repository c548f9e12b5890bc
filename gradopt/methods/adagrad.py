"""Adagrad: each parameter has its own rate, which falls with the sum of its squared gradients.

    g <- grad + weight_decay x
    s <- s + g**2                                        s = initial_accumulator_value at first
    x <- x - rate / (1 + lr_decay k) g / (sqrt(s) + eps)

J. Duchi, E. Hazan and Y. Singer, Adaptive subgradient methods for online learning and stochastic optimization, JMLR 12,
2011, in the form of torch.optim.Adagrad.
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
class Adagrad(FirstOrderMethod):
    """Adagrad: rates that fall with the sum of squared gradients.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, >= 0.
    lr_decay : float
        The rate of update k is divided by 1 + lr_decay * k, >= 0.
    weight_decay : float or tuple of float
        Adds weight_decay * x to the gradient, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.
    initial_accumulator_value : float
        The initial value of the sum, >= 0.
    eps : float
        Added to the divisor, >= 0.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x::

        s = s + g**2
        x = x - rate / (1 + lr_decay * k) * g / (sqrt(s) + eps)

    Equal to torch.optim.Adagrad. optax.adagrad has eps inside the root and other defaults.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.Adagrad(0.5), target=1e-8).status.name
    'TARGET'
    """

    slots: ClassVar[tuple[str, ...]] = ("sum_of_squares",)

    learning_rate: LearningRate = 0.01
    lr_decay: float = 0.0
    weight_decay: float | tuple[float, ...] = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check_weight_decay()
        for field in ("lr_decay", "initial_accumulator_value", "eps"):
            self._check(field, validate.number, 0)


@update.on(Adagrad)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    step, weight_decay, eps = real(rate / (1.0 + method.lr_decay * k)), real(method.weight_decay), real(method.eps)
    initial = real(method.initial_accumulator_value if k == 0 else 0.0)
    (squares,) = slots
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        squares[j] = (initial + squares[j]) + g * g
        x[j] -= step * g / (math.sqrt(squares[j]) + eps)
