"""The derivatives of a node along many directions at once, as further nodes: forward mode with one more axis.

The tangent of a node has the shape of the node and a last axis for the directions. What the directions have in common
is computed once, and a product of matrices remains one. Applied to a gradient, this gives products of the Hessian with
vectors: forward over reverse mode (A. Griewank and A. Walther, Evaluating Derivatives, 2008, section 5.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry, Shape
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES, Applied
from gradopt._tape.graph.node import Node, TooLarge
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.reverse import needed, of_each, other_products

# The most numbers in the second derivatives of products, for all lines together.
_LARGEST_PRODUCT = 1_000_000


# Operations whose slope may be infinite where their value is finite: what does not move there has no tangent.
_STEEP = {"sqrt", "power", "arcsin", "arccos", "arccosh"}


def along(result: Node, source: Node, directions: Node) -> Node:
    """The derivatives of `result` with respect to `source` along each column of `directions`.

    source : Node (n,)
    directions : Node (n, k)

    Returns a node (*result.shape, k).
    """
    graph: Graph = result.graph  # type: ignore[assignment]
    graph.in_double = True
    columns = _Columns(graph, directions.shape[1])
    columns.found[source.index] = directions
    for node in needed(result):
        if node.value is None and node is not source and any([i.index in columns.found for i in node.inputs]):
            d = columns.tangent(node)
            if d is not None and not (d.fixed and not d.value.any()):  # type: ignore[union-attr]
                columns.found[node.index] = d
    return columns.whole(result)


class _Columns:
    def __init__(self, graph: Graph, count: int) -> None:
        self._graph, self._count = graph, count
        self.found: dict[int, Node] = {}

    def whole(self, node: Node) -> Node:
        """The tangent of a node at its full shape."""
        graph, shape = self._graph, (*node.shape, self._count)
        d = self.found.get(node.index)
        if d is None:
            return graph.constant(np.zeros(shape))
        if d.size == self._count * node.size:
            return graph.reshaped(d, shape)
        return graph.stretched(d, shape)

    def tangent(self, node: Node) -> Node | None:
        if node.operation in OPERATIONS:
            return self._elementwise(node)
        if node.operation == "accumulate":
            return self._accumulated(node)
        if node.operation == "matmul":
            return self._product(*node.inputs)
        if node.operation in MATRICES:
            return self._of_matrices(node)
        first = node.inputs[0]
        if first.index not in self.found or node.operation == "order":
            return None
        shape = (*node.shape, self._count)
        if node.operation == "view":
            return self._graph.view(self.whole(first), node.extra.of_runs(self._count), shape)
        if node.operation == "other_products":
            return self._of_other_products(first)
        lines = self._lines(self.whole(first))
        if node.operation == "taken":
            made = self._graph.taken(lines, self._repeated(node.inputs[1]))
        elif node.operation == "put_back":
            made = self._graph.put_back(lines, self._repeated(node.inputs[1]), node.extra)
        else:
            assert node.operation == "cumsum"
            made = self._graph.along_lines("cumsum", lines)
        return self._from_lines(made, node.shape)

    def _elementwise(self, node: Node) -> Node | None:
        operation, graph = OPERATIONS[node.operation], self._graph
        slopes = operation.derivatives or (None,) * len(node.inputs)
        beside = [self._beside(i) for i in (node, *node.inputs)]
        total = None
        for i, slope in zip(node.inputs, slopes, strict=True):
            d = self.found.get(i.index)
            if d is None or slope is None:
                continue
            d = graph.reshaped(self.whole(i), (self._count,)) if i.size == 1 else self.whole(i)
            if node.index in graph.guards and slope is slopes[1]:
                d = self._guarded(d, *node.inputs)
            else:
                moves = d
                d = slope(d, *beside)
                if node.operation in _STEEP:
                    d = graph("where", moves, d, 0.0)
            total = d if total is None else total + d
        if total is None:
            return None
        shape = (*node.shape, self._count)
        return graph.reshaped(total, shape) if total.size == math.prod(shape) else graph.stretched(total, shape)

    def _guarded(self, d: Node, adjoint: Node, contribution: Node, zero: Node) -> Node:
        """The tangent of what `reverse` lets through where the adjoint is not 0: of 0 there may still be one."""
        tangent = self.found.get(adjoint.index)
        moves = self._beside(adjoint)
        if tangent is not None:
            own = self._graph.reshaped(self.whole(adjoint), (self._count,)) if adjoint.size == 1 else tangent
            moves = self._graph("logical_or", self._truth(moves), self._truth(own))
        return self._graph("where", moves, d, 0.0)

    def _truth(self, node: Node) -> Node:
        return self._graph("not_equal", node, 0.0)

    def _beside(self, node: Node) -> Node:
        """A node as it stands beside tangents in an elementwise operation."""
        return self._graph.reshaped(node, () if node.size == 1 else (*node.shape, 1))

    def _accumulated(self, node: Node) -> Node | None:
        graph, (how, geometries) = self._graph, node.extra
        parts = []
        for position, i in enumerate(node.inputs):
            if i.index not in self.found:
                continue
            d, geometry = self.whole(i), geometries[position]
            if how == "multiply":
                d = d * self._beside_whole(other_products(graph, i, geometry))
            elif how != "add":  # tied elements share the slope
                winners = graph("equal", i, of_each(graph, node, position, node))
                count = graph.accumulated([(geometry, winners)], node.shape)
                d = d * self._beside_whole(winners / of_each(graph, node, position, count))
            parts.append((geometry.of_runs(self._count), d))
        return graph.accumulated(parts, (*node.shape, self._count)) if parts else None

    def _beside_whole(self, node: Node) -> Node:
        return self._graph.reshaped(node, (*node.shape, 1))

    def _product(self, a: Node, b: Node) -> Node | None:
        graph, count, (*stack, m, k), n = self._graph, self._count, a.shape, b.shape[-1]
        total = None
        if b.index in self.found:
            flat = graph.reshaped(self.whole(b), (*stack, k, n * count))
            total = graph.reshaped(graph.product(a, flat), (*stack, m, n, count))
        if a.index in self.found:
            rows = self._moved(self.whole(a), lambda v: np.swapaxes(v, -1, -2).reshape(*stack, m * count, k))
            made = graph.reshaped(graph.product(rows, b), (*stack, m, count, n))
            made = self._moved(made, lambda v: np.swapaxes(v, -1, -2))
            total = made if total is None else total + made
        return total

    def _of_matrices(self, node: Node) -> Node | None:
        """The tangents of all directions, one after the other, as one stack beside as many copies of the operation."""
        tangent, count = MATRICES[node.operation].tangent, self._count
        if tangent is None:
            return None

        def repeated(i: Node) -> Node:
            shape = (count, *i.shape)
            return self._moved(i, lambda v: np.broadcast_to(v, shape).reshape(-1, *i.shape[1:]))

        def moves(i: Node) -> Node | None:
            if i.index not in self.found:
                return None
            return self._moved(self.whole(i), lambda v: np.moveaxis(v, -1, 0).reshape(-1, *i.shape[1:]))

        beside = Applied(repeated(node), tuple([repeated(i) for i in node.inputs]), node.extra)
        made = tangent(beside, [moves(i) for i in node.inputs])
        return None if made is None else self._from_lines(made, node.shape)

    def _moved(self, node: Node, move: Callable[[NDArray[Any]], NDArray[Any]]) -> Node:
        return self._graph.rearranged(node, move)

    def _lines(self, d: Node) -> Node:
        """A tangent with the last axis of its node last again, as a matrix of lines, one direction after the other."""
        length = d.shape[-2]
        return self._moved(d, lambda v: np.moveaxis(v, -1, 0).reshape(-1, length))

    def _repeated(self, node: Node) -> Node:
        """The lines of a node, once for each direction."""
        shape = (self._count, *node.shape)
        return self._moved(node, lambda v: np.broadcast_to(v, shape).reshape(-1, node.shape[-1]))

    def _from_lines(self, lines: Node, shape: Shape) -> Node:
        return self._moved(lines, lambda v: np.moveaxis(v.reshape(self._count, *shape), 0, -1))

    def _of_other_products(self, lines: Node) -> Node:
        """The product of all elements of a line but i changes with each element k by the product of all but i and k."""
        graph, (rows, length), count = self._graph, lines.shape, self._count
        if rows * length * length * count > _LARGEST_PRODUCT:
            raise TooLarge
        shape = (rows, length, length)
        repeated = graph.rearranged(lines, lambda v: np.broadcast_to(v[:, None, :], shape))
        own = np.broadcast_to(np.eye(length), shape)
        without = graph("where", graph.constant(own > 0.0), 1.0, repeated)
        matrix = graph.reshaped(without, (rows * length, length))
        pairs = graph.reshaped(graph.along_lines("other_products", matrix), shape) * graph.constant(1.0 - own)
        d = self._moved(self.whole(lines), lambda v: np.broadcast_to(v[:, None, :, :], (*shape, count)))
        terms = graph.reshaped(pairs, (*shape, 1)) * d
        strides = (length * count, count, 0, 1)
        return graph.accumulated([(Geometry(0, strides), terms)], (rows, length, count))
