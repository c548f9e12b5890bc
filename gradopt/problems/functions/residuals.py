"""Functions that return residuals, as problems for methods that look at each of them: traced, or by differences."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, address_of, call_at, kernel, slice_of, summation
from gradopt._core import validate
from gradopt._core.protocol import gauss_newton, value_and_grad
from gradopt._losses.robust import of_squares
from gradopt._tape.graph.node import Node
from gradopt._tape.machine import run as machine
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.errors import TraceError
from gradopt._tape.record.traced_array import TracedArray
from gradopt._tape.residuals import ResidualTapes, Sum
from gradopt.problems.base import Problem
from gradopt.problems.functions.by_address import PythonProblem, argument_types
from gradopt.problems.functions.traced import Traced
from gradopt.problems.functions.tracing import Form, Results

# The most numbers in the residuals and their derivatives that are kept in memory at once.
_LARGEST_TABLE = 200_000

# The number of points at which a function is not called again.
_KEPT_TABLES = 3

# The step of central differences, in units of the scale of a parameter.
_STEP = float(np.finfo(np.float64).eps ** (1 / 3))


class Table(NamedTuple):
    """A sum over points at x, point by point."""

    fun: float
    residual: NDArray[np.float64]  # (m,)
    slopes: NDArray[np.float64]  # (m,) the gradient is J'slopes
    weights: NDArray[np.float64]  # (m,) the matrix of Gauss and Newton is J' diag(weights) J
    jacobian: NDArray[np.float64]  # (m, n) J, the derivatives of the residuals

    def moments(self) -> NDArray[np.float64]:
        """What `gauss_newton` writes."""
        J, weighted = self.jacobian, self.jacobian * self.weights[:, None]
        matrix = (weighted.T @ J)[np.tril_indices(J.shape[1])]
        positive = self.weights > 0.0
        squares = np.sum(self.slopes[positive] ** 2 / self.weights[positive])
        return np.concatenate([J.T @ self.slopes, matrix, [squares]])


class ResidualProblem(Problem):
    """Base of the problems with a `gauss_newton` kernel.

    Attributes
    ----------
    m : int
        The number of residuals.
    """

    m: int

    def by_residuals(self, x: NDArray[Any]) -> Problem | None:
        return self

    @property
    def objective(self) -> Problem:
        """The same as an ordinary objective."""
        raise NotImplementedError

    def table(self, x: NDArray[np.float64]) -> Table:
        """The sum at x, point by point."""
        raise NotImplementedError


class TracedResiduals(ResidualProblem):
    """Traced residuals: exact derivatives, in forward mode. The parameters are as for `Traced`."""

    class Lowered(NamedTuple):
        evaluate: int
        data: int
        residuals: int  # their number if a run of the tape writes a table; 0 if it writes the moments

    def __init__(
        self,
        tapes: ResidualTapes,
        x0: NDArray[Any],
        args: tuple[Any, ...],
        frozen: frozenset[Any],
        name: str,
        values: dict[int, NDArray[Any]],
        calls_before: int,
        outside: dict[str, NDArray[Any]],
    ) -> None:
        self.tapes, self._x0, self._values = tapes, x0, values
        self._name = name
        self._of_traced: tuple[Any, ...] = x0, args, frozen, name, values, calls_before, outside

    def __repr__(self) -> str:
        return f"the traced residuals {self._name}"

    @property
    def n(self) -> int:
        return self.tapes.n

    @property
    def m(self) -> int:  # type: ignore[override]
        return self.tapes.m

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0.copy()

    @property
    def gradient_source(self) -> str | None:
        return "forward mode over its trace"

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return 1e-8 * (int(self._tape.work) + 10)

    @property
    def objective(self) -> Traced:
        """The same as an ordinary objective."""
        return Traced(self.tapes.objective, *self._of_traced)

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return evaluations, evaluations  # of the tape

    @property
    def _in_table(self) -> bool:
        return self.m * (self.n + 3) <= _LARGEST_TABLE

    @property
    def _tape(self) -> Any:
        return self.tapes.table if self._in_table else self.tapes.moments

    def workspace(self, dtype: Any) -> Any:
        dtype = np.dtype(dtype)
        table = np.empty((self.n + 3) * self.m if self._in_table else 0, dtype)
        return self._tape.workspace(dtype, self._values), table

    def _lower(self, dtype: Any) -> Any:
        program, size = self._tape.program(np.dtype(dtype), self._values), self.m if self._in_table else 0
        if not COMPILING:
            return PythonResiduals.Lowered(lambda moments, work, x: _evaluated(program, size, moments, work, x))
        packed = TupleInMemory(program)
        self.__dict__.setdefault("_in_memory", []).append(packed)  # lives as long as the problem
        return self.Lowered(_evaluate(np.dtype(dtype)), packed.address, size)

    def table(self, x: NDArray[np.float64]) -> Table:
        tape, n, m = self.tapes.table, self.n, self.m
        if "_table" not in self.__dict__:
            self.__dict__["_table"] = Traced(tape, *self._of_traced)
        problem, out = self.__dict__["_table"], np.empty((n + 3) * m)
        x = np.ascontiguousarray(x, np.float64)
        fun = value_and_grad(problem.lower(np.float64), out, problem.workspace(np.float64), x)
        rows = out.reshape(n + 3, m)
        return Table(float(fun), rows[0], rows[1], rows[2], rows[3:].T)


@functools.cache
def _evaluate(dtype: Any) -> int:
    """The address of the machine code of `machine.evaluate`."""
    return int(address_of(machine.evaluate, argument_types(dtype)))


@gauss_newton.on(TracedResiduals)
def _(problem, moments, work, x):
    tape_work, table = work
    if problem.residuals == 0:
        return call_at(problem.evaluate, (problem.data, moments, tape_work, x))
    fun = call_at(problem.evaluate, (problem.data, table, tape_work, x))
    moments_of_table(moments, table, problem.residuals)
    return fun


def _evaluated(program: Any, size: int, moments: Any, work: Any, x: Any) -> float:
    tape_work, table = work
    if size == 0:
        return float(machine.run(program, moments, tape_work, x))
    fun = machine.run(program, table, tape_work, x)
    moments_of_table(moments, table, size)
    return float(fun)


@kernel(late_bound=True)
def moments_of_table(moments, table, m) -> None:
    """Write what `gauss_newton` writes.

    moments : float array (n + n (n + 1) / 2 + 1,), written
    table : float array ((n + 3) m,), C order: residuals, slopes, weights, and the derivatives by each parameter; the
        first m numbers are overwritten
    """
    n = table.size // m - 3
    spare, slopes, weights = slice_of(table, 0, m), slice_of(table, m, m), slice_of(table, 2 * m, m)
    at = n
    moments[at + n * (n + 1) // 2] = _weighted_squares(slopes, weights)
    for i in range(n):
        column = slice_of(table, (3 + i) * m, m)
        moments[i] = _inner(slopes, column)
        for k in range(m):
            spare[k] = weights[k] * column[k]
        for j in range(i + 1):
            moments[at] = _inner(spare, slice_of(table, (3 + j) * m, m))
            at += 1


@summation
def _inner(u, v):
    total = 0.0
    for k in range(u.size):
        total += np.float64(u[k]) * np.float64(v[k])
    return total


@kernel
def _weighted_squares(slopes, weights):
    total = 0.0
    for k in range(slopes.size):
        if weights[k] > 0.0:
            total += np.float64(slopes[k]) * np.float64(slopes[k]) / np.float64(weights[k])
    return total


class PythonResiduals(ResidualProblem):
    """Residuals by calls of the user's function, with their derivatives from the user or by differences.

    Parameters
    ----------
    residuals : callable
        x -> float64 array (m,).
    jacobian : callable
        (x, residuals at x, scales) -> float64 array (m, n).
    of_sum : callable
        residuals -> (objective, slopes, weights or None).
    x0 : float array (n,)
    m : int
    source : str or None
        How the derivatives are found.
    calls : int
        The calls of the function for one Jacobian.
    """

    class Lowered(NamedTuple):
        evaluate: Callable[..., float]

    def __init__(
        self,
        residuals: Any,
        jacobian: Any,
        of_sum: Any,
        x0: NDArray[Any],
        m: int,
        source: str | None,
        calls: int,
    ) -> None:
        self._residuals, self._jacobian, self._of_sum = residuals, jacobian, of_sum
        self._x0, self.m, self._source, self._calls = x0, m, source, calls
        self._tables: deque[tuple[bytes, Table]] = deque(maxlen=_KEPT_TABLES)

    @property
    def n(self) -> int:
        return self._x0.size

    @property
    def x0(self) -> NDArray[Any]:
        return self._x0.copy()

    @property
    def gradient_source(self) -> str | None:
        return self._source

    @property
    def interpreted(self) -> bool:
        return True

    @property
    def inlined(self) -> bool:
        return False

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return evaluations * (1 + self._calls), evaluations

    def workspace(self, dtype: Any) -> Any:
        return np.zeros(self.n)  # the scales of the parameters

    def memory(self, work: Any) -> NDArray[Any]:
        return work  # type: ignore[no-any-return]

    @property
    def objective(self) -> Problem:
        return PythonSum(self)

    def _lower(self, dtype: Any) -> Any:
        def evaluate(moments: Any, work: Any, x: Any) -> float:
            table = self.at(work, x)
            moments[:] = table.moments()
            return table.fun

        return self.Lowered(evaluate)

    def at(self, work: NDArray[np.float64], x: NDArray[Any]) -> Table:
        """The sum at x; work : the scales of the parameters so far, written"""
        np.maximum(work, np.abs(x), out=work)
        return self._table(x.astype(np.float64), work)

    def table(self, x: NDArray[np.float64]) -> Table:
        return self._table(np.array(x, np.float64), np.abs(x))

    def _table(self, x: NDArray[np.float64], scales: NDArray[np.float64]) -> Table:
        """The sum at x; a user's function is not called again at one of the last points."""
        key = x.tobytes()
        for known, table in self._tables:
            if known == key:
                return table
        with np.errstate(all="ignore"):
            residual = self._residuals(x)
            fun, slopes, weights = self._of_sum(residual)
            if np.isfinite(fun):
                jacobian = self._jacobian(x, residual, scales)
            else:
                jacobian = np.full((residual.size, x.size), np.nan)
            weights = np.ones(residual.size) if weights is None else weights
        table = Table(float(fun), residual, slopes, weights, jacobian)
        self._tables.append((key, table))
        return table


class PythonSum(Problem):
    """The sum of such residuals as an ordinary objective."""

    Lowered = PythonProblem.Lowered

    def __init__(self, residuals: PythonResiduals) -> None:
        self._residuals = residuals

    @property
    def n(self) -> int:
        return self._residuals.n

    @property
    def gradient_source(self) -> str | None:
        return self._residuals.gradient_source

    @property
    def interpreted(self) -> bool:
        return True

    @property
    def inlined(self) -> bool:
        return False

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self._residuals.calls(evaluations, work)

    def workspace(self, dtype: Any) -> Any:
        return self._residuals.workspace(dtype)

    def memory(self, work: Any) -> NDArray[Any]:
        return self._residuals.memory(work)

    def _lower(self, dtype: Any) -> Any:
        def evaluate(grad: Any, work: Any, x: Any) -> float:
            table = self._residuals.at(work, x)
            grad[:] = table.jacobian.T @ table.slopes
            return table.fun

        return PythonProblem.Lowered(evaluate, None)


@gauss_newton.in_python(PythonResiduals)
def _(problem, moments, work, x):
    return problem.evaluate(moments, work, x)


def central(
    residuals: Callable[[NDArray[Any]], NDArray[Any]], low: NDArray[Any], high: NDArray[Any], step: float | None = None
) -> Callable[..., NDArray[np.float64]]:
    """Derivatives by central differences, by one-sided ones of the same order at a bound.

    step : relative to the scale of each parameter, where one is given; a parameter that was always 0 has the scale 1e-3
        of the others' largest, or 1
    """

    def jacobian(x: NDArray[Any], at_x: NDArray[Any], scales: NDArray[Any]) -> NDArray[np.float64]:
        result = np.zeros((at_x.size, x.size))
        largest = float(scales.max(initial=0.0)) or 1.0
        for j in range(x.size):
            h = (_STEP if step is None else step) * (scales[j] or 1e-3 * largest)
            if low[j] == high[j]:
                continue

            def moved(by: float, j: int = j) -> tuple[NDArray[Any], float]:
                y = x.copy()
                y[j] = x[j] + by
                return residuals(y), y[j] - x[j]

            h = min(h, 0.5 * (high[j] - low[j]))
            if x[j] - h < low[j] or x[j] + h > high[j]:
                h = h if x[j] + h <= high[j] else -h
                h = h if low[j] <= x[j] + 2.0 * h <= high[j] else 0.5 * h
                (near, one), (far, two) = moved(h), moved(2.0 * h)
                result[:, j] = (two**2 * (near - at_x) - one**2 * (far - at_x)) / (one * two * (two - one))
            else:
                (above, up), (below, down) = moved(h), moved(-h)
                result[:, j] = (above - below) / (up - down)
        return result

    return jacobian


def checked_residuals(answer: Any) -> NDArray[np.float64]:
    """What a function of residuals returned, as float64 array (m,); else an error that says what it was."""
    array = np.asarray(answer)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the residuals must be real numbers, got {validate.shown(answer)}")
    if array.ndim > 1:
        raise ValueError(f"the residuals must be a vector, got an array of shape {array.shape}")
    if array.size == 0:
        raise ValueError("there must be residuals, got none")
    return np.atleast_1d(array).astype(np.float64)


class ResidualForm(Form):
    """How `LeastSquares` traces a function: fun(x, *args) -> (m,).

    Parameters
    ----------
    loss : str or callable
    scale : float
    """

    def __init__(self, loss: Any, scale: float) -> None:
        self._loss, self._scale = loss, scale
        self.key = ("residuals", loss, scale)

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> NDArray[np.float64]:
        return checked_residuals(fun(x, *args))

    def of_sum(self, residual: NDArray[Any]) -> tuple[Any, Any, Any]:
        """The objective of a vector of residuals, the slopes, and the weights."""
        fun, weights = of_squares(self._loss, residual, self._scale)
        return fun, residual if weights is None else weights * residual, weights

    def sum_with(self, args: tuple[Any, ...]) -> Callable[[NDArray[Any]], tuple[Any, Any, Any]]:
        """`of_sum` for these arguments of the function."""
        return self.of_sum

    def residuals(self, fun: Any, x: TracedArray, args: list[Any]) -> Any:
        """The traced residuals."""
        return fun(x, *args)

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        residual = as_vector(self.residuals(fun, x, args))
        loss = meanings.of(self._loss) if callable(self._loss) else self._loss
        fun, weights = of_squares(loss, residual, self._scale)
        slopes = residual if weights is None else weights * residual
        return Results((fun, residual, slopes, *(() if weights is None else (weights,))))

    def checked(self, nodes: tuple[Node, ...]) -> ResidualTapes:
        objective, residual, slopes, *weights = nodes
        return ResidualTapes(Sum(objective, residual, slopes, weights[0] if weights else None))

    def problem(self, tape: Any, *arguments: Any) -> TracedResiduals:
        return TracedResiduals(tape, *arguments)

    def evaluated(self, problem: TracedResiduals, x: NDArray[Any]) -> tuple[Any, bool]:
        table = problem.table(x.astype(np.float64))
        sound = bool(np.isfinite(table.jacobian).all()) or not np.isfinite(table.fun)
        return table.residual, sound


def as_vector(answer: Any) -> Any:
    """Traced residuals as a traced vector."""
    vector = np.asarray(answer) if not isinstance(answer, TracedArray) else answer
    if isinstance(answer, (list, tuple)):
        vector = np.stack(answer)
    if vector.ndim > 1:
        raise TraceError(f"the residuals must be a vector, got an array of shape {vector.shape}")
    return vector.reshape(-1) if vector.ndim == 0 else vector
