"""The same graph within one that has more inputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.matrices import MATRICES
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.paths import Path
from gradopt._tape.graph.reverse import needed


def embedded(path: Path, values: Mapping[int, NDArray[Any]], more: int) -> tuple[Path, Node, Node]:
    """A path, in a graph of its own whose x has `more` further elements.

    values : the values of nodes that depend on arguments, if those of the trace are replaced

    Returns (the path, the first elements of x, the further ones).
    """
    x = path.graph.x
    graph = Graph(x.size + more, sys.maxsize, first_index=x.index)
    graph.in_double = True
    source = graph("copy", graph.view(graph.x, Geometry(0, (1,)), x.shape))
    found = {x.index: source}
    for node in needed(*path.ends):
        if node.index not in found:
            known = values.get(node.index, node.value)
            found[node.index] = _made(graph, node, found) if known is None else copied(graph, node, known)
    guards = tuple([guard._replace(node=found[guard.node.index]) for guard in path.guards])
    made = Path(guards, tuple([found[node.index] for node in path.results]))
    return made, source, graph.view(graph.x, Geometry(x.size, (1,)), (more,))


def copied(graph: Graph, node: Node, value: NDArray[Any]) -> Node:
    """A node with a known value, in another graph."""
    if node.literal is not None and not node.strong:
        return graph.constant(node.literal)
    return graph.constant(value if node.boolean else np.asarray(value, np.float64))


def _made(graph: Graph, node: Node, found: dict[int, Node]) -> Node:
    inputs = [found[i.index] for i in node.inputs]
    if node.operation in OPERATIONS:
        return graph.stretched(graph(node.operation, *inputs), node.shape)
    if node.operation == "view":
        return graph.view(inputs[0], node.extra, node.shape)
    if node.operation == "accumulate":
        how, geometries = node.extra
        return graph.accumulated(list(zip(geometries, inputs, strict=True)), node.shape, how)
    if node.operation == "matmul":
        return graph.product(*inputs)
    if node.operation == "taken":
        return graph.taken(*inputs)
    if node.operation == "put_back":
        return graph.put_back(inputs[0], inputs[1], node.extra)
    if node.operation in MATRICES:
        return graph.of_matrices(node.operation, *inputs, extra=node.extra)
    return graph.along_lines(node.operation, inputs[0])
