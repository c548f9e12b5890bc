"""The derivatives of a graph's result with respect to each element of x, as further nodes: forward mode.

The tangent of a node is its derivative along a direction in x. For an elementwise operation it is the sum over its
inputs of tangent times slope, from the same table as in reverse mode; all other operations are linear, but for products
and extrema (A. Griewank and A. Walther, Evaluating Derivatives, 2008, section 3.1). What the directions have in common
stands in the graph once.
"""

from __future__ import annotations

import numpy as np

from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES, Applied
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.reverse import needed, of_each, other_products, spread


def tangents(graph: Graph, result: Node, count: int | None = None) -> list[Node | None]:
    """The derivative of `result` with respect to x[j], in the shape of the result, for each j; None where it is 0.

    count : how many of the first elements of x, if not all
    """
    graph.in_double = True
    nodes = [node for node in needed(result) if node.value is None]
    return [_along(graph, nodes, result, j) for j in range(graph.x.size if count is None else count)]


def _along(graph: Graph, nodes: list[Node], result: Node, j: int) -> Node | None:
    direction = np.zeros(graph.x.size)
    direction[j] = 1.0
    found: dict[int, Node] = {graph.x.index: graph.constant(direction)}
    for node in nodes:
        if node is graph.x:
            continue
        inner = [found.get(i.index) for i in node.inputs]
        if any([d is not None for d in inner]):
            d = _tangent(graph, node, inner)
            if d is not None and not (d.fixed and not d.value.any()):  # type: ignore[union-attr]
                found[node.index] = d
    d = found.get(result.index)
    return None if d is None else spread(graph, d, result.shape)


def _tangent(graph: Graph, node: Node, inner: list[Node | None]) -> Node | None:
    """The tangent of a node from those of its inputs."""
    operation = OPERATIONS.get(node.operation)
    if operation is not None:
        slopes = operation.derivatives or (None,) * len(inner)
        pairs = zip(inner, slopes, strict=True)
        return _sum([slope(d, node, *node.inputs) for d, slope in pairs if d is not None and slope is not None])
    if node.operation == "accumulate":
        return _of_accumulation(graph, node, inner)
    at_full_shape = [None if d is None else spread(graph, d, i.shape) for d, i in zip(inner, node.inputs, strict=True)]
    first = at_full_shape[0]
    if node.operation == "matmul":
        (a, b), (da, db) = node.inputs, at_full_shape
        terms = [None if da is None else graph.product(da, b), None if db is None else graph.product(a, db)]
        return _sum([term for term in terms if term is not None])
    if node.operation in MATRICES:
        tangent = MATRICES[node.operation].tangent
        return None if tangent is None else tangent(Applied(node, node.inputs, node.extra), at_full_shape)
    if first is None or node.operation == "order":
        return None
    if node.operation == "view":
        return graph.view(first, node.extra, node.shape)
    if node.operation == "taken":
        return graph.taken(first, node.inputs[1])
    if node.operation == "put_back":
        return graph.put_back(first, node.inputs[1], node.extra)
    assert node.operation == "cumsum"
    return graph.along_lines("cumsum", first)


def _of_accumulation(graph: Graph, node: Node, inner: list[Node | None]) -> Node:
    how, geometries = node.extra
    parts = []
    for position, d in enumerate(inner):
        if d is None:
            continue
        i, geometry = node.inputs[position], geometries[position]
        d = spread(graph, d, i.shape)
        if how == "multiply":
            d = d * other_products(graph, i, geometry)
        elif how != "add":  # tied elements share the slope
            winners = graph("equal", i, of_each(graph, node, position, node))
            count = graph.accumulated([(geometry, winners)], node.shape)
            d = d * winners / of_each(graph, node, position, count)
        parts.append((geometry, d))
    return graph.accumulated(parts, node.shape)


def _sum(terms: list[Node]) -> Node | None:
    total = None
    for term in terms:
        total = term if total is None else total + term
    return total
