"""What `optimize` returns."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from gradopt.methods import Method
from gradopt.storage import save


class OptimizeResult(scipy.optimize.OptimizeResult):  # type: ignore[misc]
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

    def save(self, path: Any) -> None:
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
        save(path, self)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where a training run stands beside its parameters.

    Attributes
    ----------
    batch_size : int or None
        Rows of a batch; None: all.
    shuffle : bool
        Whether each epoch has an order of its own.
    rows : int
        Rows of the data.
    bit_generator : str
        The class of the source of random orders, in numpy.random.
    rng_state : dict
        Its state before the order of the current epoch was drawn.
    epoch : int
        Epochs completed.
    row : int
        Rows of the current epoch that were used.
    total : float
        The sum of their losses.
    monitor : str
        What is monitored.
    best : float
        The lowest value of it so far.
    waited : int
        Epochs since then.
    """

    batch_size: int | None
    shuffle: bool
    rows: int
    bit_generator: str
    rng_state: Mapping[str, Any]
    epoch: int
    row: int
    total: float
    monitor: str
    best: float
    waited: int


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
    slots : tuple of ndarray
        What the method remembers.
    origin : int
        The updates before those that the slots remember; 0 unless a run was recovered.
    schedule_state : ndarray (5,)
        What the schedule remembers.
    scale : float
        What the rates of the schedule are multiplied by; 1 unless a run was recovered.
    fun, best_fun : float
        The objective at x and at best_x.
    best_x : ndarray (n,)
        Where the lowest objective was seen.
    training : TrainingState or None
        What a training run needs beside that.
    """

    method: Method
    nit: int
    x: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    origin: int
    schedule_state: NDArray[np.float64]
    scale: float
    fun: float
    best_fun: float
    best_x: NDArray[Any]
    training: TrainingState | None = None

    def __repr__(self) -> str:
        return f"State(after {self.nit} updates by {self.method}, {self.x.size} parameters of {self.x.dtype})"
