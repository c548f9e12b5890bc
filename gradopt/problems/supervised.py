"""Training data for a network: classification and regression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt import validate
from gradopt.compiler import kernel, matrix
from gradopt.config import config
from gradopt.losses import finish, loss_named
from gradopt.network import Network
from gradopt.network.output_loss import BinaryCrossEntropy, CrossEntropy, output_loss
from gradopt.network.passes import BLOCK_ROWS, Scratch, Shape, backward, forward, gather, outputs_of, scratch
from gradopt.problems.rows import RowProblem
from gradopt.protocol import batch_value_and_grad, value_and_grad


class _Data(NamedTuple):
    """What the kernels of this file receive for a problem."""

    shape: Shape
    X: NDArray[Any]  # real (m, n_in)
    y: NDArray[Any]  # int64 (m,), or real (m, n_out)
    known_finite: bool  # X; of a memory map it is not known
    loss: Any
    numbers: int  # of a row, over which the mean of the loss is taken


class _Work(NamedTuple):
    """What they write."""

    passes: Scratch
    every_row: NDArray[np.int64]  # (m,) 0, 1, ...


class Supervised(RowProblem):
    """Base of the problems that train a network: its `network`, its data `X`, `y`, and a loss of its outputs.

    A memory-mapped X (numpy.memmap) is read batch by batch and never copied whole; other arrays are copied.
    """

    Compiled = _Data

    network: Network
    X: Any
    y: Any

    def _check_network_and_X(self) -> None:
        if not isinstance(self.network, Network):
            raise TypeError(f"network must be a gradopt.Network, got {validate.shown(self.network)}")
        if isinstance(self.X, np.memmap):
            object.__setattr__(self, "X", _mapped("X", self.X))
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
        raise NotImplementedError

    def _data_y(self) -> NDArray[Any]:
        """The data y as `output_loss` wants them."""
        return self.y  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return self is other  # data may be larger than memory

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, [self.network.n_in, *(layer.n_out for layer in self.network.layers)]))
        return f"{type(self).__name__.lstrip('_')}({sizes} network, X={self.X.shape}, y={self.y.shape})"

    def _lowered(self, dtype: Any) -> _Data:
        X, y, loss = self.X, self._data_y(), self._loss()
        if not isinstance(X, np.memmap):
            X = np.ascontiguousarray(X, dtype)
        if y.dtype.kind == "f" and not isinstance(y, np.memmap):
            y = np.ascontiguousarray(y, dtype)
        known_finite = not isinstance(self.X, np.memmap)
        numbers = self.network.n_out if loss.mean_over_outputs else 1
        return _Data(self.network.compiled(), _read_only(X), _read_only(y), known_finite, loss.compiled(), numbers)

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
        """float32 where the data are, else float64."""
        return np.float32 if self.X.dtype == np.float32 else np.float64

    def start(self, rng: Any = None) -> NDArray[Any]:
        return self.network.init(rng, dtype=self.dtype) if self.x0 is None else self.x0

    def parameter_name(self, i: int) -> str:
        return self.network.parameter_name(i)

    def workspace(self, dtype: Any) -> _Work:
        rows = min(self.rows, BLOCK_ROWS)
        return _Work(scratch(self.network.compiled().sizes, rows, dtype), np.arange(self.rows))

    def faulty_row(self, rows: NDArray[np.int64]) -> int | None:
        # Only memory-mapped data can be at fault: all else was looked at before, and was copied.
        for array in (self.X, self.y):
            if isinstance(array, np.memmap):
                for row in rows:
                    if not np.isfinite(array[row].astype(self.dtype)).all():
                        return int(row)
        return None

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        outputs = self._outputs(x, self.X)
        twin = self.compiled(x.dtype)
        total = _loss_of_all(twin, np.empty_like(outputs), outputs, np.arange(self.rows))
        return {"fun": float(total)}

    def _outputs(self, theta: NDArray[Any], X: NDArray[Any]) -> NDArray[Any]:
        shape = self.network.compiled()
        out = np.empty((len(X), self.network.n_out), theta.dtype)
        work = scratch(shape.sizes, min(len(X), BLOCK_ROWS), theta.dtype)
        bad = outputs_of(out, shape, work, _read_only(X), theta, np.arange(len(X)), not isinstance(X, np.memmap))
        if bad >= 0:
            raise ValueError(f"the data must be finite, got NaN or infinity in row {bad} of {self}")
        return out


@config
class Classifier(Supervised):
    """Train a network to tell classes apart: the mean over rows of the cross-entropy of its softmax outputs.

    Parameters
    ----------
    network : Network
        One raw output for each class (activation "identity" in the last layer, as a rule); or a single one, the logit
        of label 1 against label 0.
    X : array_like (rows, n_in)
        The inputs, finite. A numpy.memmap of any real dtype is read batch by batch; its rows are looked at when they
        are used. Other arrays are copied; float32 stays so, all else becomes float64.
    y : integer array_like (rows,)
        The labels, each in [0, n_out), or 0 and 1 for a single output.

    Raises
    ------
    TypeError, ValueError
        X and y do not fit each other or the network, are empty or not finite; labels are not integers, or out of range.

    Notes
    -----
    With z the outputs of a row, the loss is log sum exp(z) - z[label], and with a single output
    log(1 + exp(z)) - label z, the mean taken over rows. Counterparts: torch's CrossEntropyLoss and BCEWithLogitsLoss.

    Examples
    --------
    >>> import gradopt
    >>> net = gradopt.Network.mlp([2, 8, 2], activation="tanh")
    >>> xor = gradopt.problems.Classifier(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    >>> trained = gradopt.optimize(xor, method=gradopt.SGD(0.5), epochs=500, rng=0)
    >>> xor.predict(trained.x, [[0, 1], [1, 1]])
    array([1, 0])
    """

    network: Network
    X: Any
    y: Any

    Compiled = _Data
    __eq__, __hash__, __repr__ = Supervised.__eq__, Supervised.__hash__, Supervised.__repr__

    measures: ClassVar[tuple[str, ...]] = ("fun", "accuracy")

    def __post_init__(self) -> None:
        self._check_network_and_X()
        object.__setattr__(self, "y", self._labels(self.y))
        self._check_length(self.y)

    def _labels(self, y: Any) -> NDArray[np.int64]:
        given = np.asarray(y)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise ValueError(
                "y must be a one-dimensional array of integer labels,"
                f" got {validate.shown(y)} of dtype {given.dtype} and shape {given.shape}"
            )
        classes = max(self.network.n_out, 2)
        if given.size and (given.min() < 0 or given.max() >= classes):
            raise ValueError(
                f"y must be labels in [0, {classes}) for a network with n_out={self.network.n_out},"
                f" got {given.min()} to {given.max()}"
            )
        return given.astype(np.int64)

    def _loss(self) -> Any:
        return BinaryCrossEntropy() if self.network.n_out == 1 else CrossEntropy()

    def _data_y(self) -> NDArray[Any]:
        return self.y.astype(np.float64)[:, None] if self.network.n_out == 1 else self.y  # type: ignore[no-any-return]

    def assess(self, x: NDArray[Any]) -> dict[str, float]:
        outputs = self._outputs(x, self.X)
        total = _loss_of_all(self.compiled(x.dtype), np.empty_like(outputs), outputs, np.arange(self.rows))
        return {"fun": float(total), "accuracy": float(np.mean(_classes(outputs) == self.y))}

    def predict(self, theta: Any, X: Any) -> NDArray[np.int64]:
        """The most probable label of each row.

        Parameters
        ----------
        theta : array_like (n,)
            The parameters, such as the x of a result.
        X : array_like (rows, n_in)
            The inputs, finite.

        Returns
        -------
        int64 array (rows,)

        Raises
        ------
        ValueError
            A shape is wrong, or X not finite.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Classifier(gradopt.Network.mlp([1, 1]), [[-1.0], [1.0]], [0, 1])
        >>> line.predict([2.0, 0.0], [[-3.0], [0.5]])
        array([0, 1])
        """
        return _classes(self.network.forward(theta, X))

    def score(self, theta: Any, X: Any, y: Any) -> float:
        """The accuracy: the share of rows whose label is predicted.

        Parameters
        ----------
        theta : array_like (n,)
            As for `predict`.
        X : array_like (rows, n_in)
            As for `predict`.
        y : integer array_like (rows,)
            The labels.

        Returns
        -------
        float in [0, 1]

        Raises
        ------
        ValueError
            As for `Classifier`.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Classifier(gradopt.Network.mlp([1, 1]), [[-1.0], [1.0]], [0, 1])
        >>> line.score([2.0, 0.0], [[-3.0], [0.5]], [1, 1])
        0.5
        """
        labels, predicted = self._labels(y), self.predict(theta, X)
        if labels.size != predicted.size:
            raise ValueError(f"X and y must have the same number of rows, got {predicted.size} and {labels.size}")
        return float(np.mean(predicted == labels))


def _classes(outputs: NDArray[Any]) -> NDArray[np.int64]:
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(np.int64)


_REGRESSION_LOSSES = ("mse", "mae", "rmse", "half_squared_error", "huber", "binary_cross_entropy")


@config
class Regressor(Supervised):
    """Fit a network's outputs to numbers.

    Parameters
    ----------
    network : Network
    X : array_like (rows, n_in)
        As for `Classifier`.
    y : array_like (rows, n_out), or (rows,) for a single output
        The targets, finite; a numpy.memmap as for X.
    loss : {"mse", "mae", "rmse", "half_squared_error", "huber", "binary_cross_entropy"}
        Of the residual r = output - y: the mean over all numbers of r**2, of abs(r) (slope 0 at r = 0), the root of the
        first, the mean over rows of the sum of r**2 / 2, the mean of Huber's loss with delta = 1. Or the mean
        cross-entropy of the sigmoid of the outputs with targets in [0, 1].

    Raises
    ------
    TypeError, ValueError
        X and y do not fit each other or the network, are empty or not finite; loss is none of the above; targets of
        binary_cross_entropy are out of [0, 1].

    Examples
    --------
    >>> import gradopt
    >>> line = gradopt.problems.Regressor(gradopt.Network.mlp([1, 1]), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> gradopt.optimize(line, method=gradopt.SGD(0.1), epochs=500, rng=0).x.round(3)
    array([2., 1.])
    """

    network: Network
    X: Any
    y: Any
    loss: str = "mse"

    Compiled = _Data
    __eq__, __hash__ = Supervised.__eq__, Supervised.__hash__

    def __post_init__(self) -> None:
        self._check_network_and_X()
        self._check("loss", validate.choice, _REGRESSION_LOSSES)
        object.__setattr__(self, "y", self._targets(self.y))
        self._check_length(self.y)

    def _targets(self, y: Any) -> NDArray[Any]:
        if isinstance(y, np.memmap):
            y = _mapped("y", y if y.ndim == 2 else y.reshape(-1, 1))
        else:
            y = np.asarray(y)
            y = validate.array("y", y[:, None] if y.ndim == 1 else y, 2)
            if self.loss == "binary_cross_entropy" and (y.min() < 0.0 or y.max() > 1.0):
                raise ValueError(f"y must be in [0, 1] for binary_cross_entropy, got {y.min():g} to {y.max():g}")
        if y.shape[1] != self.network.n_out:
            raise ValueError(
                f"y must have {self.network.n_out} columns, the width of the network's output, got {y.shape[1]}"
            )
        return y  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, loss={self.loss!r})"

    def _loss(self) -> Any:
        return BinaryCrossEntropy() if self.loss == "binary_cross_entropy" else loss_named(self.loss)

    def predict(self, theta: Any, X: Any) -> NDArray[Any]:
        """The network's outputs.

        Parameters
        ----------
        theta : array_like (n,)
            The parameters, such as the x of a result.
        X : array_like (rows, n_in)
            The inputs, finite.

        Returns
        -------
        ndarray (rows,) for a single output, else (rows, n_out)

        Raises
        ------
        ValueError
            A shape is wrong, or X not finite.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Regressor(gradopt.Network.mlp([1, 1]), [[0.0]], [1.0])
        >>> line.predict([2.0, 1.0], [[3.0], [4.0]])
        array([7., 9.])
        """
        outputs = self.network.forward(theta, X)
        return outputs[:, 0] if self.network.n_out == 1 else outputs

    def score(self, theta: Any, X: Any, y: Any) -> float:
        """The coefficient of determination R**2: 1 - sum (prediction - y)**2 / sum (y - mean)**2, mean over outputs.

        Parameters
        ----------
        theta : array_like (n,)
            As for `predict`.
        X : array_like (rows, n_in)
            As for `predict`.
        y : array_like (rows, n_out), or (rows,) for a single output
            The targets.

        Returns
        -------
        float, at most 1; of constant y 1 where it is predicted, else 0

        Raises
        ------
        ValueError
            As for `Regressor`.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Regressor(gradopt.Network.mlp([1, 1]), [[0.0]], [1.0])
        >>> line.score([2.0, 1.0], [[0.0], [1.0]], [1.0, 3.5])
        0.92
        """
        targets, outputs = self._targets(y), self.network.forward(theta, X)
        if len(targets) != len(outputs):
            raise ValueError(f"X and y must have the same number of rows, got {len(outputs)} and {len(targets)}")
        residual = np.sum((outputs - targets) ** 2, axis=0)
        total = np.sum((targets - targets.mean(axis=0)) ** 2, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(total > 0.0, 1.0 - residual / total, residual == 0.0)
        return float(np.mean(scores))


def _mapped(name: str, array: Any) -> Any:
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iuf" or array.dtype not in _READABLE:
        raise ValueError(
            f"{name} must be a real, two-dimensional memory map with at least one element and of native byte order,"
            f" got dtype {array.dtype} and shape {array.shape}"
        )
    return array


_READABLE = [np.dtype(code) for code in "bBhHiIlLqQfd"]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # One type for compiled code, whether the user's memory map is writeable or not.
    view = np.asarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


@value_and_grad.on(Supervised)
def _(problem, grad, work, x):
    return _value_and_grad(problem, grad, work, x, work.every_row)


@batch_value_and_grad.on(Supervised)
def _(problem, grad, work, x, rows):
    return _value_and_grad(problem, grad, work, x, rows)


@kernel(separate=True)
def _value_and_grad(problem, grad, work, x, rows):
    shape, passes = problem.shape, work.passes
    numbers = rows.size * problem.numbers
    n_out = shape.sizes[-1]
    total = 0.0
    for start in range(0, rows.size, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        if gather(passes.inputs, problem.X, block, problem.known_finite) >= 0:
            return np.nan
        at = forward(shape, passes, x, block.size)
        outputs, d = matrix(passes.outputs, at, block.size, n_out), matrix(passes.d, 0, block.size, n_out)
        total += output_loss(problem.loss, d, outputs, problem.y, block, 1.0 / numbers)
        backward(shape, grad, passes, x, block.size, 1 if start > 0 else 0, False)
    value, factor = finish(problem.loss, total / numbers)
    if factor != 1.0:
        for j in range(grad.size):
            grad[j] *= factor
    return value


@kernel
def _loss_of_all(problem, d, outputs, rows):
    total = output_loss(problem.loss, d, outputs, problem.y, rows, 1.0)
    return finish(problem.loss, total / (rows.size * problem.numbers))[0]
