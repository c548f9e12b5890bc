"""The result of `optimize`, and its files."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core.status import Status
from gradopt._network import Dense, Network
from gradopt._results import storage
from gradopt._results.curve_fit_result import CurveFitResult
from gradopt._results.history import History
from gradopt._results.many_fits import ManyFits
from gradopt._results.many_results import ManyResults
from gradopt._results.shown import as_html, as_text, described
from gradopt._results.state import State
from gradopt._tape.graph.node import TooLong
from gradopt.problems import Traced

if TYPE_CHECKING:
    _Base = dict[str, Any]  # scipy's class is untyped and would hide wrong names
else:
    from scipy.optimize import OptimizeResult as _Base


class OptimizeResult(_Base):
    """The result of a run: a dictionary whose keys are also attributes.

    Attributes
    ----------
    x : ndarray (n,)
        The last accepted iterate; on a training run with validation, that of the best epoch unless restore_best=False.
    fun : float
        The objective at x; on a training run, over all rows.
    jac : ndarray (n,) or None
        The gradient at x; None on a training run.
    best_x : ndarray (n,)
        The point with the lowest objective; on a training run, that of the best epoch by the monitored measure.
    best_fun : float
        The objective at best_x; on a training run, the validation loss of that epoch, or its loss without validation.
    nit : int
        The number of updates, over all resumed calls.
    nfev, njev : int
        The actual number of evaluations of the objective (including those for differences) and of the gradient in this
        call; each over a batch or over all rows.
    status : Status
        The reason why the run ended.
    success : bool
        Whether the run succeeded: `status.success`.
    message : str
        The reason in words.
    history : History
        The recorded values.
    state : State
        The state to resume from, with `optimize(..., state=...)`.
    compile_time : float
        The seconds of this call spent on compilation.
    active_mask : int64 array (n,)
        Only with bounds: -1 for a parameter at its lower bound, 1 for one at its upper bound, else 0.
    at_bound : bool array (n,)
        Only with bounds: whether a parameter is at one.
    bounds : ndarray (n, 2)
        Only with bounds: those that were given.
    nhev, nhpv : int
        Only with `TrustRegion`: the number of Hessians evaluated, and of their products with vectors.
    problem : Problem
        What was minimised: a problem, or the trace of a function, which `save` keeps with the result; a copy by pickle
        holds nothing else, either.
    network : Network
        Only for problems with one: it is saved, and reads the parameters, as in `result.network.forward(result.x, X)`.

    Examples
    --------
    >>> import gradopt
    >>> result = gradopt.optimize(lambda x: (x[0] - 1.0) ** 2 + x[1] ** 4, [0.0, 0.0], gtol=1e-4)
    >>> result.success, result.status, result.nit == result.history.nit[-1]
    (True, <Status.GTOL: 0>, np.True_)
    """

    x: NDArray[Any]
    fun: float
    jac: NDArray[Any] | None
    best_x: NDArray[Any]
    best_fun: float
    nit: int
    nfev: int
    njev: int
    status: Status
    success: bool
    message: str
    history: History
    state: State
    compile_time: float
    active_mask: NDArray[np.int64]
    at_bound: NDArray[np.bool_]
    bounds: NDArray[Any]
    nhev: int
    nhpv: int
    problem: Any
    network: Network
    epoch: int  # this and the two below: only in the result that a callback gets on a training run
    val_fun: float
    val_accuracy: float

    def __copy__(self) -> OptimizeResult:
        return type(self)(self)

    def __deepcopy__(self, memo: Any) -> OptimizeResult:
        return type(self)({key: v if key == "problem" else copy.deepcopy(v, memo) for key, v in self.items()})

    def __reduce__(self) -> Any:
        kept = {key: value for key, value in self.items() if key != "problem" or isinstance(value, Traced)}
        return type(self), (kept,)

    def __repr__(self) -> str:
        """The verdict, and what was found; `dict(result)` has everything."""
        return as_text(described(self))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        return as_html(described(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to a file that `load` can read.

        Parameters
        ----------
        path : str or path
            An .npz file, without pickle. It replaces an older file of that name only when it is complete.

        Raises
        ------
        TypeError
            The method has your own function as its schedule, which can't be saved.
        OSError
            The file can't be written.

        Examples
        --------
        >>> import gradopt, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
        >>> result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3), max_iter=10)
        >>> result.save(path)
        >>> print(gradopt.load(path).fun == result.fun)
        True
        """
        facts, arrays = _described(self)
        storage.write(Path(path), facts, arrays)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run: a KeyboardInterrupt with the run so far.

    Attributes
    ----------
    result : OptimizeResult, ManyFits or ManyResults
        The result after the last completed update; its `state` resumes the run. Of many, those that are done.

    Examples
    --------
    >>> import gradopt
    >>> try:
    ...     result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3))
    ... except gradopt.Interrupted as interruption:
    ...     result = interruption.result
    """

    def __init__(self, result: OptimizeResult | ManyFits | ManyResults) -> None:
        super().__init__(f"{result.message}; .result has the run so far")
        self.result = result


def load(path: str | os.PathLike[str]) -> Any:
    """Read a file written by the `save` of a result, or by a `checkpoint`.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    OptimizeResult, CurveFitResult, ManyFits or ManyResults
        The same numbers as saved. A fit has all but its model. Of a run, `state` resumes where the run stopped. A
        checkpoint holds the intermediate result of its callback, which has no status, message or history.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        The file is damaged, was changed, has another version, or is not a result.

    Examples
    --------
    >>> import gradopt, os, tempfile
    >>> problem, path = gradopt.problems.Rosenbrock(), os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> gradopt.optimize(problem, method=gradopt.SGD(1e-3), max_iter=10).save(path)
    >>> gradopt.optimize(problem, state=gradopt.load(path).state, max_iter=5).nit
    15
    """
    path = Path(path)
    facts, arrays = storage.read(path)
    try:
        made = _KINDS.get(facts.get("kind"), _made)  # type: ignore[arg-type]
        return made(facts, arrays)
    except (ValueError, KeyError, TypeError, IndexError, TooLong) as error:
        raise ValueError(f"{path} does not hold a result that can be used here: {error}") from None


# What files hold besides runs.
_KINDS: dict[str, Callable[..., Any]] = {
    "curve_fit": CurveFitResult.made,
    "fit_many": ManyFits.made,
    "optimize_many": ManyResults.made,
}


# In a file, the parts of the state, the history and the problem are named like "state.x".


def _described(result: OptimizeResult) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A result as facts for JSON and arrays, by name."""
    facts: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in result.items():
        if key == "state":
            state, parts = value.described()
            facts["training"] = state.pop("training")
            facts |= {f"state.{name}": fact for name, fact in state.items()}
            arrays |= {f"state.{name}": part for name, part in parts.items()}
        elif key == "problem":
            if not isinstance(value, Traced):
                continue  # others have data and functions of their own
            facts["problem"], parts = value.described()
            arrays |= {f"problem.{name}": part for name, part in parts.items()}
        elif key == "network":
            facts["network"] = [[layer.n_in, layer.n_out, layer.activation, layer.bias] for layer in value.layers]
        elif key == "history":
            facts["history"] = list(value)
            arrays |= {f"history.{name}": value[name] for name in value}
        elif isinstance(value, np.ndarray):
            arrays[key] = value
        else:
            facts[key] = value
    return facts, arrays


def _made(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> OptimizeResult:
    """The result from the output of `_described`."""
    values = facts | arrays
    plain = [name for name in values if "." not in name and name not in ("training", "history", "problem", "network")]
    result = OptimizeResult({name: values[name] for name in plain})
    if "status" in facts:
        result.status = Status(facts["status"])
    if "history" in facts:
        result.history = History(**{name: arrays[f"history.{name}"] for name in facts["history"]})
    if "network" in facts:
        result.network = Network([Dense(*layer) for layer in facts["network"]])
    if "problem" in facts:
        result.problem = Traced.made(facts["problem"], _below("problem.", arrays))
    state = _below("state.", facts) | {"training": facts["training"]}
    result.state = State.made(state, _below("state.", arrays))
    return result


def _below(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
