"""Checks of the estimators' parameters, with messages in the words of scikit-learn."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from gradopt._network.activations import ACTIVATIONS
from gradopt.methods import Method

_ACTIVATIONS = ("logistic", *ACTIVATIONS)


def check_parameters(estimator: Any) -> None:
    """Raise a ValueError for the first parameter that both estimators have and that is wrong."""
    in_range(estimator, "alpha", Real, 0, by_layer=True)
    in_range(estimator, "dropout", Real, 0, 1, below=True, by_layer=True)
    in_range(estimator, "learning_rate_init", Real, 0, above=True)
    in_range(estimator, "power_t", Real, 0)
    in_range(estimator, "max_iter", Integral, 1)
    in_range(estimator, "max_fun", Integral, 1)
    in_range(estimator, "tol", Real, 0)
    in_range(estimator, "momentum", Real, 0, 1)
    in_range(estimator, "validation_fraction", Real, 0, 1, below=True)
    in_range(estimator, "beta_1", Real, 0, 1, below=True)
    in_range(estimator, "beta_2", Real, 0, 1, below=True)
    in_range(estimator, "epsilon", Real, 0, above=True)
    if estimator.n_iter_no_change != np.inf:
        in_range(estimator, "n_iter_no_change", Integral, 1, other="inf or ")
    if not isinstance(estimator.batch_size, str) or estimator.batch_size != "auto":
        in_range(estimator, "batch_size", Integral, 1, other="a str among {'auto'} or ")
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "progress"):
        if not isinstance(getattr(estimator, name), (bool, np.bool_)):
            raise wrong(estimator, name, "True or False")
    if not isinstance(estimator.verbose, (Integral, np.bool_)) or estimator.verbose < 0:
        raise wrong(estimator, "verbose", "True or False, or an int >= 0")
    one_of(estimator, "learning_rate", ("constant", "invscaling", "adaptive"))
    one_of(estimator, "monitor", ("auto", "score", "validation_loss", "loss"))
    if not isinstance(estimator.solver, Method):
        one_of(estimator, "solver", ("lbfgs", "sgd", "adam"), " or a method of gradopt")
    sizes = hidden_layer_sizes(estimator)
    if any(not isinstance(size, Integral) or isinstance(size, bool) for size in sizes):
        raise wrong(estimator, "hidden_layer_sizes", "an int in the range [1, inf) or a sequence of these")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    _check_activation(estimator, len(sizes))


def hidden_layer_sizes(estimator: Any) -> list[int]:
    """The widths of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    return list(sizes) if np.iterable(sizes) and not isinstance(sizes, str) else [sizes]


def hidden_activations(estimator: Any) -> list[str]:
    """The activation of each hidden layer, by our names."""
    given = estimator.activation
    names = [given] * len(hidden_layer_sizes(estimator)) if isinstance(given, str) else given
    return [our_name(name) for name in names]


def our_name(activation: str) -> str:
    """The name of an activation in `Network`."""
    return "sigmoid" if activation == "logistic" else activation


def _check_activation(estimator: Any, layers: int) -> None:
    given = estimator.activation
    by_layer = isinstance(given, (list, tuple, np.ndarray)) and len(given) == layers
    for name in given if by_layer else [given]:
        if not isinstance(name, str) or name not in _ACTIVATIONS:
            wanted = "a str among {" + ", ".join(map(repr, _ACTIVATIONS)) + "}, or a sequence of one per hidden layer"
            raise wrong(estimator, "activation", wanted)


class ParameterError(ValueError, TypeError):
    """A parameter has a wrong value or type; both kinds of error, as in scikit-learn."""


def wrong(estimator: Any, name: str, wanted: str) -> ParameterError:
    """The error for a parameter that is not what is wanted."""
    value = getattr(estimator, name)
    return ParameterError(
        f"The {name!r} parameter of {type(estimator).__name__} must be {wanted}. Got {value!r} instead."
    )


def in_range(
    estimator: Any,
    name: str,
    kind: Any,
    low: float,
    high: float = np.inf,
    *,
    above: bool = False,
    below: bool = False,
    by_layer: bool = False,
    other: str = "",
) -> None:
    """Check that a parameter, or each number in it, is finite and in [low, high]; above, below: without the ends."""
    value = getattr(estimator, name)
    for item in value if by_layer and isinstance(value, (list, tuple, np.ndarray)) else [value]:
        sound = isinstance(item, kind) and not isinstance(item, (bool, np.bool_)) and low <= item <= high
        if not sound or (above and item == low) or (below and item == high) or item == np.inf:
            word, number = ("an int", int) if kind is Integral else ("a float", float)
            last = high if high == np.inf else number(high)
            ends = f"{'(' if above else '['}{number(low)}, {last}{')' if below or high == np.inf else ']'}"
            raise wrong(estimator, name, f"{other}{word} in the range {ends}")


def one_of(estimator: Any, name: str, choices: Any, other: str = "") -> None:
    """Check that a parameter is one of some strings."""
    value = getattr(estimator, name)
    if not isinstance(value, str) or value not in choices:
        raise wrong(estimator, name, "a str among {" + ", ".join(map(repr, choices)) + "}" + other)
