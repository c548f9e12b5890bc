"""Classification by a network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.output import BinaryCrossEntropy, CrossEntropy
from gradopt._network import Network
from gradopt.problems.networks.supervised import Data, Supervised


@config
class Classifier(Supervised):
    """Classification by a network: the mean over rows of the cross-entropy of its softmax outputs.

    Parameters
    ----------
    network : Network
        With one raw output per class (activation "identity" in the last layer, usually), or with a single output, the
        logit of label 1 against label 0.
    X : array_like (rows, n_in)
        The inputs, finite. A numpy.memmap of any real dtype is read batch by batch, and its rows are checked when they
        are used. Other arrays are copied; float32 stays float32, everything else becomes float64.
    y : integer array_like (rows,)
        The labels, each in [0, n_out), or 0 and 1 for a single output. They must have an integer dtype.

    Raises
    ------
    TypeError, ValueError
        X and y do not fit each other or the network, are empty or not finite; labels are not integers, or out of range.

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

    network: Network
    X: Any
    y: Any

    Lowered = Data
    __repr__ = Supervised.__repr__

    measures: ClassVar[tuple[str, ...]] = ("fun", "accuracy")

    def __post_init__(self) -> None:
        self._check_network_and_X()
        last = self.network.layers[-1].activation
        if last in _SQUASHING:
            raise ValueError(
                "network must have raw outputs, since the loss applies softmax or the logistic function itself; its"
                f' last activation is {last!r}: take "identity" (output="identity" in Network.mlp)'
            )
        object.__setattr__(self, "y", self._labels(self.y))
        self._check_length(self.y)

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
        return (float(np.count_nonzero(_classes(outputs) == self.y[rows[0] : rows[-1] + 1])),)

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
