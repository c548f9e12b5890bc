"""Gradient descent, with momentum.

    g <- grad + weight_decay x
    b <- g                               at the first update
    b <- momentum b + (1 - dampening) g  later
    d <- g + momentum b                  with Nesterov momentum
    d <- b                               else; g where momentum = 0
    x <- x - rate d

B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964; Y. Nesterov, 1983, in the form of
I. Sutskever, J. Martens, G. Dahl and G. Hinton, On the importance of initialization and momentum in deep learning,
ICML 2013, in the form of torch.optim.SGD. The rate multiplies the buffer; Keras and scikit-learn have it inside, which
makes a difference as soon as the rate changes.
"""

from __future__ import annotations

from typing import ClassVar

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import update
from gradopt.methods.base import FirstOrderMethod
from gradopt.schedules import LearningRate


@config
class SGD(FirstOrderMethod):
    """Gradient descent, with momentum.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, >= 0.
    momentum : float
        The share of the last step that is kept, in [0, 1).
    dampening : float
        The gradient enters the momentum with weight 1 - dampening, in [0, 1]; at the first update with weight 1.
    nesterov : bool
        Nesterov momentum; needs momentum > 0 and dampening = 0.
    weight_decay : float or tuple of float
        Adds weight_decay * x to the gradient, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x, and b = g at the first update::

        b = momentum * b + (1 - dampening) * g
        x = x - rate * (g + momentum * b if nesterov else b)

    Equal to torch.optim.SGD, and to optax.sgd if dampening = 0. The default rate is 0.01, in torch 0.001.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0)
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    learning_rate: LearningRate = 0.01
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check("momentum", validate.number, 0, 1, below=True)
        self._check("dampening", validate.number, 0, 1)
        self._check("nesterov", validate.flag)
        self._check_weight_decay()
        if self.nesterov and (self.momentum == 0.0 or self.dampening != 0.0):
            raise ValueError(
                "nesterov needs momentum > 0 and dampening = 0,"
                f" got momentum={self.momentum} and dampening={self.dampening}"
            )

    @property
    def has_memory(self) -> bool:
        return self.momentum != 0.0


@update.on(SGD)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    rate, momentum, weight_decay = real(rate), real(method.momentum), real(method.weight_decay)
    (buffer,) = slots
    if momentum + weight_decay == 0.0:  # one test per step for two numbers >= 0
        for j in range(x.size):
            x[j] -= rate * grad[j]
    elif momentum == 0.0:
        for j in range(x.size):
            x[j] -= rate * (grad[j] + weight_decay * x[j])
    else:
        share = real(1.0) if k == 0 else real(1.0 - method.dampening)
        for j in range(x.size):
            g = grad[j] + weight_decay * x[j]
            buffer[j] = momentum * buffer[j] + share * g
            x[j] -= rate * (g + momentum * buffer[j] if method.nesterov else buffer[j])
