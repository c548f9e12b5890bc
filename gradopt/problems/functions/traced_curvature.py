"""Second derivatives of traced functions: exact, by forward over reverse mode."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import portable
from gradopt._core.protocol import hessian, hessian_product, unknown_path, value_and_grad
from gradopt.problems.base import Curved, Problem, delegate


class TracedCurvature(Curved):
    """A traced function with its second derivatives.

    Parameters
    ----------
    plain : Traced
    second : Traced
        The tape of the second derivatives: a function of x that writes the Hessian, or of x and `columns` vectors, (n,
        columns), that writes its products with these.
    columns : int
        0 for the whole Hessian.
    """

    class Lowered(NamedTuple):
        plain: Any
        second: Any
        columns: int

    def __init__(self, plain: Problem, second: Problem, columns: int) -> None:
        super().__init__(plain)
        self._second, self._columns = second, columns

    @property
    def seconds(self) -> float:
        return self._plain.seconds + self._second.seconds * (1 if self._columns == 0 else -(-self.n // self._columns))

    def _own_workspace(self, x: NDArray[Any]) -> Any:
        n, columns = x.size, self._columns
        inputs, outputs = np.zeros(n + n * columns, x.dtype), np.empty(n * (columns or n), x.dtype)
        return self._second.workspace(x.dtype), inputs, outputs

    def learn_path(self, work: Any) -> None:
        self._plain.learn_path(work[0])
        again = self._plain.by_curvature(np.empty(self.n), whole=self._columns != 1)
        if isinstance(again, TracedCurvature):
            self._second, self._columns = again._second, again._columns

    def _renewed(self, work: Any) -> Any:
        plain = self._plain._renewed(work[0])
        return plain, work[1], self._own_workspace(np.empty(self.n, plain.dtype))

    def _lower(self, dtype: Any) -> Any:
        return self.Lowered(self._plain.lower(dtype), self._second.lower(dtype), self._columns)


delegate(TracedCurvature)


@unknown_path.on(TracedCurvature)
def _(problem, work):
    return unknown_path(problem.plain, work[0])


@hessian.on(TracedCurvature)
def _(problem, matrix, work, x):
    n, columns = x.size, problem.columns
    _, counts, (tape_work, inputs, outputs) = work
    counts[0] += 1
    for j in range(n):
        inputs[j] = x[j]
    many = n if columns == 0 else columns
    for first in range(0, n, many):
        for at in range(n, inputs.size):
            inputs[at] = 0.0
        for k in range(columns):
            if first + k < n:
                inputs[n + (first + k) * columns + k] = 1.0
        value_and_grad(problem.second, outputs, tape_work, inputs)
        for k in range(min(many, n - first)):
            for i in range(n):
                matrix[i, first + k] = outputs[i * many + k]
    _make_symmetric(matrix)


@hessian_product.on(TracedCurvature)
def _(problem, out, work, x, v):
    n, columns = x.size, problem.columns
    _, counts, (tape_work, inputs, outputs) = work
    counts[1] += 1
    for j in range(n):
        inputs[j] = x[j]
    if columns == 1:  # the vector takes all that follows, and the product is all that is written
        for j in range(n):
            inputs[n + j] = v[j]
        value_and_grad(problem.second, out, tape_work, inputs)
        return
    for at in range(n, inputs.size):
        inputs[at] = 0.0
    for j in range(n if columns > 0 else 0):
        inputs[n + j * columns] = v[j]
    value_and_grad(problem.second, outputs, tape_work, inputs)
    for i in range(n):
        if columns > 0:
            out[i] = outputs[i * columns]
        else:
            total = 0.0
            for j in range(n):
                total += np.float64(outputs[i * n + j]) * np.float64(v[j])
            out[i] = total


@portable
def _make_symmetric(matrix):
    for i in range(matrix.shape[0]):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = 0.5 * matrix[i, j] + 0.5 * matrix[j, i]
