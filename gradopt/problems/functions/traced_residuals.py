"""Traced residuals, with exact derivatives in forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, call_at, kernel, slice_of, summation
from gradopt._core.protocol import gauss_newton, unknown_path
from gradopt._losses.robust import of_squares
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Paths
from gradopt._tape.machine import run as machine
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.errors import TraceError
from gradopt._tape.record.traced_array import TracedArray
from gradopt._tape.residuals import ResidualTapes
from gradopt._tape.tape import Tape
from gradopt.problems.functions.python_residuals import PythonResiduals
from gradopt.problems.functions.residuals import ResidualProblem, Table, checked_residuals
from gradopt.problems.functions.traced import Traced, machine_address
from gradopt.problems.functions.tracing import Form, Results


class TracedResiduals(ResidualProblem):
    """Traced residuals: exact derivatives, in forward mode. The parameters are as for `Traced`."""

    class Lowered(NamedTuple):
        evaluate: int
        data: int
        residuals: int  # their number if a run of the tape writes a table; 0 if it writes the moments
        memory: int  # as in `ProblemByAddress`

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
        self.tapes, self._x0, self._values, self._name = tapes, x0, values, name
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
        return 1e-8 * (self.tapes.main.work + 10)

    @property
    def objective(self) -> Traced:
        """The same as an ordinary objective."""
        return Traced(self.tapes.objective, *self._of_traced)

    def lane_tape(self, lanes: int) -> Tape:
        """As `ResidualTapes.in_lanes`, with the arguments of this problem."""
        return self.tapes.in_lanes(self._values, lanes)

    def error_tape(self, lanes: int) -> Tape:
        """As `ResidualTapes.errors_in_lanes`, with the arguments of this problem."""
        return self.tapes.errors_in_lanes(self._values, lanes)

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return evaluations, evaluations  # of the tape

    def workspace(self, dtype: Any) -> Any:
        dtype = np.dtype(dtype)
        table = np.empty((self.n + 3) * self.m if self.tapes.in_table else 0, dtype)
        return self.tapes.main.workspace(dtype, self._values), table

    @property
    def may_branch(self) -> bool:
        return self.tapes.paths.branches

    @property
    def known_paths(self) -> int:
        return len(self.tapes.paths.known)

    def met_unknown_path(self, work: Any) -> bool:
        return self.tapes.main.met_unknown_path(work[0])

    def learn_path(self, work: Any) -> None:
        Traced(self.tapes.main, *self._of_traced).learn_path(work[0])

    def _renewed(self, work: Any) -> Any:
        return self.workspace(work[0].dtype)

    def _lower(self, dtype: Any) -> Any:
        program, size = self.tapes.main.program(np.dtype(dtype), self._values), self.m if self.tapes.in_table else 0
        if not COMPILING:
            memory = self.tapes.main.memory
            return PythonResiduals.Lowered(lambda moments, work, x: _evaluated(program, size, moments, work, x), memory)
        packed = TupleInMemory(program)
        self.__dict__.setdefault("_in_memory", []).append(packed)  # lives as long as the problem
        memory = self.tapes.main.memory
        return self.Lowered(machine_address(np.dtype(dtype)), packed.address, size, memory)

    def table(self, x: NDArray[np.float64]) -> Table:
        tape, n, m = self.tapes.table, self.n, self.m
        if "_table" not in self.__dict__:
            self.__dict__["_table"] = Traced(tape, *self._of_traced)
        problem, out = self.__dict__["_table"], np.empty((n + 3) * m)
        fun = problem.written(out, np.ascontiguousarray(x, np.float64))
        rows = out.reshape(n + 3, m)
        return Table(float(fun), rows[0], rows[1], rows[2], rows[3:].T)


@gauss_newton.on(TracedResiduals)
def _(problem, moments, work, x):
    tape_work, table = work
    if problem.residuals == 0:
        return call_at(problem.evaluate, (problem.data, moments, tape_work, x))
    fun = call_at(problem.evaluate, (problem.data, table, tape_work, x))
    moments_of_table(moments, table, problem.residuals)
    return fun


@unknown_path.on(TracedResiduals)
def _(problem, work):
    return problem.memory >= 0 and work[0][problem.memory + 1] != 0.0


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

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Results:
        residual = as_vector(fun(x, *args))
        loss = meanings.of(self._loss) if callable(self._loss) else self._loss
        fun, weights = of_squares(loss, residual, self._scale)
        slopes = residual if weights is None else weights * residual
        return Results((fun, residual, slopes, *(() if weights is None else (weights,))))

    def require(self, nodes: tuple[Node, ...], first: tuple[Node, ...]) -> None:
        if nodes[1].size != first[1].size or len(nodes) != len(first):
            raise TraceError(f"fun must always return {first[1].size} residuals, got {nodes[1].size} on another path")

    def tape(self, paths: Paths) -> ResidualTapes:
        return ResidualTapes(paths)

    def problem(self, tape: Any, *arguments: Any) -> TracedResiduals:
        problem = TracedResiduals(tape, *arguments)
        problem.loss, problem.f_scale = self._loss, self._scale
        return problem

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
