"""Composed schedules: in pieces, one after the other, by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import rate
from gradopt.schedules.base import LearningRate, Schedule, as_schedule, inner_schedule


@config
class PiecewiseConstant(Schedule):
    """rate(k) = values[number of boundaries <= k].

    Parameters
    ----------
    values : sequence of float
        The rates, each >= 0; one more than boundaries.
    boundaries : sequence of int
        The update counts at which the next value begins, increasing, each >= 1.

    Notes
    -----
    A value begins at its boundary, as in torch's MultiStepLR and optax.piecewise_constant_schedule; in Keras's
    PiecewiseConstantDecay, it begins one update later.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.PiecewiseConstant([0.1, 0.01], [50])([49, 50])
    array([0.1 , 0.01])
    """

    values: Sequence[float]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        self._check("values", _numbers)
        self._check("boundaries", _increasing)
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values must have one item more than boundaries, got {len(self.values)} values"
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
class Warmup(Schedule):
    """A linear ramp over `steps` updates, then another schedule from its own beginning.

    rate(k) = schedule(0) (start_factor + (1 - start_factor) k / steps) for k < steps, then schedule(k - steps).

    Parameters
    ----------
    schedule : Schedule, float or function of k
        The schedule after the ramp; a float is constant.
    steps : int
        The length of the ramp in updates, >= 1.
    start_factor : float
        The start of the ramp, as a share of schedule(0), in [0, 1].

    Notes
    -----
    Equal to torch's SequentialLR of a LinearLR and another scheduler, and to optax.join_schedules of a linear_schedule
    and another schedule.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Warmup(gradopt.StepDecay(0.4, every=2, factor=0.5), steps=4)([0, 1, 2, 3, 4, 6])
    array([0. , 0.1, 0.2, 0.3, 0.4, 0.2])
    """

    schedule: LearningRate
    steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        inner_schedule("schedule", self.schedule)
        self._check("steps", validate.integer, 1)
        self._check("start_factor", validate.number, 0, 1)

    def _lower(self, dtype: Any) -> Any:
        return self._lower_with(dtype, schedule=as_schedule("schedule", self.schedule).lower(dtype))


@rate.on(Warmup)
def _(schedule, k):
    if k >= schedule.steps:
        return rate(schedule.schedule, k - schedule.steps)
    start = schedule.start_factor
    return rate(schedule.schedule, 0) * (start + (1.0 - start) * k / schedule.steps)


@config
class Join(Schedule):
    """Schedules one after the other, each given k minus its boundary.

    Parameters
    ----------
    schedules : sequence of Schedule, float or function of k
        At least one.
    boundaries : sequence of int
        The update counts at which the second and each later schedule begins, increasing, each >= 1.

    Notes
    -----
    Equal to optax.join_schedules, and to torch's SequentialLR.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Join([0.1, gradopt.ExponentialDecay(0.4, 0.5)], [3])([0, 2, 3, 4, 5])
    array([0.1, 0.1, 0.4, 0.2, 0.1])
    """

    schedules: Sequence[LearningRate]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        schedules = _items("schedules", self.schedules)
        for i, schedule in enumerate(schedules):
            inner_schedule(f"schedules[{i}]", schedule)
        object.__setattr__(self, "schedules", tuple(schedules))
        self._check("boundaries", _increasing)
        if len(schedules) != len(self.boundaries) + 1:
            raise ValueError(
                f"schedules must have one item more than boundaries, got {len(schedules)} schedules"
                f" and {len(self.boundaries)} boundaries"
            )

    def _lower(self, dtype: Any) -> Any:
        lowered = [as_schedule("schedules", schedule).lower(dtype) for schedule in self.schedules]
        lengths = [later - earlier for earlier, later in pairwise((0, *self.boundaries))]
        joined = lowered[-1]
        for one, length in zip(reversed(lowered[:-1]), reversed(lengths), strict=True):
            joined = _Pair.Lowered(one, length, joined)
        return joined


class _Pair:
    """The kernel form of a `Join`: one schedule for `length` updates, then another."""

    class Lowered(NamedTuple):
        first: Any
        length: int
        then: Any


@rate.on(_Pair)
def _(schedule, k):
    if k < schedule.length:
        return rate(schedule.first, k)
    return rate(schedule.then, k - schedule.length)


@config
class PerEpoch(Schedule):
    """A schedule whose k is the number of the epoch, not of the update; made by `per_epoch`."""

    pure = False

    schedule: Schedule

    def __repr__(self) -> str:
        return f"per_epoch({self.schedule!r})"

    def _lower(self, dtype: Any) -> Any:
        return self.schedule.lower(dtype)


def per_epoch(schedule: Schedule) -> PerEpoch:
    """Turn a schedule into a function of the epoch, counted from 0, for training runs.

    Parameters
    ----------
    schedule : Schedule or callable
        Any other schedule, or a function; its k is then the epoch.

    Returns
    -------
    PerEpoch
        For the learning_rate of a method.

    Raises
    ------
    TypeError
        schedule is not a schedule, or is not a pure function of the update count, such as one by epoch already.

    Notes
    -----
    Equivalent to stepping torch's schedulers once per epoch.

    Examples
    --------
    >>> import gradopt
    >>> schedule = gradopt.per_epoch(gradopt.StepDecay(0.1, every=10))
    >>> gradopt.SGD(schedule).learning_rate([0, 10])
    array([0.1 , 0.01])
    """
    if callable(schedule):
        schedule = as_schedule("schedule", schedule)
    if not isinstance(schedule, Schedule) or not schedule.pure:
        raise TypeError(f"schedule must be a pure schedule of the update count, got {validate.shown(schedule)}")
    return PerEpoch(schedule)
