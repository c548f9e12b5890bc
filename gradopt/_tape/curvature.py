"""The tapes of second derivatives: the Hessian of a graph's result, or its product with some vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.columns import along
from gradopt._tape.graph.embedding import embedded
from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.tape import Tape

# The most numbers in the tangents of one node.
_LARGEST_TANGENT = 4_000_000


def hessian_tape(result: Node) -> Tape:
    """A tape that writes the Hessian of a result, (n n,), in C order; its result is 0."""
    graph: Graph = result.graph  # type: ignore[assignment]
    n = graph.x.size
    columns = along(gradient(graph, result), graph.x, graph.constant(np.eye(n)))
    return Tape(graph.constant(0.0), graph.reshaped(columns, (n * n,)))


def product_tape(result: Node, values: Mapping[int, NDArray[Any]], count: int) -> Tape:
    """A tape that writes products of the Hessian with `count` vectors, (n, count) in C order; its result is 0.

    Its x has n + n count elements: x, and the vectors as (n, count).

    values : the values of nodes that depend on arguments, if those of the trace are replaced
    """
    n = result.graph.x.size
    objective, source, vectors = embedded(result, values, n * count)
    graph: Graph = objective.graph  # type: ignore[assignment]
    columns = along(gradient(graph, objective, n), source, graph.reshaped(vectors, (n, count)))
    return Tape(graph.constant(0.0), graph.reshaped(columns, (n * count,)))


def jacobian_tape(vector: Node) -> Tape:
    """A tape that writes a vector (m,) and then its derivatives (m, n), in C order; its result is 0."""
    graph: Graph = vector.graph  # type: ignore[assignment]
    m, n = vector.size, graph.x.size
    rows = along(vector, graph.x, graph.constant(np.eye(n)))
    parts = [(Geometry(0, (1,)), vector), (Geometry(m, (n, 1)), rows)]
    return Tape(graph.constant(0.0), graph.accumulated(parts, (m + m * n,)))


def columns_at_once(result: Node) -> int:
    """How many columns of the Hessian fit into memory at once."""
    largest = max(node.size for node in result.graph.nodes if node.value is None)
    return max(1, min(result.graph.x.size, _LARGEST_TANGENT // largest))
