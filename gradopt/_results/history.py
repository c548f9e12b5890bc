"""The history of a run: columns of equal length, one row per record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas


class History:
    """The recorded columns as arrays: `history.fun`, or `history["fun"]`.

    Attributes
    ----------
    nit : int64 array (m,)
        The update count.
    fun : float64 array (m,)
        The objective.
    learning_rate : float64 array (m,)
        The rate of the update that starts at this row; for line-search methods, the length of the step that led to it,
        in units of the direction (0 at the start).
    grad_norm : float64 array (m,)
        The Euclidean norm of the gradient.
    val_fun, val_accuracy : float64 array (m,)
        Loss and accuracy on the validation rows, if given.
    retry : int64 array (m,)
        The number of attempts after divergence so far; only with `recover`.
    x : float array (m, n)
        The iterates; only with record="x".

    Examples
    --------
    >>> import gradopt
    >>> problem = gradopt.problems.Quadratic(2.0)
    >>> history = gradopt.optimize(problem, method=gradopt.SGD(0.25), max_iter=3).history
    >>> history
    History(4 records of nit, fun, learning_rate, grad_norm)
    >>> history.fun
    array([1.      , 0.25    , 0.0625  , 0.015625])
    """

    nit: NDArray[np.int64]
    fun: NDArray[np.float64]
    learning_rate: NDArray[np.float64]
    grad_norm: NDArray[np.float64]
    x: NDArray[Any]
    retry: NDArray[np.int64]
    val_fun: NDArray[np.float64]
    val_accuracy: NDArray[np.float64]

    def __init__(self, **columns: NDArray[Any]) -> None:
        self.__dict__.update(columns)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.__dict__[column]  # type: ignore[no-any-return]

    if not TYPE_CHECKING:  # otherwise a type checker would accept any name as a column

        def __getattr__(self, column: str) -> NDArray[Any]:
            hint = '; it needs record="x"' if column == "x" else ""
            raise AttributeError(f"the history has no {column!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.nit)

    def __repr__(self) -> str:
        return f"History({len(self)} records of {', '.join(self)})"

    def to_frame(self) -> pandas.DataFrame:
        """The columns as a pandas DataFrame; x becomes the columns x0, x1, ...

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError('to_frame needs pandas: pip install "gradopt[frame]", or pip install pandas') from None
        frame = pandas.DataFrame({name: self[name] for name in self if name != "x"})
        if "x" in self:
            frame = frame.join(pandas.DataFrame(self.x).add_prefix("x"))
        return frame
