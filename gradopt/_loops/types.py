"""What every loop is given and gives back, and the record by which the rest of the package knows a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING

RUNNING = -1  # what a loop returns in place of a `Status` while no test has stopped it


class RunArrays(NamedTuple):
    """The arrays of a run, allocated once. Floats have the dtype of x."""

    static_length: tuple[int, ...] | None  # for small n a tuple of n numbers, so that n is part of the type; else None
    x: NDArray[Any]  # (n,) the last accepted iterate
    grad: NDArray[Any]  # (n,) the gradient there
    new_x: NDArray[Any]  # (n,) the iterate to evaluate next; the start before the first evaluation
    new_grad: NDArray[Any]  # (n,) the gradient there
    best_x: NDArray[Any]  # (n,) where the lowest objective was seen
    slots: tuple[NDArray[Any], ...]  # what the method remembers
    schedule_state: NDArray[np.float64]  # (5,) what the schedule remembers
    work: Any  # what the problem asked for


class Progress(NamedTuple):
    """The numbers that change from step to step."""

    nit: int  # updates done
    memory_starts_at: int  # of these, the updates before the method began to remember
    nfev: int  # evaluations done; 0 before the start was evaluated
    fun: float  # the objective at x
    best_fun: float  # the objective at best_x
    rate: float  # the learning rate of the next update


class StopTests(NamedTuple):
    """When to stop; a negative ftol or xtol is off."""

    gtol: float
    ftol: float
    xtol: float
    target: float


class Steering(NamedTuple):
    """What limits the updates: of the gradient, of the rate, of x."""

    clipping: Any  # lowered `NoClipping` or `Clipping`
    scale: float  # a factor on the schedule's rates
    box: Any  # `numerics.bounds.Box`, or None


class Record(NamedTuple):
    """Where a chunk of the history goes: one row per accepted iterate. Arrays without rows are not written."""

    fun: NDArray[np.float64]  # (m,)
    learning_rate: NDArray[np.float64]  # (m,)
    grad_norm: NDArray[np.float64]  # (m,)
    x: NDArray[Any]  # (m, n)


@dataclass(frozen=True)
class Loop:
    """A family of methods: the loop that runs them, and all that the rest of the package asks about them.

    A method class names its family in `Method.loop`. Nothing outside this record asks which family a method belongs to.

    Attributes
    ----------
    kernel : kernel
        kernel(problem, method, steering, memory, progress, tests, record, iterates) returns (status, *progress). It
        runs that many iterates, the start among them, or until a test stops it.
    requires : tuple of generics
        What a method of the family must have a kernel for.
    batches : kernel or None
        The loop of training runs, `batches.iterate_batches`, for methods that can be trained in batches.
    max_iter : int
        The default of `optimize`.
    gtol : float
        The default of `optimize`.
    ftol : float or None
        The default of `optimize`, in units of the last place of 1; None for off.
    takes_bounds, clips, recovers : bool
        Whether `bounds`, `clip_norm` and `clip_value`, and `recover` mean something.
    non_finite : str
        What the message says of a run that diverged at update {update}, with the learning rate {rate}.
    """

    kernel: Any
    requires: tuple[Any, ...]
    batches: Any = None
    max_iter: int = 10_000
    gtol: float = 1e-5
    ftol: float | None = None
    takes_bounds: bool = False
    clips: bool = False
    recovers: bool = False
    non_finite: str = "at update {update}; x is the last finite iterate"

    @property
    def in_python(self) -> Any:
        """The same loop in Python, for problems that can't be compiled; what it calls is compiled."""
        return self.kernel.py_func if COMPILING else self.kernel
