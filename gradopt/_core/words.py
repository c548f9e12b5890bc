"""Words of scipy, torch and keras for what has another name here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

_OURS = {
    "beta_1": "betas=(beta_1, beta_2)",
    "beta_2": "betas=(beta_1, beta_2)",
    "beta1": "betas=(beta1, beta2)",
    "beta2": "betas=(beta1, beta2)",
    "constraints": "bounds for bounds; other constraints need another tool",
    "disp": "progress=True",
    "epsilon": "eps",
    "eta": "learning_rate",
    "f": "problem, the first argument",
    "fun": "problem, the first argument",
    "func": "problem, the first argument",
    "grad": "jac",
    "history_size": "memory",
    "learning_rate_init": "learning_rate",
    "learning_rate": "it as an argument of the method: method=SGD(learning_rate=0.01)",
    "lr": "learning_rate",
    "m": "memory",
    "maxcor": "memory",
    "maxiter": "max_iter",
    "maxls": "max_line_search",
    "n_epochs": "epochs",
    "n_iter_no_change": "patience",
    "nb_epoch": "epochs",
    "num_epochs": "epochs",
    "objective": "problem, the first argument",
    "options": "its entries as arguments: max_iter, gtol, ftol, ...",
    "optimizer": "method",
    "p0": "x0",
    "random_state": "rng",
    "seed": "rng",
    "solver": "method",
    "tol": "gtol, or ftol",
    "validation_data": "validation",
    "verbose": "progress=True",
}


def explains_words(function: _F, name: str | None = None) -> _F:
    """Let a function say what to write where it is called with another package's word for an argument."""
    parameters = inspect.signature(function).parameters

    @functools.wraps(function)
    def explained(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except TypeError as error:
            unknown = next((word for word in keywords if word not in parameters), None)
            if unknown is None or "unexpected keyword" not in str(error):
                raise
            ours = _OURS.get(unknown, "")
            if ours == "learning_rate" and ours not in parameters:
                ours = _OURS[ours]
            hint = f"; write {ours}" if ours else ""
            raise TypeError(f"{name or function.__name__}() has no argument {unknown}{hint}") from None

    return explained  # type: ignore[return-value]
