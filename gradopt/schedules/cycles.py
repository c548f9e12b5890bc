"""Schedules that rise and fall."""

from __future__ import annotations

import math
from typing import Any

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import rate
from gradopt.schedules.base import Schedule


@config
class CosineWarmRestarts(Schedule):
    """Half cosines from `initial` to `final`, each `multiplier` times as long as the one before.

    rate = final + (initial - final) (1 + cos(pi c / p)) / 2, with c the updates since the last restart and p the length
    of the current period: period, period * multiplier, period * multiplier**2, ...

    Parameters
    ----------
    initial : float
        The rate after each restart, >= 0.
    period : int
        The length of the first period in updates, >= 1.
    multiplier : int
        The factor from the length of one period to the next, >= 1.
    final : float
        The rate that each period approaches, >= 0.

    Notes
    -----
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017. Equal to torch's
    CosineAnnealingWarmRestarts.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.CosineWarmRestarts(1.0, period=2, multiplier=2)([0, 1, 2, 4, 6])
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    initial: float
    period: int
    multiplier: int = 1
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("initial", validate.number, 0)
        self._check("period", validate.integer, 1)
        self._check("multiplier", validate.integer, 1)
        self._check("final", validate.number, 0)


@rate.on(CosineWarmRestarts)
def _(schedule, k):
    since, length = k, schedule.period
    if schedule.multiplier == 1:
        since = k % length
    else:
        while since >= length:
            since -= length
            length *= float(schedule.multiplier)  # an integer would overflow
    share = 0.5 * (1.0 + math.cos(math.pi * since / length))
    return schedule.final + (schedule.initial - schedule.final) * share


@config
class OneCycle(Schedule):
    """A rise to `maximum`, then a fall far below the first rate, both half cosines; then the rate is constant.

    Parameters
    ----------
    maximum : float
        The highest rate, >= 0.
    steps : int
        The total number of updates, >= 1.
    pct_start : float
        The share of the updates in which the rate rises, in [0, 1].
    div_factor : float
        The first rate is maximum / div_factor, > 0.
    final_div_factor : float
        The last rate is the first rate / final_div_factor, > 0.

    Notes
    -----
    L. N. Smith and N. Topin, Super-convergence: very fast training of neural networks using large learning rates, 2017.
    Equal to torch's OneCycleLR with its phases: the maximum at k = pct_start * steps - 1, the end at k = steps - 1. The
    momentum does not change. torch raises an error after the end.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.OneCycle(1.0, steps=11, pct_start=0.5, div_factor=10.0)([0, 4, 5, 10, 50]).round(3)
    array([0.1  , 0.973, 0.98 , 0.   , 0.   ])
    """

    maximum: float
    steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._check("maximum", validate.number, 0)
        self._check("steps", validate.integer, 1)
        self._check("pct_start", validate.number, 0, 1)
        self._check("div_factor", validate.number, 0, above=True)
        self._check("final_div_factor", validate.number, 0, above=True)


@rate.on(OneCycle)
def _(schedule, k):
    initial = schedule.maximum / schedule.div_factor
    final = initial / schedule.final_div_factor
    top, end = schedule.pct_start * schedule.steps - 1.0, schedule.steps - 1.0
    if k <= top:
        begin, finish, share = initial, schedule.maximum, k / top if top > 0.0 else 1.0
    else:
        begin, finish, share = schedule.maximum, final, min((k - top) / (end - top), 1.0) if end > top else 1.0
    return finish + (begin - finish) * 0.5 * (1.0 + math.cos(math.pi * share))


_MODES = ("triangular", "triangular2", "exp_range")


@config
class Cyclic(Schedule):
    """A triangle wave between `low` and `high`.

    Parameters
    ----------
    low, high : float
        The lowest and the highest rate, 0 <= low <= high.
    steps_up : int
        Updates from low to high, >= 1.
    steps_down : int, optional
        Updates from high to low, >= 1. Default steps_up.
    mode : {"triangular", "triangular2", "exp_range"}
        The height is constant, halves with each cycle, or is multiplied by gamma**k.
    gamma : float
        For "exp_range", in (0, 1].

    Notes
    -----
    L. N. Smith, Cyclical learning rates for training neural networks, WACV 2017. Equal to torch's CyclicLR, except that
    the momentum does not change.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Cyclic(0.0, 1.0, steps_up=2)([0, 1, 2, 3, 4])
    array([0. , 0.5, 1. , 0.5, 0. ])
    """

    low: float
    high: float
    steps_up: int
    steps_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        self._check("low", validate.number, 0)
        self._check("high", validate.number, self.low)
        self._check("steps_up", validate.integer, 1)
        if self.steps_down is not None:
            self._check("steps_down", validate.integer, 1)
        self._check("mode", validate.choice, _MODES)
        self._check("gamma", validate.number, 0, 1, above=True)

    def _lower(self, dtype: Any) -> Any:
        down = self.steps_up if self.steps_down is None else self.steps_down
        return self._lower_with(dtype, steps_down=down, mode=_MODES.index(self.mode))


@rate.on(Cyclic)
def _(schedule, k):
    length = schedule.steps_up + schedule.steps_down
    cycle, since = k // length, k % length
    rising = since <= schedule.steps_up
    share = since / schedule.steps_up if rising else (length - since) / schedule.steps_down
    height = (schedule.high - schedule.low) * share
    if schedule.mode == 1:
        height *= 0.5 ** float(cycle)
    elif schedule.mode == 2:
        height *= schedule.gamma ** float(k)
    return schedule.low + height
