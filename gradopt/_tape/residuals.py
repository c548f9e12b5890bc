"""The tapes of a sum of squares: its objective, what a Gauss-Newton step needs of it, and its residuals one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.forward import tangents
from gradopt._tape.graph.geometry import Geometry, steps
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.lanes import side_by_side
from gradopt._tape.graph.node import Node
from gradopt._tape.tape import Tape, values_of

# The most numbers in a table that is kept in memory.
_LARGEST_TABLE = 200_000


class Sum(NamedTuple):
    """A sum over points as nodes of a graph.

    With J the derivatives of `residual`, the gradient of `objective` is J'slopes, and J' diag(weights) J the matrix of
    Gauss and Newton.
    """

    objective: Node  # ()
    residual: Node  # (m,)
    slopes: Node  # (m,)
    weights: Node | None  # (m,) None for ones
    curvatures: Node | None = None  # (m,) the second derivatives of each residual's loss, where they are asked for


class Values(dict[int, NDArray[Any]]):
    """The values of the nodes that depend on arguments, also of nodes that a later tape adds to the graph."""

    def __init__(self, graph: Graph, arguments: dict[Any, NDArray[Any]]) -> None:
        super().__init__(values_of(graph, arguments))
        self._graph, self._arguments, self._count = graph, arguments, len(graph.nodes)

    def get(self, index: int, default: Any = None) -> Any:
        if self._count != len(self._graph.nodes):
            self.update(values_of(self._graph, self._arguments))
            self._count = len(self._graph.nodes)
        return super().get(index, default)


class ResidualTapes:
    """The tapes of a sum of squares, each made when it is first needed.

    Parameters
    ----------
    parts : Sum
    n : int, optional
        How many of the first elements of x are parameters. Default all.
    """

    def __init__(self, parts: Sum, n: int | None = None) -> None:
        self.parts = parts
        self.graph: Graph = parts.objective.graph  # type: ignore[assignment]
        self.n, self.m = self.graph.x.size if n is None else n, parts.residual.size

    @cached_property
    def objective(self) -> Tape:
        """The objective and its gradient."""
        return Tape(self.parts.objective)

    @cached_property
    def moments(self) -> Tape:
        """The objective, and beside it what `protocol.gauss_newton` writes."""
        return Tape(self.parts.objective, self._moments())

    @cached_property
    def table(self) -> Tape:
        """The objective, and beside it (n + 3, m): residuals, slopes, weights, derivatives of the residuals."""
        _, residual, slopes, weights, _ = self.parts
        ones = np.ones(residual.shape)
        rows = [residual, slopes, self.graph.constant(ones) if weights is None else weights, *self._tangents]
        return Tape(self.parts.objective, self._together(rows))

    def in_lanes(self, values: Mapping[int, NDArray[Any]], lanes: int) -> Tape:
        """Objectives and moments of many inputs side by side: a run writes (1 + K, lanes)."""
        return _of_rows(side_by_side([self.parts.objective, self._moments()], values, lanes), lanes)

    def errors_in_lanes(self, values: Mapping[int, NDArray[Any]], lanes: int) -> Tape:
        """What standard errors need, of many inputs side by side.

        A run writes two sums, of the squared slopes and of the curvatures, (2, lanes), and the derivatives of the
        residuals, each times the root of its weight, (n, m, lanes).
        """
        graph, (_, residual, slopes, weights, curvatures) = self.graph, self.parts
        sums = [graph.total(slopes * slopes), graph.constant(0.0) if curvatures is None else graph.total(curvatures)]
        root = None if weights is None or curvatures is not None else graph("sqrt", weights)
        zeros = graph.constant(np.zeros(residual.shape))
        rows = [zeros if d is None else d if root is None else root * d for d in self._tangents]
        return _of_rows(side_by_side([*sums, *rows], values, lanes), lanes)

    @property
    def in_table(self) -> bool:
        """Whether a run writes the table, from which the moments follow, because it is small."""
        return self.m * (self.n + 3) <= _LARGEST_TABLE

    @property
    def main(self) -> Tape:
        """The tape that the loop runs."""
        return self.table if self.in_table else self.moments

    @property
    def bytes(self) -> int:
        """The memory that the tapes take, about."""
        return self.main.bytes

    def values(self, arguments: dict[Any, NDArray[Any]]) -> Values:
        """As `Tape.values`, for all tapes, also those that are made later."""
        return Values(self.graph, arguments)

    @cached_property
    def _tangents(self) -> list[Node | None]:
        return tangents(self.graph, self.parts.residual, self.n)

    def _moments(self) -> Node:
        """The gradient, the matrix of Gauss and Newton row by row up to its diagonal, and the weighted squares."""
        graph, (_, residual, slopes, weights, _) = self.graph, self.parts
        zero = graph.constant(0.0)

        def summed(a: Node | None, b: Node | None) -> Node:
            return zero if a is None or b is None else graph.total(a * b)

        rows = self._tangents
        weighted = rows if weights is None else [None if d is None else d * weights for d in rows]
        sums = [summed(slopes, d) for d in rows]
        sums += [summed(weighted[i], rows[j]) for i in range(self.n) for j in range(i + 1)]
        squares = residual * residual if weights is None else slopes * slopes / weights
        return self._together([*sums, graph.total(squares)])

    def _together(self, nodes: list[Node | None]) -> Node:
        """The nodes, one after the other, in a vector; zeros for None."""
        parts, at = [], 0
        for node in nodes:
            if node is not None:
                parts.append((Geometry(at, steps(node.shape)), node))
            at += self.m if node is None else node.size
        return self.graph.accumulated(parts, (at,))


def _of_rows(nodes: Sequence[Node], lanes: int) -> Tape:
    """A tape that writes nodes (..., lanes), one after the other; its result is 0."""
    graph: Graph = nodes[0].graph  # type: ignore[assignment]
    parts, at = [], 0
    for node in nodes:
        parts.append((Geometry(at, steps(node.shape)), node))
        at += node.size
    return Tape(graph.constant(0.0), graph.accumulated(parts, (at,)))
