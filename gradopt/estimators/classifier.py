"""The classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from gradopt._network import Network
from gradopt.estimators.base import MultilayerPerceptron, only_with_batches
from gradopt.estimators.parameters import wrong
from gradopt.estimators.targets import SumOfBinaryCrossEntropies, Targets
from gradopt.methods import Method
from gradopt.problems import Classifier
from gradopt.problems.networks.supervised import Supervised


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A multilayer perceptron that classifies, as sklearn.neural_network.MLPClassifier and with more.

    The loss is the cross-entropy of the softmax of the outputs; of their sigmoid for two classes, and for independent
    labels, where it is summed over them. alpha / 2 times the sum of the squared weights, divided by the rows of the
    batch, is added. The same `random_state` gives the same network as there, to rounding, with the solvers "sgd" and
    "adam".

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int
        The widths of the hidden layers, >= 1; () for none.
    activation : str, or sequence of str
        Of all hidden layers, or of each: "relu", "tanh", "logistic" (or "sigmoid"), "identity", "leaky_relu",
        "softplus", "gelu", "silu".
    solver : {"adam", "sgd", "lbfgs"} or a method
        Or any method of gradopt, such as AdamW(OneCycle(0.01, 500)) or LBFGS(memory=20). Methods that take batches
        work as "adam" does, others as "lbfgs"; the parameters learning_rate, learning_rate_init, power_t, momentum,
        nesterovs_momentum, beta_1, beta_2 and epsilon are not used then.
    alpha : float, or sequence of float
        The penalty on the weights of all layers, or of each layer, >= 0. Biases have none.
    batch_size : int or "auto"
        Rows in a batch; "auto" is min(200, rows). Not used by solvers that take all rows at once.
    learning_rate : {"constant", "invscaling", "adaptive"}
        For "sgd". "invscaling": learning_rate_init / (rows seen so far + 1)**power_t, after each epoch. "adaptive":
        divided by 5 where training would end otherwise, until it is below 1e-6.
    learning_rate_init : float
        The learning rate of "sgd" and "adam", > 0.
    power_t : float
        See learning_rate; >= 0.
    max_iter : int
        Epochs, or updates of a solver that takes all rows at once, at most.
    shuffle : bool
        Shuffle the rows for each epoch.
    random_state : int, numpy.random.RandomState or None
        Source of the first weights, then of the rows that are split off, then of the orders of rows.
    tol : float
        The least improvement that counts, >= 0 (Keras calls it min_delta); for "lbfgs", `gtol` of `gradopt.optimize`.
    verbose : bool
        Print the loss of each epoch.
    warm_start : bool
        Begin `fit` with the weights of the last one.
    momentum, nesterovs_momentum : float in [0, 1], bool
        For "sgd".
    early_stopping : bool
        Hold validation_fraction of the rows out of training (or take those of `fit(validation=...)`), stop when what
        `monitor` names does not improve on them, and keep the best epoch. False: stop when the training loss does not
        improve.
    validation_fraction : float
        In [0, 1).
    beta_1, beta_2, epsilon : float
        For "adam": decay rates in [0, 1), and a number > 0.
    n_iter_no_change : int or inf
        Training ends after more than this many epochs in a row without improvement.
    max_fun : int
        Evaluations of the loss, at most, for solvers that take all rows at once.
    class_weight : dict, "balanced" or None
        Weights of the labels in training, as {label: weight}; those not in it have 1. "balanced": inversely
        proportional to how often a label occurs. They multiply `sample_weight`.
    dropout : float, or sequence of float
        The probability that an output of a hidden layer is left out in training, in [0, 1), for all of them or each.
    frozen : sequence of int
        Numbers of the layers, from 0, whose weights and biases stay as they are; for warm_start and partial_fit.
    monitor : {"auto", "score", "validation_loss", "loss"}
        What must improve: the score of the validation rows (accuracy), their loss, or the training loss. "auto" is
        "score" with early_stopping, else "loss".
    callback : callable or list of these
        As for `gradopt.optimize`: called after each epoch with `intermediate_result`, which has x, fun, epoch, and
        val_fun where there are validation rows; gradopt.checkpoint(path) and gradopt.every(n, ...) among them.
    progress : bool
        Show a progress bar (needs tqdm).

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    coefs_, intercepts_ : lists of ndarray
        The weights (inputs, outputs) and biases (outputs,) of each layer.
    loss_, loss_curve_ : float, list of float
        The loss of the last epoch, and of all: the mean over the batches as they were seen, with the penalty.
    best_loss_ : float or None
        The lowest of them; None if the validation rows decide.
    validation_scores_, validation_loss_curve_ : list of float, or None
        The accuracy and the loss, without penalty, of the validation rows after each epoch.
    best_validation_score_ : float or None
        The highest of the former.
    n_iter_, t_ : int
        Epochs or updates of the last `fit`; rows seen in all.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    What differs from scikit-learn: the slope of relu at exactly 0 is 1, there 0. "lbfgs" is `gradopt.LBFGS`, whose line
    search is another. Probabilities are not clipped at 1e-16 where the loss takes their logarithm. A run that diverges
    is an error, or, after a finite epoch under early stopping, gives the best epoch and a ConvergenceWarning. A batch
    whose rows all have weight 0 changes nothing; there it is an error. partial_fit takes parameters that were changed;
    there the first ones stay. There is a decision_function, which calibration and some meta-estimators prefer to
    probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from gradopt.estimators import MLPClassifier
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> xor = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0).fit(X, ["no", "yes", "yes", "no"])
    >>> xor.predict([[0.0, 1.0], [1.0, 1.0]]).tolist()
    ['yes', 'no']
    """

    def __init__(
        self,
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
        class_weight: dict[Any, float] | str | None = None,
        dropout: float | Sequence[float] = 0.0,
        frozen: Sequence[int] = (),
        monitor: str = "auto",
        callback: Any = None,
        progress: bool = False,
    ) -> None:
        self._keep(locals())

    @only_with_batches
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch more.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; y need not contain all labels.
        classes : array_like, optional
            All labels that any call gets; required in the first one, such as np.unique(y).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`; or classes are missing in the first call, or others than in it.
        """
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            given = unique_labels(classes)
            if hasattr(self, "classes_") and not np.array_equal(self.classes_, given):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
            if not hasattr(self, "classes_"):
                self._set_classes(y if type_of_target(y).startswith("multilabel") else classes)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which sees a part of y; give a dict"
            )
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _set_classes(self, y: Any) -> None:
        plain = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuU"  # else it takes a while to tell
        kind = "multiclass" if plain else type_of_target(y, input_name="y")
        self._several_labels = kind.startswith("multilabel")
        self._sparse_labels = issparse(y)
        if self._several_labels:
            self.classes_ = np.arange(y.shape[1])
        elif kind in ("binary", "multiclass"):
            self.classes_ = np.unique(y)
            if self.classes_.dtype == object:
                self.classes_ = np.array(self.classes_.tolist())
        else:
            raise ValueError(f"Unknown label type: {kind}. y must be labels, one per row, or a matrix of 0 and 1")

    def _checked_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = self._validated(X, y, reset)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._set_classes(y)
        else:
            classes = unique_labels(y)
            if self.warm_start and not incremental and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit."
                    f" Previously got {self.classes_}, `y` has {classes}"
                )
            if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        return X, self._numbered(y)

    def _checked_validation(self, X: Any, y: Any) -> tuple[Any, Any]:
        X, y = self._validated(X, y, reset=False)
        return X, self._numbered(y)

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _numbered(self, y: Any) -> NDArray[Any]:
        """The labels as their numbers (rows,), or independent ones as 0 and 1 (rows, labels)."""
        if self._several_labels != (y.ndim == 2):
            raise ValueError("y must have one label per row, or several, as in the first fit")
        if self._several_labels:
            return ((y.toarray() if issparse(y) else y) != 0).astype(np.float64)
        numbers = np.searchsorted(self.classes_, y)
        if not np.array_equal(self.classes_[np.minimum(numbers, len(self.classes_) - 1)], y):
            raise ValueError(f"validation: y has labels that are not among the classes {self.classes_}")
        return numbers

    def _outputs_of(self, y: Any) -> int:
        return len(self.classes_) if self._several_labels or len(self.classes_) > 2 else 1

    def _out_activation(self) -> str:
        return "softmax" if self.n_outputs_ > 1 and not self._several_labels else "logistic"

    def _strata(self, y: Any) -> Any:
        return y.astype(bool)[:, None] if self.n_outputs_ == 1 else None

    def _problem(self, network: Network, X: Any, y: Any, sample_weight: Any) -> Supervised:
        if not self._several_labels:
            weights = self._class_weights()
            return Classifier(network, X, y, class_weight=weights, **self._settings(sample_weight))
        if self.class_weight is not None:
            raise ValueError("class_weight needs one label per row, not several")
        return Targets(network, X, y, SumOfBinaryCrossEntropies(), **self._settings(sample_weight))

    def _class_weights(self) -> Any:
        """The class weights, by the numbers of the labels."""
        given, labels = self.class_weight, self.classes_.tolist()
        if given is None or isinstance(given, str):
            return given
        if not isinstance(given, dict):
            raise wrong(self, "class_weight", "a dict, 'balanced' or None")
        unknown, missing = (
            [label for label in given if label not in labels],
            [label for label in labels if label not in given],
        )
        if unknown and missing:
            raise ValueError(f"The classes, {missing}, are not in class_weight, which has {unknown}; y has {labels}")
        return {i: given.get(label, 1.0) for i, label in enumerate(labels)}

    def decision_function(self, X: Any) -> NDArray[Any]:
        """The network's raw outputs: logits (rows,) of the second of two classes, or (rows, classes)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """The predicted labels, (rows,), or (rows, labels) with 0 and 1 for independent ones.

        Parameters
        ----------
        X : array_like or sparse matrix (rows, features)
            The inputs, finite.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return self.classes_[outputs.argmax(axis=1)]
        positive = (expit(outputs) > 0.5).astype(np.int64)
        if self.n_outputs_ > 1:
            return csr_matrix(positive) if self._sparse_labels else positive
        return self.classes_[np.minimum(positive[:, 0], len(self.classes_) - 1)]  # there may be one class alone

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each label, (rows, labels), in the order of `classes_`.

        Parameters
        ----------
        X : array_like or sparse matrix (rows, features)
            The inputs, finite.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return softmax(outputs, axis=1)
        if self.n_outputs_ > 1:
            return expit(outputs)
        probability = expit(outputs[:, 0])
        return np.column_stack([1 - probability, probability])

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithms of `predict_proba`, also where that rounds to 0.

        Parameters
        ----------
        X : array_like or sparse matrix (rows, features)
            The inputs, finite.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return log_softmax(outputs, axis=1)
        logits = outputs if self.n_outputs_ > 1 else np.column_stack([-outputs[:, 0], outputs[:, 0]])
        return np.where(logits > 0.0, np.log(expit(logits)), log_expit(logits))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
