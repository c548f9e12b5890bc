"""The gradient of a graph's result, as further nodes of the same graph: reverse mode, one node at a time.

The adjoint of a node is the derivative of the result with respect to it. From the last node to the first, each node
adds its contribution to the adjoints of its inputs (A. Griewank and A. Walther, Evaluating Derivatives, 2008, section
3.2). A scalar may stand for an adjoint that is the same everywhere.

`where` computes both of its sides. On the side that is not taken the adjoint is 0, but the slope may be infinite or NaN
there, and 0 times that is NaN. So nodes that lead to a side of a `where` contribute 0 wherever their own adjoint is 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry, Shape, places_of, steps
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES, Applied
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS

# Operations whose contributions are always 0 where the adjoint is 0.
_HARMLESS = {"copy", "add", "subtract", "negative", "maximum", "minimum", "where"}


def gradient(graph: Graph, result: Node, count: int | None = None) -> Node:
    """The node for the derivative of `result`, which has one element, with respect to x; it has the shape of x.

    count : how many of the first elements of x, if not all
    """
    graph.in_double = True
    nodes = [node for node in needed(result) if node.value is None]
    others = set() if count is None else _independent(graph, nodes, count)
    sides = [side for node in nodes if node.operation == "where" for side in node.inputs[1:]]
    guarded = {node.index for node in needed(*sides) if node.operation not in _HARMLESS}
    direct = {result.index: graph.constant(1.0)}
    parts: dict[int, list[tuple[Geometry, Node]]] = {}  # contributions to views of a node
    for node in reversed(nodes):
        d = direct.pop(node.index, None)
        if node.index in parts:
            found = parts.pop(node.index)
            if node is graph.x and count is not None:
                return _of_first(graph, d, found, count)
            d = _with_parts(graph, d, found, node.shape)
        if node is graph.x and d is not None:
            return spread(graph, d, node.shape if count is None else (count,))
        if d is None or node is graph.x:
            continue
        if node.operation == "view":
            base = node.inputs[0]
            parts.setdefault(base.index, []).append((node.extra, spread(graph, d, node.shape)))
            continue
        own: dict[int, Node] = {}  # summed if an input occurs twice: x x gives 2 d x
        for position, i in enumerate(node.inputs):
            guard = node.index in guarded
            counts = i.value is None and i.index not in others
            contribution = _contribution(graph, node, position, d, guard) if counts else None
            if contribution is not None:
                if contribution.size == 1:  # for all elements
                    contribution = graph.reshaped(contribution, i.shape if i.size == 1 else ())
                own[i.index] = own[i.index] + contribution if i.index in own else contribution
        for number, contribution in own.items():
            direct[number] = direct[number] + contribution if number in direct else contribution
    return graph.constant(np.zeros(graph.x.shape if count is None else (count,)))


def _independent(graph: Graph, nodes: list[Node], count: int) -> set[int]:
    """The nodes that do not depend on the first elements of x."""
    found: set[int] = set()
    for node in nodes:
        if node.operation == "view" and node.inputs[0] is graph.x:
            if int(np.min(places_of(node.extra, node.shape), initial=graph.x.size)) >= count:
                found.add(node.index)
        elif node is not graph.x and all([i.value is not None or i.index in found for i in node.inputs]):
            found.add(node.index)
    return found


def _of_first(graph: Graph, d: Node | None, parts: list[tuple[Geometry, Node]], count: int) -> Node:
    """The adjoint of the first elements of x, from that of all of x, or none, and contributions to parts of it."""
    if d is None and all([int(np.max(places_of(g, part.shape), initial=-1)) < count for g, part in parts]):
        return graph.accumulated(parts, (count,))
    whole = _with_parts(graph, d, parts, graph.x.shape)
    return graph.view(spread(graph, whole, graph.x.shape), Geometry(0, (1,)), (count,))


def needed(*results: Node) -> list[Node]:
    """The results and all nodes on which they depend, in their order."""
    found, waiting = {result.index: result for result in results}, list(results)
    while waiting:
        for i in waiting.pop().inputs:
            if i.index not in found:
                found[i.index] = i
                waiting.append(i)
    return [found[number] for number in sorted(found)]


def _with_parts(graph: Graph, d: Node | None, parts: list[tuple[Geometry, Node]], shape: Shape) -> Node:
    """The sum of an adjoint d, or none, and contributions to parts of it."""
    whole = Geometry(0, steps(shape))
    for geometry, part in parts:
        if geometry == whole and part.shape == shape:
            d = part if d is None else d + part
    parts = [(geometry, part) for geometry, part in parts if not (geometry == whole and part.shape == shape)]
    if d is not None:
        parts.insert(0, (whole, spread(graph, d, shape)))
    return graph.accumulated(parts, shape)


def spread(graph: Graph, d: Node, shape: Shape) -> Node:
    """An adjoint at its full shape."""
    if d.shape == shape:
        return d
    return graph.stretched(graph.reshaped(d, ()), shape) if math.prod(shape) > 1 else graph.reshaped(d, shape)


def _contribution(graph: Graph, node: Node, position: int, d: Node, guard: bool) -> Node | None:
    """What a node contributes to the adjoint of one of its inputs; None for nothing.

    guard : whether to make it 0 where d is 0, even if the slope is not finite there
    """
    i = node.inputs[position]
    operation = OPERATIONS.get(node.operation)
    if operation is not None:
        derivative = operation.derivatives[position] if operation.derivatives else None
        if derivative is None:
            return None
        contribution = derivative(d, node, *node.inputs)
        if guard:
            contribution = _guarded(graph, d, contribution)
        if i.size == 1 and node.size > 1:  # a scalar that stands for many elements
            return contribution * float(node.size) if contribution.size == 1 else graph.total(contribution)
        return contribution
    if node.operation == "accumulate":
        contribution = _of_accumulation(graph, node, position, d)
        if guard and node.extra[0] == "multiply":
            contribution = _guarded(graph, of_each(graph, node, position, d), contribution)
        return contribution
    d = spread(graph, d, node.shape)
    if node.operation == "matmul":
        a, b = node.inputs
        if position == 0:
            return graph.product(d, graph.rearranged(b, _turned))
        return graph.product(graph.rearranged(a, _turned), d)
    if node.operation in MATRICES:
        adjoint = MATRICES[node.operation].adjoints[position]
        if adjoint is None:
            return None
        contribution = adjoint(d, Applied(node, node.inputs, node.extra))
        return _guarded(graph, _any_of_each(graph, d), contribution) if guard else contribution
    if node.operation == "taken":
        return graph.put_back(d, node.inputs[1], node.inputs[0].shape[1]) if position == 0 else None
    if node.operation == "put_back":
        return graph.taken(d, node.inputs[1]) if position == 0 else None
    if node.operation == "order":
        return None
    assert node.operation == "cumsum"
    turned = graph.rearranged(d, lambda a: np.flip(a, -1))
    return graph.rearranged(graph.along_lines("cumsum", turned), lambda a: np.flip(a, -1))


def _turned(matrices: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(matrices, -1, -2)


def _any_of_each(graph: Graph, d: Node) -> Node:
    """Whether any element of each array of a stack is not 0, as (count, 1, 1)."""
    strides = (1, *[0] * (len(d.shape) - 1))
    largest = graph.accumulated([(Geometry(0, strides), graph("absolute", d))], d.shape[:1], "maximum")
    return graph.reshaped(largest, (*d.shape[:1], 1, 1))


def _guarded(graph: Graph, d: Node, contribution: Node) -> Node:
    """The contribution, but 0 where the adjoint d is 0."""
    guarded = graph("where", d, contribution, 0.0)
    graph.guards.add(guarded.index)
    return guarded


def _of_accumulation(graph: Graph, node: Node, position: int, d: Node) -> Node:
    how, geometries = node.extra
    geometry, i = geometries[position], node.inputs[position]
    if how == "add":
        return of_each(graph, node, position, d)
    if how == "multiply":
        return of_each(graph, node, position, d) * other_products(graph, i, geometry)
    winners = graph("equal", i, of_each(graph, node, position, node))
    count = graph.accumulated([(geometry, winners)], node.shape)
    return of_each(graph, node, position, d / count) * winners


def of_each(graph: Graph, node: Node, position: int, result: Node) -> Node:
    """For each element of an accumulation's input, the element of `result`, of the output's shape, to which it went."""
    if result.size == 1:
        return result
    return graph.view(result, node.extra[1][position], node.inputs[position].shape)


def other_products(graph: Graph, node: Node, geometry: Geometry) -> Node:
    """For each element, the product of the others that went to the same place."""
    assert geometry.strides is not None
    last = [axis for axis, stride in enumerate(geometry.strides) if stride == 0]
    order = [axis for axis in range(len(node.shape)) if axis not in last] + last
    many = math.prod(node.shape[axis] for axis in last)
    lines = graph.rearranged(node, lambda a: a.transpose(order).reshape(-1, many))
    products = graph.along_lines("other_products", lines)
    turned = tuple(node.shape[axis] for axis in order)
    return graph.rearranged(products, lambda a: a.reshape(turned).transpose(np.argsort(order)))
