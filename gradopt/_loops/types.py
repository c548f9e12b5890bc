"""What every loop receives and returns, and the record that describes a loop to the rest of the package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING
from gradopt._core.protocol import value_and_grad

NO_LIMIT = sys.maxsize

RUNNING = -1  # returned by a loop in place of a `Status` if no test has stopped it


class RunArrays(NamedTuple):
    """The arrays of a run, allocated once. Floats have the dtype of x."""

    static_length: tuple[int, ...] | None  # for small n a tuple of n numbers, which makes n part of the type; else None
    x: NDArray[Any]  # (n,) the last accepted iterate
    grad: NDArray[Any]  # (n,) the gradient there
    new_x: NDArray[Any]  # (n,) the iterate to evaluate next; the start before the first evaluation
    new_grad: NDArray[Any]  # (n,) the gradient there
    best_x: NDArray[Any]  # (n,) where the lowest objective was seen
    slots: tuple[NDArray[Any], ...]  # what the method remembers
    schedule_state: NDArray[np.float64]  # (5,) what the schedule remembers
    work: Any  # the workspace of the problem


class Progress(NamedTuple):
    """The numbers that change from step to step."""

    nit: int  # updates done
    memory_starts_at: int  # the value of nit when the method began to remember
    nfev: int  # evaluations done; 0 before the start was evaluated
    fun: float  # the objective at x
    best_fun: float  # the objective at best_x
    rate: float  # the learning rate of the next update


class StopTests(NamedTuple):
    """When to stop; a negative ftol or xtol is off.

    The last two concern loops that may evaluate more than once for an iterate; the others are told how many iterates to
    run.
    """

    gtol: float
    ftol: float
    xtol: float
    target: float
    max_nfev: int = NO_LIMIT  # in place of the evaluation after that many, the loop ends with MAX_NFEV
    pause_at: int = NO_LIMIT  # the loop returns RUNNING when it has an iterate and has made that many


class Steering(NamedTuple):
    """The limits on an update: on the gradient, on the rate, on x."""

    clipping: Any  # lowered `NoClipping` or `Clipping`
    scale: float  # a factor on the schedule's rates
    box: Any  # `_numerics.bounds.Box`, or None
    parts: Any  # `parts.Parts`, or None if all parameters are updated alike


class Record(NamedTuple):
    """A chunk of the history, one row per accepted iterate. Arrays without rows are not written."""

    fun: NDArray[np.float64]  # (m,)
    learning_rate: NDArray[np.float64]  # (m,)
    grad_norm: NDArray[np.float64]  # (m,)
    x: NDArray[Any]  # (m, n)


@dataclass(frozen=True)
class Loop:
    """A family of methods: the loop that runs them, and everything that the rest of the package needs to know of them.

    A method class names its family in `Method.loop`. No other code asks which family a method belongs to.

    Attributes
    ----------
    kernel : kernel
        kernel(problem, method, steering, arrays, progress, tests, record, iterates) returns (status, *progress). It
        runs that many iterates, the start included, or until a test stops it.
    requires : tuple of generics
        The generics that a method of the family must implement.
    batches : kernel or None
        The loop of training runs, `batches.iterate_batches`, for methods that can be trained in batches.
    max_iter : int
        The default of `optimize`.
    gtol : float or None
        The default of `optimize`; None if the methods look at no gradient.
    ftol, xtol : float or None
        The defaults of `optimize`; None for off. Each default is at least `noise` units of the last place of 1.
    noise : float
        The error of a relative change, in units of the last place.
    evaluates : generic
        What the loop calls to evaluate a problem: `value_and_grad`, or `gauss_newton` for sums of squares alone.
    by_values : bool
        Whether the loop uses no gradients, so that none need be computed.
    takes_bounds, clips, recovers : bool
        Whether the methods support `bounds`, `clip_norm` and `clip_value`, and `recover`.
    non_finite : str
        The end of the message for a run that diverged at update {update}, with the learning rate {rate}.
    """

    kernel: Any
    requires: tuple[Any, ...]
    batches: Any = None
    max_iter: int = 10_000
    gtol: float | None = 1e-5
    ftol: float | None = None
    xtol: float | None = None
    noise: float = 10.0
    evaluates: Any = value_and_grad
    by_values: bool = False
    takes_bounds: bool = False
    clips: bool = False
    recovers: bool = False
    non_finite: str = "at update {update}; x is the last finite iterate"

    def tolerance(self, default: float | None, dtype: Any) -> float | None:
        """A default tolerance in the precision of x."""
        return None if default is None else max(default, self.noise * float(np.finfo(dtype).eps))

    @property
    def in_python(self) -> Any:
        """The same loop in Python, for problems that can't be compiled; the kernels that it calls are compiled."""
        return self.kernel.py_func if COMPILING else self.kernel
