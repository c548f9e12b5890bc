"""Methods for `scipy.optimize.minimize(method=...)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._api.optimize import optimize
from gradopt._core import validate
from gradopt._results.result import OptimizeResult
from gradopt.methods import Method

# scipy's names of options that have other names here.
_RENAMED = {"maxiter": "max_iter", "tol": "gtol"}
_OPTIONS = ("max_iter", "gtol", "ftol", "xtol", "target", "max_time", "clip_norm", "clip_value", "recover", "progress")
_OPTIONS += ("record", "state")  # type: ignore[assignment]


def minimize(
    method: Method,
    fun: Any,
    x0: Any,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Any = None,
    **options: Any,
) -> OptimizeResult:
    """Run a method with the arguments that scipy.optimize.minimize passes to a custom method.

    Parameters
    ----------
    method : Method
        A method of gradopt.
    fun, x0, args, jac, hess, hessp, bounds, callback
        As for `scipy.optimize.minimize`. jac=True works as in scipy, and is compiled like fun. A string as jac does not
        arrive here, because scipy replaces it by None; use the option `differences`.
    constraints
        Must not be given.
    **options
        `maxiter`, `disp`, `differences` (one of the strings for jac), and those of `optimize`: gtol, ftol, xtol,
        target, max_time, clip_norm, clip_value, recover, progress, record, state. scipy's `tol` sets gtol unless gtol
        is given.

    Returns
    -------
    OptimizeResult

    Raises
    ------
    ValueError
        An argument that the method can't use, or an unknown option, is given.

    Examples
    --------
    >>> import gradopt, scipy.optimize
    >>> def fun(x):
    ...     return (x[0] - 1.0) ** 2 + (x[1] + 2.0) ** 2
    >>> result = scipy.optimize.minimize(fun, [0.0, 0.0], method=gradopt.LBFGS(), options={"maxiter": 50})
    >>> print(result.x.round(6))
    [ 1. -2.]
    """
    if np.size(constraints) > 0:
        raise ValueError(f"constraints has no meaning for {type(method).__name__}, got {validate.shown(constraints)}")
    jac_function = getattr(jac, "__self__", None)
    if jac_function is not None and jac_function is fun and hasattr(fun, "fun"):
        # With jac=True, scipy passes an object that caches (value, gradient) of the user's function, and its method.
        fun, jac = fun.fun, True
    show, jac = options.pop("disp", False), options.pop("differences", jac)
    if "tol" in options and "gtol" in options:
        del options["tol"]
    if "tol" in options and method.loop.by_values:
        tol = options.pop("tol")
        options = {"xtol": tol, "ftol": tol} | options
    settings = {_RENAMED.get(name, name): value for name, value in options.items()}
    unknown = sorted(set(settings) - set(_OPTIONS))
    if unknown:
        known = ", ".join(("maxiter", "disp", "differences", *_OPTIONS[1:]))
        raise ValueError(f"options must be among {known}, got {', '.join(unknown)}")
    x = np.asarray(x0)
    derivatives = {"jac": jac or None, "hess": hess, "hessp": hessp}
    result = optimize(fun, x, method=method, args=args, **derivatives, bounds=bounds, callback=callback, **settings)
    if show:
        print(result.message, f"f = {result.fun}, {result.nit} updates, {result.nfev} evaluations", sep="\n")
    return result
