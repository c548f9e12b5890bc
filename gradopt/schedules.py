"""Learning-rate schedules: pure functions of the update count k, which starts at 0.

Each is a class and the kernel under it. `schedule(k)` evaluates the kernel from Python; the descent loop evaluates the
same kernel in machine code.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt import validate
from gradopt.config import Config, config
from gradopt.protocol import rate, rates


class Schedule(Config):
    """Base of the schedules."""

    def __call__(self, k: Any) -> float | NDArray[np.float64]:
        """The learning rate of update k.

        Parameters
        ----------
        k : int or integer array_like
            Update counts, from 0.

        Returns
        -------
        float or float64 array of the shape of k

        Raises
        ------
        TypeError, ValueError
            k is not an integer, or negative.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.InverseTimeDecay(0.2, 0.01)([0, 100, 300])
        array([0.2 , 0.1 , 0.05])
        """
        counts = np.asarray(k)
        if counts.dtype.kind not in "iu":
            raise TypeError(f"k must be an integer or an array of integers, got {validate.shown(k)}")
        if counts.size and counts.min() < 0:
            raise ValueError(f"k must be >= 0, got {counts.min()}")
        out = np.empty(counts.shape)
        rates(self.compiled(), out.reshape(-1), np.ascontiguousarray(counts, np.int64).reshape(-1))
        return out if counts.ndim else float(out)


def as_schedule(name: str, value: Any) -> Schedule:
    """A schedule as it is, a number as a `Constant`; `name` is for the error."""
    if isinstance(value, Schedule):
        return value
    return Constant(validate.number(name, value, 0))


@config
class Constant(Schedule):
    """The same rate at every update.

    Parameters
    ----------
    value : float
        The rate, >= 0.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Constant(0.1)(1000)
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        self._check("value", validate.number, 0)


@rate.on(Constant)
def _(schedule, k):
    return schedule.value


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
        Updates over which the rate falls by the factor, >= 1.
    staircase : bool
        Keep the rate constant between multiples of `steps`.

    Notes
    -----
    Equal to keras.optimizers.schedules.ExponentialDecay and optax.exponential_decay; with steps=1 to torch's
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
        What each drop multiplies the rate by, > 0.

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
class PiecewiseConstant(Schedule):
    """rate(k) = values[number of boundaries <= k].

    Parameters
    ----------
    values : sequence of float
        The rates, each >= 0; one more than there are boundaries.
    boundaries : sequence of int
        The update counts at which the next value begins, increasing, each >= 1.

    Notes
    -----
    A value begins at its boundary, as in torch's MultiStepLR and optax.piecewise_constant_schedule; keras's
    PiecewiseConstantDecay begins it one update later.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.PiecewiseConstant([0.1, 0.01], [50])([49, 50])
    array([0.1 , 0.01])
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        self._check("values", _numbers)
        self._check("boundaries", _increasing)
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values must be one more than boundaries, got {len(self.values)} values"
                f" and {len(self.boundaries)} boundaries"
            )


def _items(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) or not np.iterable(value):
        raise TypeError(f"{name} must be a sequence, got {validate.shown(value)}")
    return list(value)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    return tuple(validate.number(f"{name}[{i}]", item, 0) for i, item in enumerate(_items(name, value)))


def _increasing(name: str, value: Any) -> tuple[int, ...]:
    counts = tuple(validate.integer(f"{name}[{i}]", item, 1) for i, item in enumerate(_items(name, value)))
    if any(later <= earlier for earlier, later in pairwise(counts)):
        raise ValueError(f"{name} must increase, got {validate.shown(value)}")
    return counts


@rate.on(PiecewiseConstant)
def _(schedule, k):
    position = 0
    while position < schedule.boundaries.size and schedule.boundaries[position] <= k:
        position += 1
    return schedule.values[position]


@config
class CosineDecay(Schedule):
    """rate(k) = final + (initial - final) (1 + cos(pi min(k, steps) / steps)) / 2.

    Parameters
    ----------
    initial, final : float
        The first and the last rate, >= 0.
    steps : int
        The update count at which `final` is reached and from which it is held, >= 1.

    Notes
    -----
    One half-period of SGDR (Loshchilov and Hutter, 2017). Equal to optax.cosine_decay_schedule with
    alpha = final / initial, and to torch's CosineAnnealingLR up to its T_max, after which torch rises again.

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


@config
class Warmup(Schedule):
    """A linear ramp over `steps` updates, then another schedule from its own beginning.

    rate(k) = schedule(0) (start_factor + (1 - start_factor) k / steps) for k < steps, then schedule(k - steps).

    Parameters
    ----------
    schedule : Schedule or float
        What follows the ramp; a float stays constant.
    steps : int
        The length of the ramp in updates, >= 1.
    start_factor : float
        Where the ramp begins, as a share of schedule(0), in [0, 1].

    Notes
    -----
    Equal to torch's SequentialLR of a LinearLR and another scheduler, and to optax.join_schedules of a linear_schedule
    and another.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Warmup(gradopt.StepDecay(0.4, every=2, factor=0.5), steps=4)([0, 1, 2, 3, 4, 6])
    array([0. , 0.1, 0.2, 0.3, 0.4, 0.2])
    """

    schedule: Schedule | float
    steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            self._check("schedule", validate.number, 0)
        self._check("steps", validate.integer, 1)
        self._check("start_factor", validate.number, 0, 1)
        if isinstance(self.schedule, PerEpoch):
            raise ValueError(f"schedule must be a function of the update count, got {self.schedule}")

    def _lowered(self, dtype: Any) -> Any:
        return super()._lowered(dtype)._replace(schedule=as_schedule("schedule", self.schedule).compiled(dtype))


@rate.on(Warmup)
def _(schedule, k):
    if k >= schedule.steps:
        return rate(schedule.schedule, k - schedule.steps)
    start = schedule.start_factor
    return rate(schedule.schedule, 0) * (start + (1.0 - start) * k / schedule.steps)


@config
class PerEpoch(Schedule):
    """A schedule that is given the number of the epoch, and not of the update; made by `per_epoch`."""

    schedule: Schedule

    def __repr__(self) -> str:
        return f"per_epoch({self.schedule!r})"

    def _lowered(self, dtype: Any) -> Any:
        return self.schedule.compiled(dtype)


def per_epoch(schedule: Schedule) -> PerEpoch:
    """A schedule as a function of the epoch, counted from 0, on training runs.

    Parameters
    ----------
    schedule : Schedule
        Any other one; its k is then the epoch.

    Returns
    -------
    PerEpoch
        For the learning_rate of a method.

    Raises
    ------
    TypeError
        schedule is no schedule, or one by epoch already.

    Notes
    -----
    As torch's schedulers are, when they are stepped once an epoch.

    Examples
    --------
    >>> import gradopt
    >>> schedule = gradopt.per_epoch(gradopt.StepDecay(0.1, every=10))
    >>> gradopt.SGD(schedule).learning_rate([0, 10])
    array([0.1 , 0.01])
    """
    if not isinstance(schedule, Schedule) or isinstance(schedule, PerEpoch):
        raise TypeError(f"schedule must be a schedule of the update count, got {validate.shown(schedule)}")
    return PerEpoch(schedule)
