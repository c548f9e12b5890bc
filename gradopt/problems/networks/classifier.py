"""Classification by a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.output import BinaryCrossEntropy, CrossEntropy
from gradopt.problems.networks.supervised import Data, Supervised


@config
class Classifier(Supervised):
    """Classification by a network: the mean over rows of the cross-entropy of its softmax outputs.

    Parameters
    ----------
    network : Network
        With one raw output per class (activation "identity" in the last layer, usually), or with a single output, the
        logit of label 1 against label 0.
    X : array_like or sparse matrix (rows, n_in)
        The inputs, finite. A numpy.memmap of any real dtype is read batch by batch, and its rows are checked when they
        are used. A sparse matrix stays sparse. Other arrays are copied; float32 stays float32, everything else becomes
        float64.
    y : integer array_like (rows,)
        The labels, each in [0, n_out), or 0 and 1 for a single output. They must have an integer dtype.
    sample_weight : array_like (rows,), optional
        The weights of the rows, >= 0, at least one above 0. The loss is the weighted mean, in a batch too; a batch
        whose weights are all 0 changes nothing.
    class_weight : "balanced", dict or array_like (classes,), optional
        Weights of the labels, >= 0; a label that is not in the dict has 1. "balanced": inversely proportional to how
        often a label occurs. They multiply sample_weight, and have no part in validation losses.
    alpha : float, or sequence of float
        A penalty on the weights of all layers, or of each layer, >= 0, which leaves biases alone: alpha / 2 times the
        sum of their squares, divided by the number (or weights) of the rows, is added to the loss.
    dropout : float, or sequence of float
        The probability that an output of a hidden layer is 0, in [0, 1), for all of them or each; the others are
        divided by 1 - dropout. Only in training runs, whose batches it is for.
    frozen : sequence of int
        The numbers of the layers, from 0, whose parameters stay as they are: their gradient is 0.

    Raises
    ------
    TypeError, ValueError
        X and y do not fit each other or the network, are empty or not finite; labels are not integers, or out of range;
        another argument is not as above.

    Notes
    -----
    With z the outputs of a row, the loss is the mean over rows of log sum exp(z) - z[label], or, with a single output,
    of log(1 + exp(z)) - label z. Counterparts: torch's CrossEntropyLoss and BCEWithLogitsLoss.

    Examples
    --------
    >>> import gradopt
    >>> net = gradopt.Network.mlp([2, 8, 2], activation="tanh")
    >>> xor = gradopt.problems.Classifier(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    >>> trained = gradopt.optimize(xor, method=gradopt.SGD(0.5), epochs=500, rng=0)
    >>> xor.predict(trained.x, [[0, 1], [1, 1]])
    array([1, 0])
    """

    class_weight: Any = field(default=None, kw_only=True)

    Lowered = Data
    __repr__ = Supervised.__repr__

    measures: ClassVar[tuple[str, ...]] = ("fun", "accuracy")

    def __post_init__(self) -> None:
        super().__post_init__()
        last = self.network.layers[-1].activation
        if last in _SQUASHING:
            raise ValueError(
                "network must have raw outputs, since the loss applies softmax or the logistic function itself; its"
                f' last activation is {last!r}: take "identity" (output="identity" in Network.mlp)'
            )
        object.__setattr__(self, "y", self._labels(self.y))
        self._check_length(self.y)
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", self._checked_class_weight(self.class_weight))

    def _checked_class_weight(self, given: Any) -> tuple[float, ...]:
        """The weight of each class."""
        classes = max(self.network.n_out, 2)
        if isinstance(given, str):
            validate.choice("class_weight", given, ("balanced",))
            counts = np.bincount(self.y, self.sample_weight, classes)
            with np.errstate(divide="ignore"):
                weights = np.where(counts > 0, counts.sum() / np.count_nonzero(counts) / counts, 0.0)
        elif isinstance(given, Mapping):
            unknown = [label for label in given if label not in range(classes)]
            if unknown:
                raise ValueError(f"class_weight must have labels in [0, {classes}), got {unknown[0]!r}")
            for label, weight in given.items():
                validate.number(f"class_weight[{label}]", weight, 0)
            weights = np.array([float(given.get(label, 1.0)) for label in range(classes)])
        else:
            weights = validate.array("class_weight", given, 1)
            if weights.size != classes:
                raise ValueError(f"class_weight must have one number per class, {classes}, got {weights.size}")
        checked = tuple(validate.number(f"class_weight[{i}]", weight, 0) for i, weight in enumerate(weights.tolist()))
        if not np.take(checked, self.y).any():
            raise ValueError(f"class_weight must be positive for at least one label of y, got {checked}")
        return checked

    @property
    def weights(self) -> NDArray[Any] | None:
        if self.class_weight is None:
            return self.sample_weight  # type: ignore[no-any-return]
        by_class: NDArray[Any] = np.take(self.class_weight, self.y)
        return by_class if self.sample_weight is None else by_class * self.sample_weight

    def with_data(self, *data: Any) -> Classifier:
        problem: Any = super().with_data(*data)
        return replace(problem, class_weight=None)  # type: ignore[no-any-return]

    def _labels(self, y: Any) -> NDArray[np.int64]:
        given = np.asarray(y)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise ValueError(
                "y must be a one-dimensional array of integer labels,"
                f" got {validate.shown(y)} of dtype {given.dtype} and shape {given.shape}{_remedy(given)}"
            )
        classes = max(self.network.n_out, 2)
        if given.size and (given.min() < 0 or given.max() >= classes):
            raise ValueError(
                f"y must be labels in [0, {classes}) for a network with n_out={self.network.n_out},"
                f" got {given.min()} to {given.max()}; use {_NUMBERED} for labels of other values"
            )
        return given.astype(np.int64)

    def _loss(self) -> Any:
        return BinaryCrossEntropy() if self.network.n_out == 1 else CrossEntropy()

    def _data_y(self) -> NDArray[Any]:
        return self.y.astype(np.float64)[:, None] if self.network.n_out == 1 else self.y  # type: ignore[no-any-return]

    def _counts(self, rows: NDArray[np.int64], outputs: NDArray[Any]) -> tuple[float, ...]:
        within = slice(rows[0], rows[-1] + 1)
        right = _classes(outputs) == self.y[within]
        return (float(right.sum() if self.weights is None else self.weights[within] @ right),)

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
            A shape is wrong, or X is not finite.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Classifier(gradopt.Network.mlp([1, 1]), [[-1.0], [1.0]], [0, 1])
        >>> line.predict([2.0, 0.0], [[-3.0], [0.5]])
        array([0, 1])
        """
        return _classes(self.network.forward(theta, X))

    def score(self, theta: Any, X: Any, y: Any) -> float:
        """The accuracy: the share of rows whose label is predicted correctly.

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


# Activations whose outputs are no logits.
_SQUASHING = ("sigmoid", "tanh", "softplus")

_NUMBERED = "numpy.unique(y, return_inverse=True)[1]"


def _remedy(labels: NDArray[Any]) -> str:
    if labels.ndim == 2:
        return "; use y.argmax(axis=1) for one-hot rows, y.ravel() for a column"
    if labels.dtype.kind in "fb":
        return "; use y.astype(int)"
    return f"; use {_NUMBERED}" if labels.dtype.kind in "OUS" else ""
