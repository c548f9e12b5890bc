"""What `optimize` returns."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core.status import Status
from gradopt._results import storage
from gradopt._results.history import History
from gradopt._results.state import State
from gradopt._tape.graph.node import TooLong
from gradopt.problems import Traced

if TYPE_CHECKING:
    _Base = dict[str, Any]  # scipy's class has no types, and would hide a wrong name
else:
    from scipy.optimize import OptimizeResult as _Base


class OptimizeResult(_Base):
    """The result of a run, a dictionary whose keys are attributes too.

    Attributes
    ----------
    x : ndarray (n,)
        The last accepted iterate; of a training run with validation the best epoch's, unless restore_best=False.
    fun : float
        The objective at x; on a training run over all rows.
    jac : ndarray (n,) or None
        The gradient at x; None on a training run.
    best_x : ndarray (n,)
        Where the lowest objective was seen; on a training run the best epoch's, by what is monitored.
    best_fun : float
        The objective at best_x; on a training run the validation loss of that epoch, or, without validation, its loss.
    nit : int
        Updates done, over all resumed calls.
    nfev, njev : int
        Evaluations of the objective, those for differences included, and of the gradient in this call, as really
        spent; of a batch, or of all rows.
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
    problem : Traced
        Of a function that was traced: the problem, which `save` keeps with the result.

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
    problem: Traced
    epoch: int  # of what a callback sees on a training run, as the two below
    val_fun: float
    val_accuracy: float

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        shown = {
            "message": self.get("message"),
            "objective": self.get("fun"),
            "x": np.array2string(np.asarray(self.get("x")), precision=6, threshold=10, edgeitems=3),
            "updates": self.get("nit"),
            "evaluations": self.get("nfev"),
        }
        rows = (f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in shown.items())
        return f"<table>{''.join(rows)}</table>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to a file from which `load` gives it back.

        Parameters
        ----------
        path : str or path
            One .npz file, without pickle. An older file of that name stays whole until the new one is.

        Raises
        ------
        TypeError
            The method has a function of one's own as schedule, which a file can't hold.
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


def load(path: str | os.PathLike[str]) -> OptimizeResult:
    """Read what `OptimizeResult.save` or a `checkpoint` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    OptimizeResult
        With the same numbers; `state` goes on where the run stopped. A checkpoint holds what its callback saw, which is
        no ended run: it has no status, message or history.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, was changed, is of another version, or no result at all.

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
        return _made(facts, arrays)
    except (ValueError, KeyError, TypeError, IndexError, TooLong) as error:
        raise ValueError(f"{path} holds no result that could go on here: {error}") from None


# In a file, the parts of the state, the history and the problem have names such as "state.x".


def _described(result: OptimizeResult) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A result as facts for JSON and as arrays, by name."""
    facts: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in result.items():
        if key == "state":
            state, parts = value.described()
            facts["training"] = state.pop("training")
            facts |= {f"state.{name}": fact for name, fact in state.items()}
            arrays |= {f"state.{name}": part for name, part in parts.items()}
        elif key == "problem":
            facts["problem"], parts = value.described()
            arrays |= {f"problem.{name}": part for name, part in parts.items()}
        elif key == "history":
            facts["history"] = list(value)
            arrays |= {f"history.{name}": value[name] for name in value}
        elif isinstance(value, np.ndarray):
            arrays[key] = value
        else:
            facts[key] = value
    return facts, arrays


def _made(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> OptimizeResult:
    """The result that `_described` took apart."""
    values = facts | arrays
    plain = [name for name in values if "." not in name and name not in ("training", "history", "problem")]
    result = OptimizeResult({name: values[name] for name in plain})
    if "status" in facts:
        result.status = Status(facts["status"])
    if "history" in facts:
        result.history = History(**{name: arrays[f"history.{name}"] for name in facts["history"]})
    if "problem" in facts:
        result.problem = Traced.made(facts["problem"], _below("problem.", arrays))
    state = _below("state.", facts) | {"training": facts["training"]}
    result.state = State.made(state, _below("state.", arrays))
    return result


def _below(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
