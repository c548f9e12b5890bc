"""The same graph for many inputs side by side.

Each node gets one more axis, the last, whose elements are the lanes: node (m, k) becomes (m, k, lanes). An instruction
then goes through all lanes, so that its own cost is shared among them. No lane sees another: in each, the operations
are those of the graph, in the same order.

What is known before x is the same in all lanes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.embedding import copied
from gradopt._tape.graph.geometry import Geometry, Shape, steps
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES
from gradopt._tape.graph.node import Node, TooLarge
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.reverse import needed

# The most products of a matrix product between two matrices that depend on x, in each lane.
_LARGEST_PRODUCT = 4096


def side_by_side(results: Sequence[Node], values: Mapping[int, NDArray[Any]], lanes: int) -> list[Node]:
    """The results in a graph of their own, each (*shape, lanes); its x is (n, lanes), as a vector.

    values : the values of nodes that depend on arguments, if those of the trace are replaced
    """
    return _Lanes(results[0].graph.x, values, lanes).of(results)


class _Lanes:
    def __init__(self, x: Node, values: Mapping[int, NDArray[Any]], lanes: int) -> None:
        self._lanes, self._values = lanes, values
        self._graph = Graph(x.size * lanes, sys.maxsize)
        self._graph.in_double = True
        self._found: dict[int, Node] = {x.index: self._graph.reshaped(self._graph.x, (x.size, lanes))}

    def of(self, results: Sequence[Node]) -> list[Node]:
        for node in needed(*results):
            if node.index not in self._found:
                known = self._values.get(node.index, node.value)
                self._found[node.index] = self._made(node) if known is None else copied(self._graph, node, known)
        return [self._whole(node) for node in results]

    def _whole(self, node: Node) -> Node:
        """The node at its full shape, the lanes included."""
        found, shape = self._found[node.index], (*node.shape, self._lanes)
        if found.shape == node.shape and found.value is not None:
            found = self._graph.reshaped(found, (*node.shape, 1))
        return self._graph.stretched(found, shape)

    def _operand(self, node: Node) -> Node:
        """The node as an elementwise operation takes it: one with one element stands for many."""
        found = self._found[node.index]
        if found.value is not None:
            return self._graph.reshaped(found, () if node.size == 1 else (*node.shape, 1))
        return self._graph.reshaped(found, (self._lanes,)) if node.size == 1 else found

    def _made(self, node: Node) -> Node:
        graph, shape = self._graph, (*node.shape, self._lanes)
        if node.operation in OPERATIONS:
            made = graph(node.operation, *[self._operand(i) for i in node.inputs])
            if made.size == self._lanes * node.size:
                return graph.reshaped(made, shape)
            return graph.stretched(made, shape)
        if node.operation == "view":
            return graph.view(self._whole(node.inputs[0]), node.extra.of_runs(self._lanes), shape)
        if node.operation == "accumulate":
            how, geometries = node.extra
            parts = [(g.of_runs(self._lanes), self._whole(i)) for g, i in zip(geometries, node.inputs, strict=True)]
            return graph.accumulated(parts, shape, how)
        if node.operation == "matmul":
            return self._product(*node.inputs)
        if node.operation in MATRICES:
            return self._of_matrices(node)
        lines = [self._as_lines(i) for i in node.inputs]
        if node.operation == "taken":
            made = graph.taken(lines[0], lines[1])
        elif node.operation == "put_back":
            made = graph.put_back(lines[0], lines[1], node.extra)
        else:
            made = graph.along_lines(node.operation, lines[0])
        return self._from_lines(made, shape=node.shape)

    def _product(self, a: Node, b: Node) -> Node:
        graph, lanes, (*stack, m, k), n = self._graph, self._lanes, a.shape, b.shape[-1]
        left, right = self._found[a.index], self._found[b.index]
        if left.value is not None:
            flat = graph.reshaped(self._whole(b), (*stack, k, n * lanes))
            return graph.reshaped(graph.product(graph.reshaped(left, a.shape), flat), (*stack, m, n, lanes))
        if right.value is not None:
            flat = graph.rearranged(self._whole(a), lambda v: np.swapaxes(v, -3, -2).reshape(*stack, k, m * lanes))
            turned = graph.rearranged(graph.reshaped(right, b.shape), lambda v: np.swapaxes(v, -1, -2))
            product = graph.product(turned, flat)
            return graph.rearranged(product, lambda v: np.swapaxes(v.reshape(*stack, n, m, lanes), -3, -2))
        if math.prod(stack) * m * k * n > _LARGEST_PRODUCT:
            raise TooLarge
        shape = (k, *stack, m, n, lanes)
        rows = graph.rearranged(left, lambda v: np.broadcast_to(np.moveaxis(v, -2, 0)[..., None, :], shape))
        columns = graph.rearranged(right, lambda v: np.broadcast_to(np.moveaxis(v, -3, 0)[..., None, :, :], shape))
        whole = (*stack, m, n, lanes)
        return graph.accumulated([(Geometry(0, (0, *steps(whole))), rows * columns)], whole)

    def _of_matrices(self, node: Node) -> Node:
        """The stacks of all lanes, one after the other, as one stack."""
        graph, lanes = self._graph, self._lanes
        inputs = [
            graph.rearranged(self._whole(i), lambda v: np.moveaxis(v, -1, 0).reshape(-1, *v.shape[1:-1]))
            for i in node.inputs
        ]
        made = graph.of_matrices(node.operation, *inputs, extra=node.extra)
        return graph.rearranged(made, lambda v: np.moveaxis(v.reshape(lanes, *node.shape), 0, -1))

    def _as_lines(self, node: Node) -> Node:
        """The node with its last axis last again: (lanes, ..., length), and as a matrix of lines."""
        length = node.shape[-1]
        return self._graph.rearranged(self._whole(node), lambda v: np.moveaxis(v, -1, 0).reshape(-1, length))

    def _from_lines(self, lines: Node, shape: Shape) -> Node:
        return self._graph.rearranged(lines, lambda v: np.moveaxis(v.reshape(self._lanes, *shape), 0, -1))
