"""Kernels of a user's own classes are run once in Python before they are compiled.

There a wrong name, an index beyond an array and a forgotten return show themselves as what they are; the compiler would
answer with a page, or write elsewhere in memory. Kernels of the package have tests for that.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.config import Config, is_ours
from gradopt._core.protocol import batch_value_and_grad, value_and_grad
from gradopt.methods import Method
from gradopt.problems import Problem, RowProblem

# Numbers, of x and of all data, up to which a trial takes no time worth mentioning.
_SMALL = 1000

_dry_run_done: set[Any] = set()


def dry_run_problem(problem: Problem, x: NDArray[Any], in_batches: bool) -> None:
    """An error if the kernel of a user's own problem can't be what the loop wants; tried once per class."""
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
                value = kernel(lowered, grad, problem.batch_workspace(x.dtype, rows.size), x.copy(), rows)
            else:
                value = kernel(lowered, grad, problem.workspace(x.dtype), x.copy())
    except (ArithmeticError, ValueError):  # of the math module, where machine code goes on with NaN or infinity
        return
    name = f"{generic.__name__} of {type(problem).__name__}"
    _require_number(name, value)
    untouched = np.isnan(grads[0]) & (grads[1] == 7.0)
    if untouched.any() and np.isfinite(value):
        first = int(np.argmax(untouched))
        raise ValueError(f"{name} must write each element of grad, but does not write grad[{first}]")


def dry_run_method(method: Method, x: NDArray[Any]) -> None:
    """The same for the kernels of a method, with the calls that `Method.dry_run_calls` names."""
    for config, generic, arguments in method.dry_run_calls(x):
        kernel = _kernel(config, generic, x)
        if kernel is not None:
            name = f"{generic.__name__} of {type(config).__name__}"
            result = kernel(config.lower(), *arguments)
            if generic.__annotations__["return"] == "float":
                _require_number(name, result)
            elif result is not None:
                raise TypeError(f"{name} must write x in place and return nothing, got {validate.shown(result)}")


class remedy_for_kernels:
    """Within the block, adds to what Numba says of a user's own kernels how to go on."""

    def __init__(self, problem: Any, method: Method) -> None:
        self._configs = problem, method

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, NumbaError):
            kinds = [type(config) for config in self._configs if isinstance(config, Config)]
            own = [kind.__name__ for kind in kinds if not is_ours(kind)]
            if own:
                what = " or ".join(own)
                error.add_note(f"A kernel of {what} could not be compiled. NUMBA_DISABLE_JIT=1 runs it in Python.")


def _kernel(config: Any, generic: Any, x: NDArray[Any]) -> Any:
    """The plain Python of a kernel that is to be tried, else None."""
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
    except KeyError:  # one that is Python anyhow
        return None


def _numbers(value: Any) -> int:
    """How many a lowered configuration holds."""
    return sum(map(_numbers, value)) if isinstance(value, tuple) else np.size(value)


def _require_number(name: str, value: Any) -> None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must return a real number, got {validate.shown(value)}")
