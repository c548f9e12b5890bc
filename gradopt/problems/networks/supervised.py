"""The base of classification and regression by a network: their data and their kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel, matrix
from gradopt._core import validate
from gradopt._core.aligned import as_dtype
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt._losses.output import output_loss
from gradopt._losses.residual import from_mean
from gradopt._network import Network
from gradopt._network.inputs import inputs_of
from gradopt._network.passes import BLOCK_ROWS, Scratch, Shape, backward, forward, outputs_of, scratch
from gradopt.problems.rows import RowProblem

_BLOCK_NUMBERS = 2**20  # of outputs that are held at once where all rows are assessed


class Data(NamedTuple):
    """The lowered form of a problem, for the kernels of this file."""

    shape: Shape
    X: NDArray[Any]  # real (m, n_in)
    y: NDArray[Any]  # int64 (m,), or real (m, n_out)
    known_finite: bool  # whether X is known to be finite; not so for a memory map
    loss: Any
    numbers: int  # how many per row the mean of the loss is taken over


class _Work(NamedTuple):
    """The arrays that they write."""

    passes: Scratch
    every_row: NDArray[np.int64]  # (m,) 0, 1, ...


class Supervised(RowProblem):
    """Base of the problems that train a network: its `network`, its data `X`, `y`, and a loss of its outputs.

    A memory-mapped X (numpy.memmap) is read batch by batch and never copied as a whole; other arrays are copied.
    """

    Lowered = Data

    network: Network
    X: Any
    y: Any

    def _check_network_and_X(self) -> None:
        if not isinstance(self.network, Network):
            raise TypeError(f"network must be a gradopt.Network, got {validate.shown(self.network)}")
        if isinstance(self.X, np.memmap):
            object.__setattr__(self, "X", mapped("X", self.X))
            if self.X.shape[1] != self.network.n_in:
                n_in, given = self.network.n_in, self.X.shape[1]
                raise ValueError(f"X must have {n_in} columns, the network's width, got {given}")
        else:
            object.__setattr__(self, "X", self.network.checked_rows("X", self.X))

    def _check_length(self, y: NDArray[Any]) -> None:
        if len(y) != len(self.X):
            raise ValueError(f"X and y must have the same number of rows, got {len(self.X)} and {len(y)}")

    def _loss(self) -> Any:
        """The loss of the outputs."""
        raise TypeError(f"{type(self).__name__} does not define its loss")

    def _data_y(self) -> NDArray[Any]:
        """The data y in the form for `output_loss`."""
        return self.y  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return self is other  # the data may be larger than memory

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, [self.network.n_in, *(layer.n_out for layer in self.network.layers)]))
        return f"{type(self).__name__.lstrip('_')}({sizes} network, X={self.X.shape}, y={self.y.shape})"

    def _lower(self, dtype: Any) -> Data:
        X, y, loss = self.X, self._data_y(), self._loss()
        if not isinstance(X, np.memmap):
            X = as_dtype(X, dtype)
        if y.dtype.kind == "f" and not isinstance(y, np.memmap):
            y = as_dtype(y, dtype)
        known_finite = not isinstance(self.X, np.memmap)
        numbers = self.network.n_out if loss.mean_over_outputs else 1
        return Data(self.network.lower(), _read_only(X), _read_only(y), known_finite, loss.lower(), numbers)

    def with_data(self, *data: Any) -> Supervised:
        X, y = data
        return replace(self, X=X, y=y)  # type: ignore[type-var]

    @property
    def n(self) -> int:
        return self.network.n

    @property
    def rows(self) -> int:
        return len(self.X)

    @property
    def dtype(self) -> Any:
        """float32 if the data are float32, else float64."""
        return np.float32 if self.X.dtype == np.float32 else np.float64

    def start(self, rng: Any = None) -> NDArray[Any]:
        return self.network.init(rng, dtype=self.dtype) if self.x0 is None else self.x0

    def parameter_name(self, i: int) -> str:
        return self.network.parameter_name(i)

    def workspace(self, dtype: Any) -> _Work:
        return self.batch_workspace(dtype, self.rows)

    def batch_workspace(self, dtype: Any, rows: int) -> _Work:
        passes = scratch(self.network.lower().sizes, min(rows, BLOCK_ROWS), dtype)
        return _Work(passes, np.arange(self.rows))

    def faulty_row(self, rows: NDArray[np.int64]) -> int | None:
        # Only memory-mapped data can be faulty: everything else was checked and copied before.
        for array in (self.X, self.y):
            if isinstance(array, np.memmap):
                for row in rows:
                    if not np.isfinite(array[row].astype(self.dtype)).all():
                        return int(row)
        return None

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        lowered, totals = self.lower(x.dtype), np.zeros(len(self.measures))
        for rows, outputs in self._outputs_by_block(x):
            totals[0] += _total_loss(lowered, np.empty_like(outputs), outputs, rows)
            totals[1:] += self._counts(rows, outputs)
        totals[0] = _mean_loss(lowered, totals[0], self.rows)
        totals[1:] /= self.rows
        return dict(zip(self.measures, map(float, totals), strict=True))

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each row, float64 (rows, n), whose sum is that of f; None if f is no mean."""
        if self.error_scale(np.asarray(x)) is None:
            return None
        return np.stack([self.value_and_grad(x, rows=[row])[1] for row in range(self.rows)]) / self.rows

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        return 1.0 / self.rows, np.inf

    def _counts(self, rows: NDArray[np.int64], outputs: NDArray[Any]) -> tuple[float, ...]:
        """The sums over rows for the measures after the loss."""
        return ()

    def _outputs_by_block(self, theta: NDArray[Any]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """The network's outputs for blocks of rows, (rows, array (len(rows), n_out)): not all fit in memory."""
        shape, X, n_out = self.network.lower(), self.X, self.network.n_out
        size = max(_BLOCK_NUMBERS // n_out, BLOCK_ROWS)
        work = scratch(shape.sizes, min(len(X), BLOCK_ROWS), theta.dtype)
        for start in range(0, len(X), size):
            rows = np.arange(start, min(start + size, len(X)))
            out = np.empty((rows.size, n_out), theta.dtype)
            bad = outputs_of(out, shape, work, _read_only(X), theta, rows, not isinstance(X, np.memmap))
            if bad >= 0:
                raise ValueError(f"the data must be finite, got NaN or infinity in row {bad} of {self}")
            yield rows, out


def mapped(name: str, array: Any) -> Any:
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iuf" or array.dtype not in _READABLE:
        raise ValueError(
            f"{name} must be a real, two-dimensional memory map with at least one element and of native byte order,"
            f" got dtype {array.dtype} and shape {array.shape}"
        )
    return array


_READABLE = [np.dtype(code) for code in "bBhHiIlLqQfd"]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # The same type for compiled code, whether or not the user's memory map is writeable.
    view = np.asarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


@value_and_grad.on(Supervised)
def _(problem, grad, work, x):
    return _value_and_grad(problem, grad, work, x, work.every_row)


@batch_value_and_grad.on(Supervised)
def _(problem, grad, work, x, rows):
    return _value_and_grad(problem, grad, work, x, rows)


@kernel(late_bound=True)
def _value_and_grad(problem, grad, work, x, rows):
    shape, passes = problem.shape, work.passes
    numbers = rows.size * problem.numbers
    n_out = shape.sizes[-1]
    total = 0.0
    for start in range(0, rows.size, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        bad, inputs = inputs_of(passes, problem.X, block, problem.known_finite)
        if bad >= 0:
            return np.nan
        at = forward(shape, passes, inputs, x)
        outputs, d = matrix(passes.outputs, at, block.size, n_out), matrix(passes.d, 0, block.size, n_out)
        total += output_loss(problem.loss, d, outputs, problem.y, block, 1.0 / numbers)
        backward(shape, grad, passes, inputs, x, 1 if start > 0 else 0, False)
    value, factor = from_mean(problem.loss, total / numbers)
    if factor != 1.0:
        for j in range(grad.size):
            grad[j] *= factor
    return value


@kernel
def _total_loss(problem, d, outputs, rows):
    return output_loss(problem.loss, d, outputs, problem.y, rows, 1.0)


@kernel
def _mean_loss(problem, total, rows):
    return from_mean(problem.loss, total / (rows * problem.numbers))[0]
