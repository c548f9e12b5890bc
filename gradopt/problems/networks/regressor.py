"""Regression by a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gradopt._core import validate
from gradopt._core.config import config
from gradopt._losses.output import BinaryCrossEntropy
from gradopt._losses.residual import loss_named
from gradopt._network import Network
from gradopt.problems.networks.supervised import Data, Supervised, mapped

_REGRESSION_LOSSES = ("mse", "mae", "rmse", "half_squared_error", "huber", "binary_cross_entropy")


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
    loss : {"mse", "mae", "rmse", "half_squared_error", "huber", "binary_cross_entropy"}
        With the residual r = output - y: the mean over all numbers of r**2; of abs(r) (slope 0 at r = 0); the root of
        the first; the mean over rows of the sum of r**2 / 2; the mean Huber loss with delta = 1. Or the mean
        cross-entropy of the sigmoid of the outputs, with targets in [0, 1].

    Raises
    ------
    TypeError, ValueError
        X and y do not fit each other or the network, are empty or not finite; loss is not one of the above; targets for
        binary_cross_entropy are outside [0, 1].

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

    Lowered = Data

    def __post_init__(self) -> None:
        self._check_network_and_X()
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
        if y.shape[1] != self.network.n_out:
            raise ValueError(
                f"y must have {self.network.n_out} columns, the width of the network's output, got {y.shape[1]}"
            )
        return y  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, loss={self.loss!r})"

    def _loss(self) -> Any:
        return BinaryCrossEntropy() if self.loss == "binary_cross_entropy" else loss_named(self.loss)

    def error_scale(self, x: NDArray[Any]) -> tuple[float, float] | None:
        if self.loss == "binary_cross_entropy":
            return (1.0 if self.network.n_out == 1 else float(self.network.n_out)) / self.rows, np.inf
        if self.loss not in ("mse", "half_squared_error"):
            return None
        dof = self.rows * self.network.n_out - self.n
        return (2.0 * self.value(x) / dof, float(dof)) if dof > 0 else (np.inf, np.inf)

    def predict(self, theta: Any, X: Any) -> NDArray[Any]:
        """The network's outputs; with binary_cross_entropy the probabilities, the sigmoid of the outputs.

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
        residual = np.sum((predicted - targets) ** 2, axis=0)
        total = np.sum((targets - targets.mean(axis=0)) ** 2, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(total > 0.0, 1.0 - residual / total, residual == 0.0)
        return float(np.mean(scores))
