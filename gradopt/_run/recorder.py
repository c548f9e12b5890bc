"""The recorder of a run's history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._loops.types import Record
from gradopt._results.history import History

_FIRST_CAPACITY = 64  # rows


class Recorder:
    """Columns that grow during the run; the loop gets a view of the next rows to write.

    Parameters
    ----------
    record : {"scalars", "x", None}
        Keep the numbers, the iterates too, or nothing.
    n : int
        The number of parameters.
    dtype : dtype of x
    first_nit : int
        The update count of the first row; each further row is one update later.
    """

    def __init__(self, record: str | None, n: int, dtype: Any, first_nit: int) -> None:
        self._keeps_scalars = record is not None
        self._keeps_x = record == "x"
        self._scalars = np.empty((3, _FIRST_CAPACITY if self._keeps_scalars else 0))
        self._x = np.empty((_FIRST_CAPACITY if self._keeps_x else 0, n), dtype)
        self._first_nit = first_nit
        self._rows = 0
        self._retries: list[int] = []

    def next_rows(self, count: int) -> Record:
        """A view of the rows after the kept ones, for the loop to write."""
        if not self._keeps_scalars:
            return Record(self._scalars[0], self._scalars[1], self._scalars[2], self._x)
        needed = self._rows + count
        capacity = self._scalars.shape[1]
        if needed > capacity:
            capacity = max(needed, 2 * capacity)
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
        """Note that the next row repeats an earlier iterate, at the update count of the last row."""
        self._retries.append(self._rows)

    def history(self, with_retries: bool) -> History:
        """The history of the kept rows."""
        count = self._rows if self._keeps_scalars else 0
        rows = _without_much_unused(self._scalars[:, :count], self._scalars)
        nit = np.arange(self._first_nit, self._first_nit + count)
        columns = {"nit": nit, "fun": rows[0], "learning_rate": rows[1], "grad_norm": rows[2]}
        if with_retries:
            columns["retry"] = np.searchsorted(np.array(self._retries, np.int64), np.arange(count), side="right")
            nit -= columns["retry"]
        if self._keeps_x:
            columns["x"] = _without_much_unused(self._x[:count], self._x)
        return History(**columns)


def _without_much_unused(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    """A part of an array, copied if it is less than half: the history must not hold much more than it shows."""
    return part if 2 * part.size >= whole.size else part.copy()
