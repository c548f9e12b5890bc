"""Regression by a network."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.output import BinaryCrossEntropy, Poisson
from gradopt._losses.residual import Quantile, loss_named
from gradopt.problems.networks.supervised import Data, Supervised, mapped

_REGRESSION_LOSSES = (
    "mse",
    "mae",
    "rmse",
    "half_squared_error",
    "huber",
    "quantile",
    "poisson",
    "binary_cross_entropy",
)


@config
class Regressor(Supervised):
    """Regression by a network: fits its outputs to numbers.

    Parameters
    ----------
    network : Network
    X : array_like (rows, n_in)
        As for `Classifier`.
    y : array_like (rows, n_out), or (rows,) for a single output
        The targets, finite; they can be a numpy.memmap, like X.
    loss : {"mse", "mae", "rmse", "half_squared_error", "huber", "quantile", "poisson", "binary_cross_entropy"}
        With the residual r = output - y: the mean over all numbers of r**2; of abs(r) (slope 0 at r = 0); the root of
        the first; the mean over rows of the sum of r**2 / 2; the mean Huber loss with delta = 1; the mean of
        (1 - quantile) r where r > 0 and -quantile r where r < 0. Or half the deviance of counts y >= 0 whose mean is
        the exp of the outputs, the mean over rows of its sum; or the mean cross-entropy of the sigmoid of the outputs,
        with targets in [0, 1].
    quantile : float
        In (0, 1), for the loss of that name.
    sample_weight : array_like (rows,), optional
        The weights of the rows, >= 0, at least one above 0. The loss is the weighted mean, in a batch too; a batch
        whose weights are all 0 changes nothing.
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
        X and y do not fit each other or the network, are empty or not finite; targets for binary_cross_entropy are
        outside [0, 1], or negative for poisson; another argument is not as above.

    Examples
    --------
    >>> import gradopt
    >>> line = gradopt.problems.Regressor(gradopt.Network.mlp([1, 1]), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> gradopt.optimize(line, method=gradopt.SGD(0.1), epochs=500, rng=0).x.round(3)
    array([2., 1.])
    """

    loss: str = "mse"
    quantile: float = field(default=0.5, kw_only=True)

    Lowered = Data

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("quantile", validate.number, 0, 1, above=True, below=True)
        self._check("loss", validate.choice, _REGRESSION_LOSSES)
        object.__setattr__(self, "y", self._targets(self.y))
        self._check_length(self.y)

    def _targets(self, y: Any) -> NDArray[Any]:
        if isinstance(y, np.memmap):
            y = mapped("y", y if y.ndim == 2 else y.reshape(-1, 1))
        else:
            y = np.asarray(y)
            y = validate.array("y", y[:, None] if y.ndim == 1 else y, 2)
            if self.loss == "binary_cross_entropy" and (y.min() < 0.0 or y.max() > 1.0):
                raise ValueError(f"y must be in [0, 1] for binary_cross_entropy, got {y.min():g} to {y.max():g}")
            if self.loss == "poisson" and y.min() < 0.0:
                raise ValueError(f"y must be >= 0 for poisson, got {y.min():g}")
        if y.shape[1] != self.network.n_out:
            raise ValueError(
                f"y must have {self.network.n_out} columns, the width of the network's output, got {y.shape[1]}"
            )
        return y  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, loss={self.loss!r})"

    def _loss(self) -> Any:
        own = {"binary_cross_entropy": BinaryCrossEntropy(), "poisson": Poisson(), "quantile": Quantile(self.quantile)}
        return own.get(self.loss) or loss_named(self.loss)

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        if np.any(self.alpha):
            return None
        if self.loss == "binary_cross_entropy":
            return float(self.network.n_out) / self.total_weight, np.inf
        if self.loss == "poisson":
            return 1.0 / self.total_weight, np.inf
        if self.loss not in ("mse", "half_squared_error"):
            return None
        rows = self.rows if self.weights is None else int(np.count_nonzero(self.weights))
        dof = rows * self.network.n_out - self.n
        return (2.0 * self.value(x) / dof, float(dof)) if dof > 0 else (np.inf, np.inf)

    def predict(self, theta: Any, X: Any) -> NDArray[Any]:
        """The predictions: the network's outputs, their sigmoid with binary_cross_entropy, their exp with poisson.

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
            A shape is wrong, or X is not finite.

        Examples
        --------
        >>> import gradopt
        >>> line = gradopt.problems.Regressor(gradopt.Network.mlp([1, 1]), [[0.0]], [1.0])
        >>> line.predict([2.0, 1.0], [[3.0], [4.0]])
        array([7., 9.])
        """
        predicted = self._predicted(theta, X)
        return predicted[:, 0] if self.network.n_out == 1 else predicted

    def _predicted(self, theta: Any, X: Any) -> NDArray[Any]:
        outputs = self.network.forward(theta, X)
        if self.loss == "poisson":
            return np.exp(outputs)  # type: ignore[no-any-return]
        return expit(outputs) if self.loss == "binary_cross_entropy" else outputs  # type: ignore[no-any-return]

    def score(self, theta: Any, X: Any, y: Any) -> float:
        """The coefficient of determination R**2 = 1 - sum (prediction - y)**2 / sum (y - mean)**2, mean over outputs.

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
        float, at most 1; for a constant y, 1 if it is predicted exactly, else 0

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
        targets, predicted = self._targets(y), self._predicted(theta, X)
        if len(targets) != len(predicted):
            raise ValueError(f"X and y must have the same number of rows, got {len(predicted)} and {len(targets)}")
        return r_squared(targets, predicted)


def r_squared(y: NDArray[Any], predicted: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """The coefficient of determination, mean over outputs; y, predicted : (rows, n_out); weights : (rows,) or None."""
    with np.errstate(all="ignore"):  # predictions of a run that diverges may overflow
        residual = np.average((predicted - y) ** 2, axis=0, weights=weights)
        total = np.average((y - np.average(y, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        scores = np.where(total > 0.0, 1.0 - residual / total, residual == 0.0)
    return float(np.mean(scores))
