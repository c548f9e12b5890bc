"""The base of the estimators: how data and parameters become a problem, and its solution a network."""

from __future__ import annotations

import warnings
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from gradopt._api.optimize import optimize
from gradopt._core.status import Status
from gradopt._network import Dense, Network
from gradopt.estimators.parameters import check_parameters, hidden_activations, hidden_layer_sizes, our_name
from gradopt.estimators.training import BatchTraining, Best, Held, Memory, as_list, forget_curves
from gradopt.methods import LBFGS, Method
from gradopt.problems.networks.supervised import Supervised

_LBFGS_FTOL = 2.2e-9  # scipy's default, so that as many updates are made as there


class MultilayerPerceptron(BaseEstimator):
    """Base of MLPClassifier and MLPRegressor."""

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: Any
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: Any
    frozen: Any
    monitor: str
    callback: Any
    progress: bool

    n_outputs_: int
    coefs_: list[Any]
    intercepts_: list[Any]
    loss_curve_: list[float]
    best_loss_: float | None
    best_validation_score_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None

    _memory: Memory | None = None
    _best: Best | None = None

    def _keep(self, parameters: dict[str, Any]) -> None:
        """Keep the parameters of a constructor, as they are, under their names."""
        self.__dict__.update({name: value for name, value in parameters.items() if name not in ("self", "__class__")})

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Any:
        """Train the network.

        Parameters
        ----------
        X : array_like or sparse matrix (rows, features)
            The inputs, finite. float32 is computed in float32, everything else in float64.
        y : array_like (rows,) or (rows, outputs)
            The labels, or numbers.
        sample_weight : array_like (rows,), optional
            Weights of the rows, >= 0. A batch's loss is the weighted mean over its rows.
        validation : (X, y), optional
            Rows that are not trained on; after each epoch, their loss goes to `validation_loss_curve_` and their score
            to `validation_scores_`. With early_stopping they replace the rows that are split off otherwise.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            A parameter or the data are wrong, or the parameters of the network became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, validation, incremental=False)

    # Training.

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Any, incremental: bool) -> Any:
        self._check_parameters()
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._checked_data(X, y, incremental, first_pass)
        if sample_weight is not None:
            sample_weight = _checked_weights(sample_weight, X)
        if np.any(self.dropout) and not self._trains:
            raise ValueError("dropout needs a solver that works on batches, such as 'adam'")
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        random_state = check_random_state(self.random_state)
        held = None if validation is None else self._given_validation(validation)
        if held is None and self._trains and not self.early_stopping and self.monitor in ("score", "validation_loss"):
            raise ValueError(f"monitor={self.monitor!r} needs early_stopping=True or fit(..., validation=(X, y))")
        if first_pass:
            self.n_outputs_ = self._outputs_of(y)
            self._begin(X.shape[1], X.dtype, random_state)
        else:
            self._require_same_network(self._outputs_of(y))
        if held is None and self.early_stopping and self._trains:
            X, y, sample_weight, held = self._split(X, y, sample_weight, random_state)
        network = self._network()
        problem = self._problem(network, X, y, sample_weight)
        if self._trains:
            theta = BatchTraining(self, problem, held, incremental).run(self._theta(), random_state)
        else:
            theta = self._minimise(problem)
        if theta is None:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
                " preprocessed."
            )
        layers = network.layers_of(theta)
        self.coefs_ = [weight.copy() for weight, _ in layers]
        self.intercepts_ = [bias.copy() for _, bias in layers if bias is not None]
        return self

    @property
    def _trains(self) -> bool:
        """Whether the solver works on batches."""
        if isinstance(self.solver, Method):
            return self.solver.loop.batches is not None
        return self.solver in ("sgd", "adam")

    def _begin(self, features: int, dtype: Any, random_state: np.random.RandomState) -> None:
        """Draw the network's weights and biases, and forget what was learned."""
        sizes = [features, *hidden_layer_sizes(self), self.n_outputs_]
        given = self.activation
        activations = hidden_activations(self) or [given if isinstance(given, str) else "identity"]
        self.coefs_, self.intercepts_ = [], []
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            squashes = activations[min(i, len(activations) - 1)] in ("sigmoid", "logistic")
            bound = np.sqrt((2.0 if squashes else 6.0) / (n_in + n_out))
            for parts, shape in ((self.coefs_, (n_in, n_out)), (self.intercepts_, (n_out,))):
                parts.append(random_state.uniform(-bound, bound, shape).astype(dtype, copy=False))
        self.n_layers_, self.out_activation_ = len(sizes), self._out_activation()
        self.n_iter_, self.t_, self._memory, self._best = 0, 0, None, None
        if self._trains:
            forget_curves(self)

    def _require_same_network(self, n_outputs: int) -> None:
        """Raise a ValueError if data or parameters want another network than the one that was trained before."""
        sizes = [*hidden_layer_sizes(self), n_outputs]
        before = [bias.size for bias in self.intercepts_]
        if sizes[-1] != before[-1]:
            raise ValueError(f"y must have {before[-1]} outputs, as in the first fit, got {n_outputs}")
        if sizes != before:
            raise ValueError(f"hidden_layer_sizes can't change after the first fit, from {before[:-1]} to {sizes[:-1]}")

    def _given_validation(self, validation: Any) -> Held:
        if not self._trains:
            raise ValueError("validation rows need a solver that works on batches, such as 'adam'")
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ValueError(f"validation must be (X, y), got a {type(validation).__name__}")
        return Held(*self._checked_validation(*validation), None)

    def _split(self, X: Any, y: Any, sample_weight: Any, random_state: np.random.RandomState) -> tuple[Any, ...]:
        """The rows to train on, (X, y, sample_weight), and those that are held out."""
        weights = [] if sample_weight is None else [sample_weight]
        size, strata = self.validation_fraction, self._strata(y)
        parts = train_test_split(X, y, *weights, random_state=random_state, test_size=size, stratify=strata)
        train, held = parts[::2], parts[1::2]
        if held[0].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return (*train, *[None] * (3 - len(train)), Held(*held, *[None] * (3 - len(held))))

    def _minimise(self, problem: Supervised) -> NDArray[Any] | None:
        """The parameters that minimise the loss over all rows at once; None if they diverged."""
        is_lbfgs = isinstance(self.solver, str)
        method = LBFGS() if is_lbfgs else self.solver
        result = optimize(
            problem,
            self._theta(),
            method=method,
            max_iter=self.max_iter,
            max_nfev=self.max_fun,
            gtol=None if method.loop.by_values else self.tol,
            ftol=_LBFGS_FTOL if is_lbfgs else None,
            callback=as_list(self.callback) or None,
            progress=self.progress,
        )
        self.n_iter_, self.loss_ = result.nit, result.fun
        if self.verbose:
            print(f"{result.nit} iterations, loss = {result.fun:.8f}: {result.message}")
        if result.status == Status.NON_FINITE:
            return None
        if not result.success:
            warnings.warn(
                f"{self.solver} failed to converge after {result.nit} iteration(s): {result.message}. Increase the"
                " number of iterations (max_iter), or scale the data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return result.x  # type: ignore[no-any-return]

    # The network.

    def _network(self) -> Network:
        given, hidden = self.activation, len(self.coefs_) - 1
        activations = [
            *([our_name(given)] * hidden if isinstance(given, str) else hidden_activations(self)),
            "identity",
        ]
        shapes = [weight.shape for weight in self.coefs_]
        return Network([Dense(m, n, name) for (m, n), name in zip(shapes, activations, strict=True)])  # type: ignore[arg-type]

    def _theta(self) -> NDArray[Any]:
        """All parameters as one vector, as `Network` has them."""
        pairs = zip(self.coefs_, self.intercepts_, strict=True)
        theta = np.concatenate([np.ravel(part) for pair in pairs for part in pair])
        return theta if theta.dtype in (np.float32, np.float64) else theta.astype(np.float64)

    def _outputs(self, X: Any) -> NDArray[Any]:
        """The raw outputs (rows, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        theta = self._theta()
        return self._network().forward(theta.astype(np.result_type(theta, X.dtype), copy=False), X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # What the two classes know.

    def _check_parameters(self) -> None:
        check_parameters(self)

    def _checked_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X as an array or a sparse matrix, and the targets in the form for `_problem`."""
        raise NotImplementedError

    def _checked_validation(self, X: Any, y: Any) -> tuple[Any, Any]:
        """The same for validation rows."""
        raise NotImplementedError

    def _outputs_of(self, y: Any) -> int:
        """The number of the network's outputs."""
        raise NotImplementedError

    def _out_activation(self) -> str:
        """scikit-learn's name for the function of the outputs that predicts."""
        raise NotImplementedError

    def _strata(self, y: Any) -> Any:
        """The groups that a split keeps in proportion, or None."""
        return None

    def _problem(self, network: Network, X: Any, y: Any, sample_weight: Any) -> Supervised:
        """What is minimised."""
        raise NotImplementedError

    def _settings(self, sample_weight: Any) -> dict[str, Any]:
        """The arguments that all problems with a network have."""
        return {"sample_weight": sample_weight, "alpha": self.alpha, "dropout": self.dropout, "frozen": self.frozen}


def _has_batches(estimator: MultilayerPerceptron) -> bool:
    if not estimator._trains:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True


# The decorator of `partial_fit`.
only_with_batches = available_if(_has_batches)


def _checked_weights(sample_weight: Any, X: Any) -> NDArray[Any]:
    """The weights of the rows of X."""
    if isinstance(sample_weight, Real):
        sample_weight = np.full(X.shape[0], sample_weight)
    weights = check_array(sample_weight, ensure_2d=False, dtype=X.dtype, input_name="sample_weight", copy=True)
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array")
    if weights.shape[0] != X.shape[0]:
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(X.shape[0],)}!")
    if (weights < 0.0).any():
        raise ValueError("Negative values in data passed to `sample_weight`: weights must be >= 0")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number")
    return weights  # type: ignore[no-any-return]
