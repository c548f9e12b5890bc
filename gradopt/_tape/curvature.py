"""The tapes of second derivatives: the Hessian of a graph's result, or its product with some vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.columns import along
from gradopt._tape.graph.embedding import embedded
from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Path, Paths
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.tape import Tape

# The most numbers in the tangents of one node.
_LARGEST_TANGENT = 4_000_000


def hessian_tape(paths: Paths) -> Tape:
    """A tape that writes the Hessian of the first result, (n n,), in C order; its own result is 0."""
    n = paths.n

    def written(path: Path) -> tuple[Node, Node]:
        graph = path.graph
        columns = along(gradient(graph, path.results[0]), graph.x, graph.constant(np.eye(n)))
        return graph.constant(0.0), graph.reshaped(columns, (n * n,))

    return Tape(paths, written)


def product_tape(paths: Paths, values: Mapping[int, NDArray[Any]], count: int) -> Tape:
    """A tape that writes products of the Hessian of the first result with `count` vectors, (n, count) in C order.

    Its own result is 0. Its x has n + n count elements: x, and the vectors as (n, count).

    values : the values of nodes that depend on arguments, if those of the trace are replaced
    """
    n = paths.n
    found = [embedded(path, values, n * count) for path in paths.known]
    more = Paths(found[0][0])
    more.known += [path for path, _, _ in found[1:]]

    def written(path: Path) -> tuple[Node, Node]:
        graph = path.graph
        source, vectors = next(ends for own, *ends in found if own is path)
        columns = along(gradient(graph, path.results[0], n), source, graph.reshaped(vectors, (n, count)))
        return graph.constant(0.0), graph.reshaped(columns, (n * count,))

    return Tape(more, written)


def jacobian_tape(paths: Paths) -> Tape:
    """A tape that writes the second result, (m,), and then its derivatives (m, n), in C order; its own result is 0."""
    n = paths.n

    def written(path: Path) -> tuple[Node, Node]:
        graph = path.graph
        vector = path.results[1]
        rows = along(vector, graph.x, graph.constant(np.eye(n)))
        parts = [(Geometry(0, (1,)), vector), (Geometry(vector.size, (n, 1)), rows)]
        return graph.constant(0.0), graph.accumulated(parts, (vector.size * (1 + n),))

    return Tape(paths, written)


def columns_at_once(paths: Paths) -> int:
    """How many columns of the Hessian fit into memory at once."""
    largest = max(node.size for path in paths.known for node in path.graph.nodes if node.value is None)
    return max(1, min(paths.n, _LARGEST_TANGENT // largest))
