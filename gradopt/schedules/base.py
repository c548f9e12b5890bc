"""The base class of the schedules, the constant schedule, and a user's function as a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from gradopt._compiler import COMPILING
from gradopt._compiler.user_functions import NotCompilable, UserFunction, compiled_function
from gradopt._core import validate
from gradopt._core.config import Config, config
from gradopt._core.protocol import rate, rates


class Schedule(Config):
    """Base of the schedules.

    A schedule is a frozen configuration with a kernel registered with `gradopt.extend.rate`. `pure` says whether it is
    a function of the update count alone.
    """

    pure: ClassVar[bool] = True

    @property
    def _lowered_class(self) -> Any:
        return type(self.lower())  # a composed schedule may lower to another class

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
        self.require(rate)
        counts = np.asarray(k)
        if counts.dtype.kind not in "iu":
            raise TypeError(f"k must be an integer or an array of integers, got {validate.shown(k)}")
        if counts.size and counts.min() < 0:
            raise ValueError(f"k must be >= 0, got {counts.min()}")
        if counts.size and counts.max() >= 2**63:
            raise ValueError(f"k must be < 2**63, got {counts.max()}")
        out = np.empty(counts.shape)
        rates(self.lower(), out.reshape(-1), np.ascontiguousarray(counts, np.int64).reshape(-1))
        return out if counts.ndim else float(out)


# The learning rate of a method: a number, a schedule, or a function of the update count.
LearningRate: TypeAlias = Schedule | float | Callable[[int], float]


def as_schedule(name: str, value: Any) -> Schedule:
    """The given schedule, a number as a `Constant`, a function as a `FunctionOfCount`; errors call the value `name`."""
    if isinstance(value, Schedule):
        if value.pure:
            value.require(rate)
        return value
    return FunctionOfCount(value) if callable(value) else Constant(validate.number(name, value, 0))


def inner_schedule(name: str, value: Any) -> Schedule:
    """Like `as_schedule`, for a schedule inside another one: it must be a pure function of the update count."""
    schedule = as_schedule(name, value)
    if not schedule.pure:
        raise ValueError(f"{name} must be a pure function of the update count, got {schedule}")
    return schedule


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


class FunctionOfCount(Schedule):
    """A user's function of the update count, compiled by Numba.

    Parameters
    ----------
    function : callable
        function(k) -> float, a plain function that Numba can compile, or a compiled one.

    Raises
    ------
    TypeError, ValueError
        function(0) is not a real number, or Numba can't compile the function so that it always returns a real number.
    """

    class Lowered(NamedTuple):
        function: Any  # called with its data from outside first
        data: tuple[Any, ...]

    def __init__(self, function: Callable[[int], float]) -> None:
        validate.number("learning_rate(0)", function(0), 0)
        self.function = function
        self._compiled = _compiled(function) if COMPILING else UserFunction(lambda data, k: function(k), ())

    def __repr__(self) -> str:
        return f"FunctionOfCount({self.function})"

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(*self._compiled)


@rate.on(FunctionOfCount)
def _(schedule, k):
    return float(schedule.function(schedule.data, k))


def _compiled(function: Callable[[int], float]) -> UserFunction:
    try:
        return compiled_function(function, (types.int64,), lambda kind: isinstance(kind, (types.Float, types.Integer)))
    except NotCompilable as error:
        wanted = "a function that Numba can compile, and that returns a real number for every k"
        raise TypeError(f"learning_rate must be {wanted}; of {error}") from None
