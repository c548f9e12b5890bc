"""The base of classification and regression by a network: their data and their kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from gradopt._compiler import kernel, matrix, slice_of, summation
from gradopt._core import validate
from gradopt._core.aligned import as_dtype
from gradopt._core.config import config
from gradopt._core.parts import Part
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt._losses.output import weighted_loss
from gradopt._losses.residual import from_mean
from gradopt._network import Network
from gradopt._network.dropout import SEEDS, rates_for
from gradopt._network.inputs import SparseRows, inputs_of
from gradopt._network.network import sizes_of
from gradopt._network.passes import BLOCK_ROWS, Scratch, Shape, backward, forward, outputs_of, scratch
from gradopt.problems.rows import RowProblem, checked_weights, weight_of_rows

_BLOCK_NUMBERS = 2**20  # of outputs that are held at once where all rows are assessed


class Data(NamedTuple):
    """The lowered form of a problem, for the kernels of this file."""

    shape: Shape
    X: NDArray[Any]  # real (m, n_in)
    sparse: SparseRows | None  # in place of the rows of X, which has none then
    y: NDArray[Any]  # int64 (m,), or real (m, n_out)
    weights: NDArray[Any] | None  # real (m,), of the rows
    known_finite: bool  # whether X is known to be finite; not so for a memory map
    loss: Any
    numbers: int  # how many per row the mean of the loss is taken over
    alphas: NDArray[np.float64]  # (layers,) factors of the penalties
    dropout: NDArray[np.float64] | None  # (layers,) the rates, in a training run with dropout


class _Work(NamedTuple):
    """The arrays that they write."""

    passes: Scratch
    every_row: NDArray[np.int64]  # (m,) 0, 1, ...
    dropout: NDArray[np.float64]  # (2,) the memory of dropout; empty if nothing is dropped


@config
class Supervised(RowProblem):
    """Base of the problems that train a network: its `network`, its data `X`, `y`, and a loss of its outputs.

    A memory-mapped X (numpy.memmap) is read batch by batch and never copied as a whole, and a sparse one stays sparse;
    other arrays are copied.
    """

    Lowered = Data

    network: Network
    X: Any
    y: Any
    sample_weight: Any = field(default=None, kw_only=True)
    alpha: Any = field(default=0.0, kw_only=True)
    dropout: Any = field(default=0.0, kw_only=True)
    frozen: Any = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self._check_network_and_X()
        layers = len(self.network.layers)
        object.__setattr__(self, "alpha", _by_layer("alpha", self.alpha, layers, validate.number, 0))
        object.__setattr__(
            self, "dropout", _by_layer("dropout", self.dropout, layers - 1, validate.number, 0, 1, below=True)
        )
        if isinstance(self.frozen, (str, bytes)) or not np.iterable(self.frozen):
            raise TypeError(f"frozen must be a sequence of layer numbers, got {validate.shown(self.frozen)}")
        frozen = tuple(validate.integer("frozen", layer, 0) for layer in self.frozen)
        if frozen and max(frozen) >= layers:
            raise ValueError(f"frozen must be numbers of layers below {layers}, got {validate.shown(self.frozen)}")
        object.__setattr__(self, "frozen", frozen)
        if self.sample_weight is not None:
            object.__setattr__(self, "sample_weight", checked_weights(self.sample_weight, self.rows))

    @property
    def weights(self) -> NDArray[Any] | None:
        """The weight of each row, (rows,), or None if all are 1."""
        return self.sample_weight  # type: ignore[no-any-return]

    @property
    def total_weight(self) -> float:
        """The sum of the rows' weights."""
        return float(self.rows if self.weights is None else self.weights.sum())

    def _check_network_and_X(self) -> None:
        if not isinstance(self.network, Network):
            raise TypeError(f"network must be a gradopt.Network, got {validate.shown(self.network)}")
        if issparse(self.X):
            object.__setattr__(self, "X", self.network.checked_sparse("X", self.X))
        elif isinstance(self.X, np.memmap):
            object.__setattr__(self, "X", mapped("X", self.X))
            if self.X.shape[1] != self.network.n_in:
                n_in, given = self.network.n_in, self.X.shape[1]
                raise ValueError(f"X must have {n_in} columns, the network's width, got {given}")
        else:
            object.__setattr__(self, "X", self.network.checked_rows("X", self.X))

    def _check_length(self, y: NDArray[Any]) -> None:
        if len(y) != self.rows:
            raise ValueError(f"X and y must have the same number of rows, got {self.rows} and {len(y)}")

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
        return (
            f"{type(self).__name__.lstrip('_')}({sizes_of(self.network)} network, X={self.X.shape}, y={self.y.shape})"
        )

    def _lower(self, dtype: Any) -> Data:
        X, y, loss, sparse = self.X, self._data_y(), self._loss(), None
        if issparse(X):
            sparse = SparseRows(as_dtype(X.data, dtype), X.indices.astype(np.int64), X.indptr.astype(np.int64))
            X = np.empty((0, X.shape[1]), dtype)
        elif not isinstance(X, np.memmap):
            X = as_dtype(X, dtype)
        if y.dtype.kind == "f" and not isinstance(y, np.memmap):
            y = as_dtype(y, dtype)
        shape = self.network.lower()
        frozen = np.isin(np.arange(len(shape.frozen)), self.frozen).astype(np.int64)
        return Data(
            shape._replace(frozen=frozen),
            _read_only(X),
            sparse,
            _read_only(y),
            None if self.weights is None else _read_only(as_dtype(self.weights, dtype)),
            known_finite=not isinstance(self.X, np.memmap),
            loss=loss.lower(),
            numbers=self.network.n_out if loss.mean_over_outputs else 1,
            alphas=np.broadcast_to(np.asarray(self.alpha, np.float64), len(frozen)) * (frozen == 0),
            dropout=None,
        )

    def lower_for_training(self, dtype: Any) -> Data:
        lowered: Data = self.lower(dtype)
        if not self._drops:
            return lowered
        return lowered._replace(dropout=rates_for(self.dropout, len(self.network.layers)))

    @property
    def _drops(self) -> bool:
        return bool(np.any(self.dropout))

    def parts(self) -> tuple[Part, ...] | None:
        parts, start = [], 0
        for number, layer in enumerate(self.network.layers):
            middle, end = start + layer.n_in * layer.n_out, start + layer.n
            frozen = number in self.frozen
            parts += [Part(start, middle, number, True, frozen), Part(middle, end, number, False, frozen)]
            start = end
        return tuple(parts)

    def memory(self, work: _Work) -> NDArray[Any]:
        return work.dropout

    def begin_training(self, work: _Work, rng: np.random.Generator) -> None:
        if self._drops:
            work.dropout[:] = rng.integers(SEEDS), 0.0

    def require_deterministic(self) -> None:
        if self._drops:
            raise ValueError(f"dropout={self.dropout} needs a training run: give batch_size or epochs")

    def with_data(self, *data: Any) -> Supervised:
        X, y = data
        return replace(self, X=X, y=y, sample_weight=None, alpha=0.0, dropout=0.0)

    @property
    def n(self) -> int:
        return self.network.n

    @property
    def rows(self) -> int:
        return int(self.X.shape[0])

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
        return _Work(passes, np.arange(self.rows), np.zeros(2 * self._drops))

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
        totals[0] = _mean_loss(lowered, totals[0], x, self.total_weight)
        totals[1:] /= self.total_weight
        return dict(zip(self.measures, map(float, totals), strict=True))

    def scores(self, x: Any) -> NDArray[np.float64] | None:
        """The gradient of the term of each row, float64 (rows, n), whose sum is that of f; None if f is no mean."""
        if self.error_scale(np.asarray(x)) is None:
            return None
        grads = np.stack([self.value_and_grad(x, rows=[row])[1] for row in range(self.rows)])
        return grads / self.rows if self.weights is None else grads * (self.weights / self.total_weight)[:, None]

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        return None if np.any(self.alpha) else (1.0 / self.total_weight, np.inf)

    def _counts(self, rows: NDArray[np.int64], outputs: NDArray[Any]) -> tuple[float, ...]:
        """The sums over rows for the measures after the loss."""
        return ()

    def _outputs_by_block(self, theta: NDArray[Any]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """The network's outputs for blocks of rows, (rows, array (len(rows), n_out)): not all fit in memory."""
        shape, n_out = self.network.lower(), self.network.n_out
        size, lowered = max(_BLOCK_NUMBERS // n_out, BLOCK_ROWS), self.lower(theta.dtype)
        work = scratch(shape.sizes, min(self.rows, BLOCK_ROWS), theta.dtype)
        for start in range(0, self.rows, size):
            rows = np.arange(start, min(start + size, self.rows))
            out = np.empty((rows.size, n_out), theta.dtype)
            bad = outputs_of(out, shape, work, lowered.X, lowered.sparse, theta, rows, lowered.known_finite)
            if bad >= 0:
                raise ValueError(f"the data must be finite, got NaN or infinity in row {bad} of {self}")
            yield rows, out


def _by_layer(name: str, value: Any, layers: int, check: Any, *limits: Any, **ends: Any) -> Any:
    """A number for all layers, or a tuple of one per layer, each checked."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return check(name, value, *limits, **ends)
    if np.ndim(value) != 1 or len(value) != layers:
        raise ValueError(f"{name} must be one number or {layers}, one per layer, got {validate.shown(value)}")
    return tuple(check(f"{name}[{i}]", item, *limits, **ends) for i, item in enumerate(value))


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
    weight = weight_of_rows(problem.weights, rows)
    numbers = weight * problem.numbers
    scale = 1.0 / numbers if weight > 0.0 else 0.0
    n_out = shape.sizes[-1]
    total = 0.0
    for start in range(0, rows.size, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        bad, inputs = inputs_of(passes, problem.X, problem.sparse, block, problem.known_finite)
        if bad >= 0:
            return np.nan
        at = forward(shape, passes, inputs, x, problem.dropout, work.dropout)
        outputs, d = matrix(passes.outputs, at, block.size, n_out), matrix(passes.d, 0, block.size, n_out)
        total += weighted_loss(problem.loss, d, outputs, problem.y, block, problem.weights, scale)
        backward(shape, grad, passes, inputs, x, 1 if start > 0 else 0, False)
    value, factor = from_mean(problem.loss, total / numbers if weight > 0.0 else 0.0)
    if factor != 1.0:
        for j in range(grad.size):
            grad[j] *= factor
    return value + _add_penalty(problem, grad, x, weight)


@kernel(inline=True)
def _add_penalty(problem, grad, x, weight):
    """The sum over layers of alpha / 2 times the squares of the weights, over the rows' weight; adds its gradient."""
    shape, end, penalty = problem.shape, 0, 0.0
    for layer in range(problem.alphas.size):
        m, n = shape.sizes[layer], shape.sizes[layer + 1]
        if problem.alphas[layer] > 0.0 and weight > 0.0:
            weights, slopes = slice_of(x, end, m * n), slice_of(grad, end, m * n)
            penalty += _add_square(slopes, weights, problem.alphas[layer] / weight)
        end += (m + shape.biased[layer]) * n
    return penalty


@summation(late_bound=True)
def _add_square(grad, x, factor):
    """Factor / 2 times the sum of the squares of x; adds its gradient."""
    total, slope = 0.0, x.dtype.type(factor)
    for j in range(x.size):
        total += np.float64(x[j]) * np.float64(x[j])
        grad[j] += slope * x[j]
    return 0.5 * factor * total


@kernel
def _total_loss(problem, d, outputs, rows):
    return weighted_loss(problem.loss, d, outputs, problem.y, rows, problem.weights, 1.0)


@kernel
def _mean_loss(problem, total, x, weight):
    return from_mean(problem.loss, total / (weight * problem.numbers))[0] + _add_penalty(problem, x.copy(), x, weight)
