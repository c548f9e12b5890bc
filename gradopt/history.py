"""What a run records: columns of equal length, one row a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradopt.loop import Record

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
        The rate of the update that starts there; of line-search methods the step, in units of the direction, that led
        there, 0 at the start.
    grad_norm : float64 array (m,)
        The Euclidean norm of the gradient.
    val_fun, val_accuracy : float64 array (m,)
        Loss and accuracy on the validation rows, where there are any.
    retry : int64 array (m,)
        The attempts after divergence so far; only with `recover`.
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

    def __init__(self, **columns: NDArray[Any]) -> None:
        self.__dict__.update(columns)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.__dict__[column]  # type: ignore[no-any-return]

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


class Recorder:
    """Grows the columns as the run goes on and lends the loop a view of the next rows.

    Parameters
    ----------
    record : {"scalars", "x", None}
        What to keep: the numbers, the iterates too, or nothing.
    n : int
        The number of parameters.
    dtype : dtype of x
    first_nit : int
        The update count of the first row; each further row is one update later.
    """

    def __init__(self, record: str | None, n: int, dtype: Any, first_nit: int) -> None:
        self._keeps_scalars = record is not None
        self._keeps_x = record == "x"
        self._scalars = np.empty((3, 0))
        self._x = np.empty((0, n), dtype)
        self._first_nit = first_nit
        self._rows = 0
        self._retries: list[int] = []

    def next_rows(self, count: int) -> Record:
        """A view of the rows after those that were kept, for the loop to write."""
        if not self._keeps_scalars:
            return Record(self._scalars[0], self._scalars[1], self._scalars[2], self._x)
        needed = self._rows + count
        capacity = self._scalars.shape[1]
        if needed > capacity:
            capacity = max(needed, 2 * capacity, _FIRST_CAPACITY)
            self._scalars, scalars = np.empty((3, capacity)), self._scalars
            if self._rows:
                self._scalars[:, : self._rows] = scalars[:, : self._rows]
            if self._keeps_x:
                self._x, x = np.empty((capacity, self._x.shape[1]), self._x.dtype), self._x
                self._x[: self._rows] = x[: self._rows]
        scalars = self._scalars[:, self._rows : needed]
        return Record(scalars[0], scalars[1], scalars[2], self._x[self._rows : needed] if self._keeps_x else self._x)

    def keep(self, count: int) -> None:
        """Keep the first rows of the view."""
        self._rows += count

    def mark_retry(self) -> None:
        """Take note that the next row is of an earlier iterate again, at the update count of the last one."""
        self._retries.append(self._rows)

    def history(self, with_retries: bool) -> History:
        """What was kept."""
        count = self._rows if self._keeps_scalars else 0
        rows = self._scalars[:, :count].copy()
        nit = np.arange(self._first_nit, self._first_nit + count)
        columns = {"nit": nit, "fun": rows[0], "learning_rate": rows[1], "grad_norm": rows[2]}
        if with_retries:
            columns["retry"] = np.searchsorted(np.array(self._retries, np.int64), np.arange(count), side="right")
            nit -= columns["retry"]
        if self._keeps_x:
            columns["x"] = self._x[:count].copy()
        return History(**columns)


_FIRST_CAPACITY = 64
