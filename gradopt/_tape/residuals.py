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
from gradopt._tape.graph.node import Node, TooLarge
from gradopt._tape.graph.paths import Paths
from gradopt._tape.tape import Tape, Values

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
    weights: Node | None = None  # (m,) None for ones
    curvatures: Node | None = None  # (m,) the second derivatives of each residual's loss, where they are asked for


class ResidualTapes:
    """The tapes of a sum of squares, each made when it is first needed.

    Parameters
    ----------
    paths : Paths
        Of which the results are those of a `Sum`.
    n : int, optional
        How many of the first elements of x are parameters. Default all.
    """

    def __init__(self, paths: Paths, n: int | None = None) -> None:
        self.paths = paths
        self.n, self.m = paths.n if n is None else n, Sum(*paths.known[0].results).residual.size

    @cached_property
    def objective(self) -> Tape:
        """The objective and its gradient."""
        return Tape(self.paths)

    @cached_property
    def moments(self) -> Tape:
        """The objective, and beside it what `protocol.gauss_newton` writes."""
        return Tape(self.paths, lambda path: (path.results[0], self._moments(Sum(*path.results))))

    @cached_property
    def table(self) -> Tape:
        """The objective, and beside it (n + 3, m): residuals, slopes, weights, derivatives of the residuals."""
        return Tape(self.paths, lambda path: (path.results[0], self._table(Sum(*path.results))))

    def _table(self, parts: Sum) -> Node:
        _, residual, slopes, weights, _ = parts
        ones = np.ones(residual.shape)
        graph: Graph = residual.graph  # type: ignore[assignment]
        rows = [residual, slopes, graph.constant(ones) if weights is None else weights, *self._tangents(parts)]
        return self._together(rows)

    def in_lanes(self, values: Mapping[int, NDArray[Any]], lanes: int) -> Tape:
        """Objectives and moments of many inputs side by side: a run writes (1 + K, lanes)."""
        parts = self._in_one_path()
        return _of_rows(side_by_side([parts.objective, self._moments(parts)], values, lanes), lanes)

    def _in_one_path(self) -> Sum:
        """The sum, if it has no branches: in lanes, all go the same way."""
        if self.paths.branches:
            raise TooLarge
        return Sum(*self.paths.only.results)

    def errors_in_lanes(self, values: Mapping[int, NDArray[Any]], lanes: int) -> Tape:
        """What standard errors need, of many inputs side by side.

        A run writes two sums, of the squared slopes and of the curvatures, (2, lanes), and the derivatives of the
        residuals, each times the root of its weight, (n, m, lanes).
        """
        graph, parts = self.paths.known[0].graph, self._in_one_path()
        _, residual, slopes, weights, curvatures = parts
        sums = [graph.total(slopes * slopes), graph.constant(0.0) if curvatures is None else graph.total(curvatures)]
        root = None if weights is None or curvatures is not None else graph("sqrt", weights)
        zeros = graph.constant(np.zeros(residual.shape))
        rows = [zeros if d is None else d if root is None else root * d for d in self._tangents(parts)]
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
        return Values(self.paths, arguments)

    def _tangents(self, parts: Sum) -> list[Node | None]:
        return tangents(parts.residual.graph, parts.residual, self.n)  # type: ignore[arg-type]

    def _moments(self, parts: Sum) -> Node:
        """The gradient, the matrix of Gauss and Newton row by row up to its diagonal, and the weighted squares."""
        _, residual, slopes, weights, _ = parts
        graph: Graph = residual.graph  # type: ignore[assignment]
        zero = graph.constant(0.0)

        def summed(a: Node | None, b: Node | None) -> Node:
            return zero if a is None or b is None else graph.total(a * b)

        rows = self._tangents(parts)
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
        graph: Graph = next(node for node in nodes if node is not None).graph  # type: ignore[assignment]
        return graph.accumulated(parts, (at,))


def _of_rows(nodes: Sequence[Node], lanes: int) -> Tape:
    """A tape that writes nodes (..., lanes), one after the other; its result is 0."""
    graph: Graph = nodes[0].graph  # type: ignore[assignment]
    parts, at = [], 0
    for node in nodes:
        parts.append((Geometry(at, steps(node.shape)), node))
        at += node.size
    return Tape.of(graph.constant(0.0), graph.accumulated(parts, (at,)))
