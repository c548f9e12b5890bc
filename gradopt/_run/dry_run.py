"""A trial run, in Python, of the kernels of users' classes before they are compiled.

In Python, a wrong name, an index out of range or a missing return raises a clear error; the compiler would report it in
a page of text, or the kernel would write to other memory. The package's own kernels have tests instead.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numba import NumbaError
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import Config, is_ours
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt.methods import Method
from gradopt.problems import Problem, RowProblem

# A trial takes negligible time up to this many numbers in x and all data.
_SMALL = 1000

_dry_run_done: set[Any] = set()


def dry_run_problem(problem: Problem, x: NDArray[Any], in_batches: bool) -> None:
    """Try the kernel of a user's problem, once per class; raises an error if the loop can't use it."""
    generic = batch_value_and_grad if in_batches else value_and_grad
    kernel = _kernel(problem, generic, x)
    if kernel is None:
        return
    lowered = problem.lower(x.dtype)
    grads = [np.full_like(x, fill) for fill in (np.nan, 7.0)]
    try:
        for grad in grads:
            if isinstance(problem, RowProblem) and in_batches:
                rows = np.arange(min(2, problem.rows))
                value = kernel(lowered, grad, problem.batch_workspace_for(x, rows.size), x.copy(), rows)
            else:
                value = kernel(lowered, grad, problem.workspace_for(x), x.copy())
    except (ArithmeticError, ValueError):  # from the math module; machine code goes on with NaN or infinity
        return
    name = f"{generic.__name__} of {type(problem).__name__}"
    _require_number(name, value)
    untouched = np.isnan(grads[0]) & (grads[1] == 7.0)
    if untouched.any() and np.isfinite(value):
        first = int(np.argmax(untouched))
        raise ValueError(f"{name} must write each element of grad, but does not write grad[{first}]")


def dry_run_method(method: Method, x: NDArray[Any]) -> None:
    """Try the kernels of a user's method, with the calls listed by `Method.dry_run_calls`."""
    for config, generic, arguments in method.dry_run_calls(x):
        kernel = _kernel(config, generic, x)
        if kernel is not None:
            name = f"{generic.__name__} of {type(config).__name__}"
            result = kernel(config.lower(), *arguments())
            if generic.__annotations__["return"] == "float":
                _require_number(name, result)
            elif result is not None:
                raise TypeError(f"{name} must write x in place and return nothing, got {validate.shown(result)}")


def add_remedy(error: NumbaError, problem: Any, method: Method) -> None:
    """Add advice to an error of Numba's if it may be about users' kernels."""
    kinds = [type(config) for config in (problem, method) if isinstance(config, Config)]
    own = [kind.__name__ for kind in kinds if not is_ours(kind)]
    if own:
        what = " or ".join(own)
        error.add_note(f"A kernel of {what} could not be compiled. NUMBA_DISABLE_JIT=1 runs it in Python.")


def _kernel(config: Any, generic: Any, x: NDArray[Any]) -> Any:
    """The Python function of a kernel if it should be tried, else None."""
    kind = type(config)
    if (kind, generic) in _dry_run_done:
        return None
    lowered = config.lower(x.dtype) if isinstance(config, Problem) else config.lower()
    ours = is_ours(kind)
    if ours or _numbers(lowered) + x.size > _SMALL:
        if ours:
            _dry_run_done.add((kind, generic))
        return None
    _dry_run_done.add((kind, generic))
    try:
        return np.errstate(all="ignore")(generic.source(type(lowered)))
    except KeyError:  # it runs in Python anyway
        return None


def _numbers(value: Any) -> int:
    """The count of numbers in a lowered configuration."""
    return sum(map(_numbers, value)) if isinstance(value, tuple) else np.size(value)


def _require_number(name: str, value: Any) -> None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must return a real number, got {validate.shown(value)}")
