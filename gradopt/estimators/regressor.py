"""The regressor."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from gradopt._losses.residual import HalfSquaredError
from gradopt._network import Network
from gradopt.estimators.base import MultilayerPerceptron, only_with_batches
from gradopt.estimators.parameters import in_range, one_of
from gradopt.estimators.targets import LOSSES, Targets
from gradopt.methods import Method
from gradopt.problems.networks.supervised import Supervised


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A multilayer perceptron that predicts numbers, as sklearn.neural_network.MLPRegressor and with more.

    alpha / 2 times the sum of the squared weights, divided by the rows of the batch, is added to the loss. The same
    `random_state` gives the same network as there, to rounding, with the solvers "sgd" and "adam".

    Parameters
    ----------
    loss : str
        With r = prediction - y: "squared_error", r**2 / 2; "absolute_error" (or "mae"); "huber", r**2 / 2 where
        abs(r) <= 1 and abs(r) - 1/2 beyond; "quantile", (1 - quantile) r above y and -quantile r below; and "poisson",
        half the deviance of counts y >= 0 whose mean is the exp of the output.
    quantile : float
        In (0, 1), for that loss.
    hidden_layer_sizes to max_fun, and dropout to progress
        As for `MLPClassifier`; the score is R squared.

    Attributes
    ----------
    coefs_ to feature_names_in_
        As for `MLPClassifier`.

    Notes
    -----
    What differs from scikit-learn is listed at `MLPClassifier`. In addition, "poisson" refuses negative targets. With
    several outputs the squared error there is a mean over them, and its gradient that of the sum. "sgd" and "adam" do
    the same here; solvers that take all rows at once, which need a gradient that fits, minimise the sum.

    Examples
    --------
    >>> import numpy as np
    >>> from gradopt.estimators import MLPRegressor
    >>> t = np.linspace(0.0, 3.0, 50)[:, None]
    >>> wave = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", max_iter=2000, random_state=0)
    >>> print(round(wave.fit(t, np.sin(2.0 * t[:, 0])).score(t, np.sin(2.0 * t[:, 0])), 2))
    1.0
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Method = "adam",
        alpha: float | Sequence[float] = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        quantile: float = 0.5,
        dropout: float | Sequence[float] = 0.0,
        frozen: Sequence[int] = (),
        monitor: str = "auto",
        callback: Any = None,
        progress: bool = False,
    ) -> None:
        self._keep(locals())

    @only_with_batches
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch more.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`.
        """
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of(self, "loss", LOSSES)
        in_range(self, "quantile", Real, 0, 1, above=True, below=True)

    def _checked_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError("Some value(s) of y are negative, which is not allowed for loss='poisson'")
        return X, y.reshape(len(y), -1).astype(X.dtype)

    def _checked_validation(self, X: Any, y: Any) -> tuple[Any, Any]:
        return self._checked_data(X, y, incremental=True, reset=False)

    def _outputs_of(self, y: Any) -> int:
        return int(y.shape[1])

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _problem(self, network: Network, X: Any, y: Any, sample_weight: Any) -> Supervised:
        # scikit-learn's squared error has a gradient that is not its own where there are several outputs: a line search
        # needs one that is.
        consistent = self.loss == "squared_error" and not self._trains
        loss = HalfSquaredError() if consistent else LOSSES[self.loss](self.quantile)
        return Targets(network, X, y, loss, **self._settings(sample_weight))

    def predict(self, X: Any) -> NDArray[Any]:
        """The predicted numbers, (rows,) or (rows, outputs).

        Parameters
        ----------
        X : array_like or sparse matrix (rows, features)
            The inputs, finite.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "exp":
            outputs = np.exp(outputs)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
