"""The base class of problems whose objective is a mean over rows of data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel
from gradopt._core import validate
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt.problems.base import Problem


class RowProblem(Problem):
    """Base of the problems with rows of data, which can be trained in batches.

    In addition to a `Problem`, it has the number of `rows` and a kernel registered with
    `gradopt.extend.batch_value_and_grad`.

    Attributes
    ----------
    rows : int
        The number of rows.
    """

    measures: ClassVar[tuple[str, ...]] = ("fun",)

    @property
    def rows(self) -> int:
        raise TypeError(f"{type(self).__name__} does not define its number of rows")

    def batch_workspace(self, dtype: Any, rows: int) -> Any:
        """Arrays that the kernel may write, for batches of up to `rows` rows, which may be more than the data has."""
        return self.workspace(dtype)

    def batch_workspace_for(self, x: NDArray[Any], rows: int) -> Any:
        """The same for parameters like x, for problems that do not know their number."""
        return self.batch_workspace(x.dtype, rows)

    def lower_for_training(self, dtype: Any) -> Any:
        """The lowered form for the batches of a training run, where it differs."""
        return self.lower(dtype)

    def begin_training(self, work: Any, rng: np.random.Generator) -> None:
        """Draw what a training run needs at random, besides the orders of its rows, into the workspace."""

    def require_deterministic(self) -> None:
        """Raise a ValueError if the problem can only be trained in batches."""

    def faulty_row(self, rows: NDArray[np.int64]) -> int | None:
        """The first of these rows whose data are not finite, for data that was not checked in advance; else None."""
        return None

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        """The `measures` over all rows: the objective as `fun`, and possibly others, such as `accuracy`."""
        return {"fun": self.value(x)}

    def with_data(self, *data: Any) -> RowProblem:
        """The same problem with other data, such as (X, y)."""
        raise TypeError(f"{type(self).__name__} does not define with_data")

    def value_and_grad(self, x: Any, rows: Any = None) -> tuple[float, NDArray[Any]]:
        """The objective and its gradient at x, over all rows or some.

        Parameters
        ----------
        x : array_like (n,)
            Parameters; float32 is computed in float32, everything else in float64.
        rows : integer array_like (m,), optional
            The rows of a batch, each in [0, rows).

        Returns
        -------
        float, ndarray (n,)

        Raises
        ------
        TypeError, ValueError
            x is not a one-dimensional real array of n numbers; rows is empty, out of range, or not integers.

        Examples
        --------
        >>> import gradopt
        >>> problem = gradopt.problems.PolynomialFit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], degree=1)
        >>> problem.value_and_grad([0.0, 0.0], rows=[0, 1])
        (5.0, array([-3., -4.]))
        """
        x = self._readable(x)
        grad = np.empty_like(x)
        lowered = self.lower(x.dtype)
        if rows is None:
            with self._spare_workspace(x) as work:
                value = value_and_grad(lowered, grad, work, x)
            rows = np.arange(self.rows)
        else:
            rows = self._checked_rows(rows)
            value = batch_value_and_grad(lowered, grad, self.batch_workspace_for(x, rows.size), x, rows)
        if np.isnan(value):
            self.require_finite(rows)
        return float(value), grad

    def require_finite(self, rows: NDArray[np.int64]) -> None:
        """Raise a ValueError that names the first of these rows whose data are not finite, if there is one."""
        faulty = self.faulty_row(rows)
        if faulty is not None:
            raise ValueError(f"the data must be finite, got NaN or infinity in row {faulty} of {self}")

    def batches(self, batch_size: int, rng: Any = None) -> Iterator[NDArray[np.int64]]:
        """The rows of an epoch's batches: each row once, in random order; the last batch may be smaller.

        Parameters
        ----------
        batch_size : int
            Rows per batch, in [1, rows].
        rng : None, int or numpy.random.Generator
            Source of the order, as for numpy.random.default_rng.

        Yields
        ------
        int64 array (batch_size,)

        Raises
        ------
        TypeError, ValueError
            batch_size is not an integer in its range.

        Examples
        --------
        >>> import gradopt
        >>> problem = gradopt.problems.PolynomialFit(range(5), range(5))
        >>> [batch.tolist() for batch in problem.batches(2, rng=0)]
        [[1, 2], [3, 0], [4]]
        """
        batch_size = self.checked_batch_size(batch_size)
        order = random_orders(validate.generator("rng", rng), 1, self.rows)[0]
        return (order[start : start + batch_size] for start in range(0, self.rows, batch_size))

    def checked_batch_size(self, batch_size: Any) -> int:
        """The batch size as an integer in [1, rows]; raises an error if it is not."""
        size = validate.integer("batch_size", batch_size, 1)
        if size > self.rows:
            raise ValueError(f"batch_size must be at most the {self.rows} rows of the data, got {size}")
        return size

    def _checked_rows(self, rows: Any) -> NDArray[np.int64]:
        given = np.asarray(rows)
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
            raise ValueError(f"rows must be a non-empty one-dimensional array of integers, got {validate.shown(rows)}")
        if given.min() < 0 or given.max() >= self.rows:
            raise ValueError(f"rows must be in [0, {self.rows}), got {given.min()} to {given.max()}")
        return np.ascontiguousarray(given, np.int64)


def random_orders(rng: np.random.Generator, epochs: int, rows: int) -> NDArray[np.int64]:
    """The numbers 0, 1, ... below `rows` in random order, one row (rows,) per epoch.

    Like `rng.permutation`, but from one double per row: for small networks, drawing the orders then takes a tenth of
    the training time instead of a third.
    """
    orders = np.empty((epochs, rows), np.int64)
    _shuffle(orders, rng.random(orders.shape))
    return orders


@kernel
def _shuffle(orders, random) -> None:
    """Shuffle each row, given a number in [0, 1) for each element (R. Durstenfeld, ACM Algorithm 235, 1964)."""
    epochs, rows = orders.shape
    for epoch in range(epochs):
        for i in range(rows):
            orders[epoch, i] = i
        for i in range(rows - 1, 0, -1):
            j = int(random[epoch, i] * (i + 1))
            orders[epoch, i], orders[epoch, j] = orders[epoch, j], orders[epoch, i]


def checked_weights(given: Any, rows: int) -> NDArray[Any]:
    """Weights of so many rows as a new float array; raises an error that says what is wrong with them."""
    weights = validate.array("sample_weight", given, 1)
    if weights.size != rows:
        raise ValueError(f"sample_weight must have one number per row, {rows}, got {weights.size}")
    if (weights < 0.0).any():
        row = int(np.argmax(weights < 0.0))
        raise ValueError(f"sample_weight must be >= 0, got {weights[row]:g} at [{row}]")
    if not weights.any():
        raise ValueError("sample_weight must be positive for at least one row, got zeros alone")
    return weights


@kernel(inline=True)
def weight_of_rows(weights, rows):
    """The sum of the weights of some rows, weights : float array (m,), or None for 1 each; rows : int64 array."""
    if weights is None:
        return np.float64(rows.size)
    total = 0.0
    for row in rows:
        total += np.float64(weights[row])
    return total
