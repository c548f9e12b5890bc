"""Lion: steps by the sign of an interpolated momentum.

    c <- betas[0] m + (1 - betas[0]) grad
    x <- x - rate (sign(c) + weight_decay x)
    m <- betas[1] m + (1 - betas[1]) grad

X. Chen et al., Symbolic discovery of optimization algorithms, arXiv 2302.06675, 2023, in the form of optax.lion.
"""

from __future__ import annotations

from typing import ClassVar

from gradopt._core.config import config
from gradopt._core.protocol import update
from gradopt.methods.base import FirstOrderMethod
from gradopt.schedules import LearningRate


@config
class Lion(FirstOrderMethod):
    """Lion: steps of equal length in every parameter, with the sign of a momentum.

    Parameters
    ----------
    learning_rate : float or Schedule
        The length of a step in each parameter, >= 0; usually a tenth of a good rate for Adam.
    betas : (float, float)
        The decays of the momentum, for the step and for the momentum itself, each in [0, 1).
    weight_decay : float or tuple of float
        Decoupled: x also moves by -rate * weight_decay * x, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient::

        c = betas[0] * m + (1 - betas[0]) * g
        x = x - rate * (sign(c) + weight_decay * x)
        m = betas[1] * m + (1 - betas[1]) * g

    Equal to optax.lion; torch has no counterpart.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.Lion(1e-3), target=1e-3).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    learning_rate: LearningRate = 0.0001
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float | tuple[float, ...] = 0.001

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check_betas()
        self._check_weight_decay()


@update.on(Lion)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    rate, weight_decay, zero, one = real(rate), real(method.weight_decay), real(0.0), real(1.0)
    b1, c1 = real(method.betas[0]), real(1.0 - method.betas[0])
    b2, c2 = real(method.betas[1]), real(1.0 - method.betas[1])
    (momentum,) = slots
    for j in range(x.size):
        c = b1 * momentum[j] + c1 * grad[j]
        sign = one if c > zero else (-one if c < zero else zero)
        x[j] -= rate * (sign + weight_decay * x[j])
        momentum[j] = b2 * momentum[j] + c2 * grad[j]
