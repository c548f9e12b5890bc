"""The history of a run: columns of equal length, one row per record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas


_SHOWN = 4  # records at the beginning and at the end


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
    >>> print(history)
    nit       fun  learning_rate  grad_norm
      0         1           0.25          2
      1      0.25           0.25          1
      2    0.0625           0.25        0.5
      3  0.015625           0.25       0.25
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

    def __str__(self) -> str:
        """The first and the last records as a table."""
        if len(self) == 0:
            return repr(self)
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in cells)

    def _repr_html_(self) -> str:
        """The same, for notebooks."""
        head, *rows = self._cells()
        lines = [f"<th>{'</th><th>'.join(head)}</th>", *(f"<td>{'</td><td>'.join(row)}</td>" for row in rows)]
        return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>"

    def _cells(self) -> list[list[str]]:
        names = [name for name in self if name != "x"]
        rows = list(range(len(self)))
        if len(rows) > 2 * _SHOWN + 1:
            rows[_SHOWN:-_SHOWN] = [-1]
        return [names, *(["..." if i < 0 else _shown(self[name][i]) for name in names] for i in rows)]

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


def _shown(number: Any) -> str:
    return str(number) if isinstance(number, np.integer) else f"{number:.6g}"
