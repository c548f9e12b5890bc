"""A tape: the operations that a trace recorded, with their gradient, ready for the machine."""

from __future__ import annotations

import itertools
import sys
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gradopt._core.aligned import aligned_zeros
from gradopt._tape.graph.evaluate import evaluate
from gradopt._tape.graph.graph import Graph, given
from gradopt._tape.graph.listing import listing
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.lower.assemble import Assembly
from gradopt._tape.lower.layout import Known
from gradopt._tape.machine.program import CONSTANTS, PIECES, WORK, Program


class Tape:
    """A function of x and its gradient as a list of array operations; it prints as one operation per line.

    Parameters
    ----------
    result : Node
        The objective; it has one element.
    outputs : Node, optional
        The vector that a run writes beside it. Default the gradient.
    """

    def __init__(self, result: Node, outputs: Node | None = None) -> None:
        self.graph = cast(Graph, result.graph)
        self.result = result
        self.graph.limit = sys.maxsize
        self.gradient = gradient(self.graph, result) if outputs is None else outputs
        assembly = Assembly(self.result, self.gradient)
        numbers = itertools.chain.from_iterable(assembly.rows)
        self._rows = np.fromiter(numbers, np.uint32, 5 * len(assembly.rows)).reshape(-1, 5)
        self._stages = np.array(assembly.stages, np.int64).reshape(-1, 5)
        self._tables = np.array([*assembly.layout.tables, 0], np.int64)
        self._known: list[Known] = assembly.layout.known
        self.graph.forget_sources()  # a kept tape must not keep its user's arrays
        self._sizes = assembly.layout.work_size, assembly.layout.constants_size
        self.hessian: Tape | None = None  # made by `curvature` when it is first needed
        # How many numbers a run computes: a measure of its cost.
        pieces = ((end - first) * size for kind, first, end, size, _ in assembly.stages if kind == PIECES)
        self.work = len(self._rows) + sum(pieces)

    @property
    def bytes(self) -> int:
        """The memory that the known values take, about."""
        return sum(node.value.nbytes for node in self.graph.nodes if node.value is not None) + 40 * len(self._rows)

    def __str__(self) -> str:
        return listing(self.result, self.gradient)

    def __repr__(self) -> str:
        return f"<tape of {len(self._rows)} instructions>"

    def program(self, dtype: Any, values: dict[int, NDArray[Any]] | None = None) -> Program:
        """The `Program` that the machine receives, as a plain tuple.

        values : the values of nodes that depend on arguments, if those of the trace are replaced
        """
        constants = aligned_zeros(max(self._sizes[1], 1), dtype)
        self._put(constants, CONSTANTS, values or {})
        return self._rows, self._stages, self._tables, constants  # type: ignore[return-value]

    def workspace(self, dtype: Any, values: dict[int, NDArray[Any]] | None = None) -> NDArray[Any]:
        """The array that the machine works in, with the known values in their places; `values` as for `program`."""
        work = aligned_zeros(self._sizes[0] + 1, dtype)
        self._put(work, WORK, values or {})
        return work

    def _put(self, target: NDArray[Any], array: int, values: dict[int, NDArray[Any]]) -> None:
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            for known in self._known:
                if known.array == array:
                    value = values.get(known.node.index, known.node.value)
                    target[known.place : known.place + known.node.size * known.times] = np.ravel(value)  # type: ignore[arg-type]

    def values(self, arguments: dict[Any, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        """As `values_of`."""
        return values_of(self.graph, arguments)


def values_of(graph: Graph, arguments: dict[Any, NDArray[Any]]) -> dict[int, NDArray[Any]]:
    """The values of the nodes that depend on arguments, if these arguments replace those of the trace."""
    result: dict[int, NDArray[Any]] = {}
    for node in graph.nodes:
        if node.value is None or node.fixed:
            continue
        if node.operation == "argument":
            result[node.index] = arguments[node.extra]
        elif node.inputs:
            inputs = [given(node.operation, i, result.get(i.index, i.value), node.in_double) for i in node.inputs]
            result[node.index] = evaluate(node.operation, node.extra, node.shape, *inputs)
    return result
