"""Objectives as functions of parameters and data, so that a run's data can be replaced without tracing again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Path, Paths
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.traced_array import TracedArray
from gradopt._tape.tape import Tape
from gradopt.problems.functions.tracing import Form

Shape = tuple[int, ...]


class DataForm(Form):
    """An objective as a function of one vector: n parameters, and then the arrays that differ from run to run.

    The other arguments of the function are the shared ones, in their order.

    Parameters
    ----------
    n : int
    shapes : tuple
        For each argument its shape in a run, or None if it is shared.
    """

    def __init__(self, n: int, shapes: tuple[Shape | None, ...]) -> None:
        self._n, self._shapes = n, shapes
        self.key = ("with data", n, shapes)

    def _arguments(self, x: Any, shared: Any) -> list[Any]:
        ones, at, arguments = iter(shared), self._n, []
        for shape in self._shapes:
            if shape is None:
                arguments.append(next(ones))
            else:
                size = math.prod(shape)
                arguments.append(x[at : at + size].reshape(shape) if shape else x[at])
                at += size
        return arguments

    def value(self, fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...]) -> Any:
        return super().value(fun, x[: self._n].copy(), tuple(self._arguments(x, args)))

    def recorded(self, fun: Any, x: TracedArray, args: list[Any], meanings: Meanings) -> Any:
        return super().recorded(fun, x[: self._n], self._arguments(x, args), meanings)

    def tape(self, paths: Paths) -> Tape:
        def written(path: Path) -> tuple[Node, Node]:
            return path.results[0], gradient(path.graph, path.results[0], self._n)

        return Tape(paths, written)

    def evaluated(self, problem: Any, x: NDArray[Any]) -> tuple[Any, bool]:
        grad = np.empty(self._n, x.dtype)
        value = problem.written(grad, x)
        return value, bool(np.isfinite(grad).all()) or not np.isfinite(value)
