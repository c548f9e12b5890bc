"""Schedules that decay."""

from __future__ import annotations

import math

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import rate
from gradopt.schedules.base import Schedule


@config
class InverseTimeDecay(Schedule):
    """rate(k) = initial / (1 + decay k), with k counted from 0.

    Parameters
    ----------
    initial : float
        The first rate, >= 0.
    decay : float
        The decay per update, >= 0.

    Notes
    -----
    Also called time-based decay. Equal to keras.optimizers.schedules.InverseTimeDecay(initial, 1, decay). MATLAB's
    example of a custom schedule counts k from 1 and divides by 1 + decay (k - 1), which is the same sequence.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.InverseTimeDecay(0.2, 0.01)(100)
    0.1
    """

    initial: float
    decay: float

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("decay", validate.number, 0)


@rate.on(InverseTimeDecay)
def _(schedule, k):
    return schedule.initial / (1.0 + schedule.decay * k)


@config
class ExponentialDecay(Schedule):
    """rate(k) = initial * rate**(k / steps); with `staircase`, the exponent is rounded down.

    Parameters
    ----------
    initial : float
        The first rate, >= 0.
    rate : float
        The factor over `steps` updates, > 0.
    steps : int
        The number of updates over which the rate is multiplied by the factor, >= 1.
    staircase : bool
        Keep the rate constant between multiples of `steps`.

    Notes
    -----
    Equal to keras.optimizers.schedules.ExponentialDecay and optax.exponential_decay, and with steps=1 to torch's
    ExponentialLR.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.ExponentialDecay(0.8, 0.5, steps=10)([0, 10, 20])
    array([0.8, 0.4, 0.2])
    """

    initial: float
    rate: float
    steps: int = 1
    staircase: bool = False

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("rate", validate.number, 0, above=True)
        self._check("steps", validate.integer, 1)
        self._check("staircase", validate.flag)


@rate.on(ExponentialDecay)
def _(schedule, k):
    exponent = k / schedule.steps
    if schedule.staircase:
        exponent = math.floor(exponent)
    return schedule.initial * schedule.rate ** float(exponent)


@config
class StepDecay(Schedule):
    """rate(k) = initial * factor**floor(k / every).

    Parameters
    ----------
    initial : float
        The first rate, >= 0.
    every : int
        Updates between two drops, >= 1.
    factor : float
        The factor on the rate at each drop, > 0.

    Notes
    -----
    Equal to torch.optim.lr_scheduler.StepLR, stepped after each update.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.StepDecay(1.0, every=10, factor=0.5)([0, 9, 10, 25])
    array([1.  , 1.  , 0.5 , 0.25])
    """

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("every", validate.integer, 1)
        self._check("factor", validate.number, 0, above=True)


@rate.on(StepDecay)
def _(schedule, k):
    return schedule.initial * schedule.factor ** float(k // schedule.every)


@config
class PolynomialDecay(Schedule):
    """rate(k) = final + (initial - final) (1 - min(k, steps) / steps)**power.

    Parameters
    ----------
    initial, final : float
        The first and the last rate, >= 0.
    steps : int
        The update count from which the rate is `final`, >= 1.
    power : float
        1 is a linear fall, more than 1 falls fast at first and then slowly; > 0.

    Notes
    -----
    Equal to optax.polynomial_schedule and keras.optimizers.schedules.PolynomialDecay, and with final = 0 to torch's
    PolynomialLR.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.PolynomialDecay(1.0, 0.2, steps=4)([0, 1, 2, 4, 100])
    array([1. , 0.8, 0.6, 0.2, 0.2])
    """

    initial: float
    final: float
    steps: int
    power: float = 1.0

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("final", validate.number, 0)
        self._check("steps", validate.integer, 1)
        self._check("power", validate.number, 0, above=True)


@rate.on(PolynomialDecay)
def _(schedule, k):
    left = 1.0 - min(k, schedule.steps) / schedule.steps
    return schedule.final + (schedule.initial - schedule.final) * left**schedule.power


@config
class CosineDecay(Schedule):
    """rate(k) = final + (initial - final) (1 + cos(pi min(k, steps) / steps)) / 2.

    Parameters
    ----------
    initial, final : float
        The first and the last rate, >= 0.
    steps : int
        The update count from which the rate is `final`, >= 1.

    Notes
    -----
    One period of SGDR (Loshchilov and Hutter, 2017), a half cosine. Equal to optax.cosine_decay_schedule with
    alpha = final / initial, and to torch's CosineAnnealingLR up to its T_max, after which torch's rate rises again.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.CosineDecay(1.0, steps=100)([0, 50, 100, 1000])
    array([1. , 0.5, 0. , 0. ])
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("steps", validate.integer, 1)
        self._check("final", validate.number, 0)


@rate.on(CosineDecay)
def _(schedule, k):
    if k >= schedule.steps:
        return schedule.final
    return schedule.final + (schedule.initial - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * k / schedule.steps))
