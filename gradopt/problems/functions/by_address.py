"""Problems that the loop calls by address, so that one compiled loop serves all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import float32, float64, int64

from gradopt._compiler import call_at, portable
from gradopt._core.config import Config
from gradopt._core.protocol import batch_value_and_grad, note_iterate, unknown_path, value_and_grad


class ProblemByAddress(Config):
    """A problem as the addresses of its kernels and their data.

    The kernels are evaluate(data, grad, work, x) -> float64 and evaluate_rows(data, grad, work, x, rows) -> float64, as
    in `protocol.value_and_grad` and `protocol.batch_value_and_grad`, with an address instead of the problem.
    """

    class Lowered(NamedTuple):
        evaluate: int
        evaluate_rows: int  # 0 for a problem without rows
        data: int
        keeps_scales: bool = False  # whether the workspace keeps the scales of the n parameters, from element n on
        memory: int = -1  # for a tape with branches, the place in the workspace of what it knows of its paths


_VECTORS = {"float32": float32[::1], "float64": float64[::1]}  # type: ignore[index]
_ARGUMENTS = {name: (int64, vector, vector, vector) for name, vector in _VECTORS.items()}


def argument_types(dtype: Any) -> tuple[Any, ...]:
    """The types of (data, grad, work, x) for parameters of this dtype."""
    return _ARGUMENTS[dtype.name]


def row_argument_types(dtype: Any) -> tuple[Any, ...]:
    """The types of (data, grad, work, x, rows)."""
    return *argument_types(dtype), int64[::1]


@value_and_grad.on(ProblemByAddress)
def _(problem, grad, work, x):
    return call_at(problem.evaluate, (problem.data, grad, work, x))


@batch_value_and_grad.on(ProblemByAddress)
def _(problem, grad, work, x, rows):
    return call_at(problem.evaluate_rows, (problem.data, grad, work, x, rows))


class PythonProblem(Config):
    """A problem for loops in Python: the same functions without the address of the data."""

    class Lowered(NamedTuple):
        evaluate: Callable[..., float]
        evaluate_rows: Callable[..., float] | None
        keeps_scales: bool = False
        memory: int = -1


@value_and_grad.in_python(PythonProblem)
def _(problem, grad, work, x):
    return problem.evaluate(grad, work, x)


@batch_value_and_grad.in_python(PythonProblem)
def _(problem, grad, work, x, rows):
    return problem.evaluate_rows(grad, work, x, rows)


@portable
def _note_iterate(problem, work, x):
    if problem.keeps_scales and work.size > 0:
        for j in range(x.size):
            work[x.size + j] = max(work[x.size + j], abs(x[j]))


note_iterate.on(ProblemByAddress)(_note_iterate)
note_iterate.in_python(PythonProblem)(_note_iterate)


@portable
def _unknown_path(problem, work):
    return problem.memory >= 0 and work[problem.memory + 1] != 0.0


unknown_path.on(ProblemByAddress)(_unknown_path)
unknown_path.in_python(PythonProblem)(_unknown_path)
