"""What `optimize` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import scipy.optimize
from numpy.typing import NDArray

from gradopt.methods import Method


class OptimizeResult(scipy.optimize.OptimizeResult):  # type: ignore[misc]
    """The result of a run, a dictionary whose keys are attributes too.

    Attributes
    ----------
    x : ndarray (n,)
        The last accepted iterate.
    fun : float
        The objective at x.
    jac : ndarray (n,)
        The gradient at x.
    best_x : ndarray (n,)
        Where the lowest objective was seen.
    best_fun : float
        The objective at best_x.
    nit : int
        Updates done, over all resumed calls.
    nfev, njev : int
        Evaluations of the objective and of the gradient in this call, as really spent.
    status : Status
        Why the run ended.
    success : bool
        Whether it ended as wished: `status.success`.
    message : str
        The same for a reader.
    history : History
        What was recorded.
    state : State
        What `optimize(..., state=...)` goes on from.
    compile_time : float
        Seconds of this call that went into compilation.
    """


@dataclass(frozen=True, eq=False)
class State:
    """Where a run stands: everything that `optimize(..., state=...)` needs to go on. Not changed by use.

    Attributes
    ----------
    method : Method
        The method of the run.
    nit : int
        Updates done.
    x : ndarray (n,)
        The last accepted iterate.
    slots : tuple of ndarray (n,)
        What the method remembers.
    fun, best_fun : float
        The objective at x and at best_x.
    best_x : ndarray (n,)
        Where the lowest objective was seen.
    """

    method: Method
    nit: int
    x: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    fun: float
    best_fun: float
    best_x: NDArray[Any]

    def __repr__(self) -> str:
        return f"State(after {self.nit} updates by {self.method}, {self.x.size} parameters of {self.x.dtype})"
