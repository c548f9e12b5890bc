"""Adam and its variants: steps from moving averages m of the gradient and v of its square.

    g <- grad + weight_decay x          AdamW instead: x <- (1 - rate weight_decay) x, and g <- grad
    m <- b1 m + (1 - b1) g
    v <- b2 v + (1 - b2) g**2
    with t = k + 1, m' = m / (1 - b1**t) and v' = v / (1 - b2**t):

    Adam, AdamW   x <- x - rate m' / (sqrt(v') + eps); with AMSGrad, v' from the largest v so far
    Adamax        u <- max(b2 u, abs(g) + eps) in place of v; x <- x - rate m' / u
    NAdam         mu_t = b1 (1 - 0.96**(t momentum_decay) / 2), P = mu_1 ... mu_t;
                  x <- x - rate ((1 - mu_t) / (1 - P) g + mu_{t+1} / (1 - P mu_{t+1}) m) / (sqrt(v') + eps)
    RAdam         r_t = r - 2 t b2**t / (1 - b2**t) with r = 2 / (1 - b2) - 1;
                  x <- x - rate m' sqrt((r_t - 4) (r_t - 2) r / ((r - 4) (r - 2) r_t)) sqrt(1 - b2**t) / (sqrt(v) + eps)
                  where r_t > 5, else x <- x - rate m'

D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithms 1 and 2 (Adamax);
S. J. Reddi, S. Kale and S. Kumar, On the convergence of Adam and beyond, ICLR 2018 (AMSGrad); I. Loshchilov and
F. Hutter, Decoupled weight decay regularization, ICLR 2019 (AdamW); T. Dozat, Incorporating Nesterov momentum into
Adam, ICLR workshop 2016 (NAdam); L. Liu et al., On the variance of the adaptive learning rate and beyond, ICLR 2020
(RAdam). All in the form of torch.optim.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import update
from gradopt.methods.base import FirstOrderMethod
from gradopt.schedules import LearningRate


class _MomentMethod(FirstOrderMethod):
    """Base of the methods of this file."""

    betas: tuple[float, float]
    eps: float
    weight_decay: float | tuple[float, ...]

    def __post_init__(self) -> None:
        self._check_learning_rate()
        self._check_betas()
        self._check("eps", validate.number, 0)
        self._check_weight_decay()


class _Adam(NamedTuple):
    """The lowered form of Adam and AdamW, for the kernel of both."""

    learning_rate: Any  # lowered
    betas: Any
    eps: float
    coupled: float  # weight decay in the gradient
    decoupled: float  # weight decay of x itself
    amsgrad: bool


@config
class Adam(_MomentMethod):
    """Adam: momentum, divided by the root of the mean squared gradient.

    Parameters
    ----------
    learning_rate : float or Schedule
        The step size, >= 0; about the length of a step in each parameter.
    betas : (float, float)
        The decays of the moving averages of the gradient and of its square, each in [0, 1).
    eps : float
        Added to the divisor, >= 0.
    weight_decay : float or tuple of float
        Adds weight_decay * x to the gradient, >= 0; `AdamW` decouples it. A tuple is for the weights of a network's
        layers, one number for each or for all; its biases have none.
    amsgrad : bool
        Divide by the largest mean square so far (AMSGrad).

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x, and t = k + 1::

        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        x = x - rate * m / (1 - betas[0]**t) / (sqrt(v / (1 - betas[1]**t)) + eps)

    Equal to torch.optim.Adam. Keras and scikit-learn add eps before the correction of v. In AMSGrad, torch and gradopt
    take the largest v, optax the largest corrected v.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.Adam(0.05), max_iter=5000).success
    True
    """

    Lowered: ClassVar[Any] = _Adam
    slots: ClassVar[tuple[str, ...]] = ("mean", "mean_square", "largest_mean_square")

    learning_rate: LearningRate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.0
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("amsgrad", validate.flag)

    def _lower_with(self, dtype: Any, **instead: Any) -> Any:
        return super()._lower_with(dtype, coupled=self.weight_decay, decoupled=0.0, **instead)


@config
class AdamW(_MomentMethod):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    learning_rate, betas, eps, amsgrad
        As for `Adam`.
    weight_decay : float or tuple of float
        Decoupled: x also moves by -rate * weight_decay * x, >= 0. A tuple is for the weights of a network's layers, one
        number for each or for all; its biases have none.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    Equal to torch.optim.AdamW. The default weight_decay is 1e-4 in optax and 4e-3 in Keras.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.AdamW(weight_decay=0.1)
    AdamW(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.1, amsgrad=False)
    """

    Lowered: ClassVar[Any] = _Adam
    slots: ClassVar[tuple[str, ...]] = Adam.slots

    learning_rate: LearningRate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.01
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("amsgrad", validate.flag)

    def _lower_with(self, dtype: Any, **instead: Any) -> Any:
        return super()._lower_with(dtype, coupled=0.0, decoupled=self.weight_decay, **instead)


@update.on(Adam)  # also for AdamW, whose lowered form has the same class
def _(method, slots, x, grad, rate, k):
    real, t = x.dtype.type, k + 1.0
    b1, c1 = real(method.betas[0]), real(1.0 - method.betas[0])
    b2, c2 = real(method.betas[1]), real(1.0 - method.betas[1])
    step, root = real(rate / (1.0 - method.betas[0] ** t)), real(math.sqrt(1.0 - method.betas[1] ** t))
    eps, coupled, keep = real(method.eps), real(method.coupled), real(1.0 - rate * method.decoupled)
    mean, square, largest = slots
    amsgrad = method.amsgrad
    for j in range(x.size):
        g = grad[j] + coupled * x[j]
        mean[j] = b1 * mean[j] + c1 * g
        v = square[j] = b2 * square[j] + c2 * g * g
        if amsgrad:
            v = largest[j] = largest[j] if largest[j] > v else v
        x[j] = keep * x[j] - step * mean[j] / (math.sqrt(v) / root + eps)


@config
class Adamax(_MomentMethod):
    """Adam with the largest recent gradient instead of the root mean square.

    Parameters
    ----------
    learning_rate, betas, weight_decay
        As for `Adam`.
    eps : float
        Added to abs(g), >= 0.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x, and t = k + 1::

        m = betas[0] * m + (1 - betas[0]) * g
        u = max(betas[1] * u, abs(g) + eps)
        x = x - rate / (1 - betas[0]**t) * m / u

    Equal to torch.optim.Adamax; optax.adamax adds eps to u.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.Adamax(0.01), target=1e-6).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "largest")

    learning_rate: LearningRate = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.0


@update.on(Adamax)
def _(method, slots, x, grad, rate, k):
    real = x.dtype.type
    b1, c1, b2 = real(method.betas[0]), real(1.0 - method.betas[0]), real(method.betas[1])
    step = real(rate / (1.0 - method.betas[0] ** (k + 1.0)))
    eps, weight_decay = real(method.eps), real(method.weight_decay)
    mean, largest = slots
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        mean[j] = b1 * mean[j] + c1 * g
        old, new = b2 * largest[j], abs(g) + eps
        largest[j] = old if old > new else new
        x[j] -= step * mean[j] / largest[j]


@config
class NAdam(_MomentMethod):
    """Adam with Nesterov momentum.

    Parameters
    ----------
    learning_rate, betas, eps, weight_decay
        As for `Adam`.
    momentum_decay : float
        How fast the momentum coefficient grows to betas[0], >= 0.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x, m and v as in Adam, t = k + 1 and P the product of all mu so far::

        mu = betas[0] * (1 - 0.5 * 0.96**(t * momentum_decay)), and next likewise for t + 1
        x = x - rate * ((1 - mu) / (1 - P) * g + next / (1 - P * next) * m) / (sqrt(v / (1 - betas[1]**t)) + eps)

    Equal to torch.optim.NAdam, but P has the dtype of x, not torch's default dtype.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.NAdam(0.01), target=1e-6).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "mean_square", "momentum_product")  # P is element 0 of the last one

    learning_rate: LearningRate = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.0
    momentum_decay: float = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("momentum_decay", validate.number, 0)


@update.on(NAdam)
def _(method, slots, x, grad, rate, k):
    real, t = x.dtype.type, k + 1.0
    b1, c1 = real(method.betas[0]), real(1.0 - method.betas[0])
    b2, c2 = real(method.betas[1]), real(1.0 - method.betas[1])
    mean, square, kept = slots
    mu = method.betas[0] * (1.0 - 0.5 * 0.96 ** (t * method.momentum_decay))
    following = method.betas[0] * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * method.momentum_decay))
    product = mu * (1.0 if k == 0 else kept[0])
    kept[0] = product
    of_g, of_m = real(rate * (1.0 - mu) / (1.0 - product)), real(rate * following / (1.0 - product * following))
    root, eps = real(math.sqrt(1.0 - method.betas[1] ** t)), real(method.eps)
    weight_decay = real(method.weight_decay)
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        mean[j] = b1 * mean[j] + c1 * g
        square[j] = b2 * square[j] + c2 * g * g
        x[j] -= (of_g * g + of_m * mean[j]) / (math.sqrt(square[j]) / root + eps)


@config
class RAdam(_MomentMethod):
    """Rectified Adam: divides by the root mean square only when it is known well enough.

    Parameters
    ----------
    learning_rate, betas, eps, weight_decay
        As for `Adam`.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    Notes
    -----
    With g the gradient plus weight_decay * x, m and v as in Adam, t = k + 1 and r = 2 / (1 - betas[1]) - 1::

        r_t = r - 2 * t * betas[1]**t / (1 - betas[1]**t)
        s = sqrt((r_t - 4) * (r_t - 2) * r / ((r - 4) * (r - 2) * r_t)) * sqrt(1 - betas[1]**t)
        x = x - rate * m / (1 - betas[0]**t) * (s / (sqrt(v) + eps) if r_t > 5 else 1)

    Equal to torch.optim.RAdam; optax.radam divides if r_t >= 5.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.optimize(gradopt.problems.Quadratic(2.0), [1.0], method=gradopt.RAdam(0.01), target=1e-6).success
    True
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "mean_square")

    learning_rate: LearningRate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | tuple[float, ...] = 0.0


@update.on(RAdam)
def _(method, slots, x, grad, rate, k):
    real, t = x.dtype.type, k + 1.0
    b1, c1 = real(method.betas[0]), real(1.0 - method.betas[0])
    b2, c2 = real(method.betas[1]), real(1.0 - method.betas[1])
    eps, weight_decay = real(method.eps), real(method.weight_decay)
    power = method.betas[1] ** t
    limit = 2.0 / (1.0 - method.betas[1]) - 1.0
    length = limit - 2.0 * t * power / (1.0 - power)
    step = rate / (1.0 - method.betas[0] ** t)
    divides = length > 5.0
    if divides:
        share = (length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length)
        step *= math.sqrt(share * (1.0 - power))
    step = real(step)
    mean, square = slots
    for j in range(x.size):
        g = grad[j] + weight_decay * x[j]
        mean[j] = b1 * mean[j] + c1 * g
        square[j] = b2 * square[j] + c2 * g * g
        x[j] -= step * mean[j] / (math.sqrt(square[j]) + eps) if divides else step * mean[j]
