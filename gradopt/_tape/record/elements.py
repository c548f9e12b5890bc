"""Numbers for the elements of nodes: a written array holds such numbers, so NumPy itself moves and writes them.

Views, aliases, broadcasting, masks and repeated indices are then those of NumPy. The node of a written array is made
when it is used: its parts are put together from the nodes that were written.
"""

from __future__ import annotations

import bisect
from array import array
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry, Positions, places_of, steps
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.node import Node

Ids = NDArray[np.int64]


class Elements:
    """The elements of a graph's nodes, numbered when they are first written somewhere.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: list[Node] = []
        self._starts = array("q")  # the number of each node's first element, ascending
        self._start_of: dict[int, int] = {}
        self._end = 0

    def ids(self, node: Node) -> Any:
        """The numbers of a node's elements, in a new array of its shape; those of a view are its array's."""
        if node.operation == "view":
            base, geometry = node.inputs[0], node.extra
            if not node.shape and geometry.positions is None:
                return self._start(base) + geometry.offset
            return self._start(base) + places_of(geometry, node.shape)
        start = self._start(node)
        return np.arange(start, start + node.size).reshape(node.shape) if node.shape else start

    def _start(self, node: Node) -> int:
        start = self._start_of.get(node.index)
        if start is None:
            start = self._start_of[node.index] = self._end
            self._nodes.append(node)
            self._starts.append(start)
            self._end += node.size
        return start

    def element(self, number: int) -> Node:
        """The node of one element."""
        which = bisect.bisect_right(self._starts, number) - 1
        node = self._nodes[which]
        return node if not node.shape else self._graph.view(node, Geometry(number - self._starts[which], ()), ())

    def node(self, ids: Ids) -> Node:
        """The node of an array of elements."""
        shape, line = ids.shape, ids.reshape(-1)
        if not line.size:
            return self._graph.constant(np.zeros(shape))
        which = np.searchsorted(np.frombuffer(self._starts, np.int64), line, "right") - 1
        if (which == which[0]).all():
            return self._of_one(int(which[0]), ids)
        order = np.argsort(which, kind="stable")
        borders = [0, *(np.flatnonzero(np.diff(which[order])) + 1).tolist(), line.size]
        numbers, parts, boolean = which.tolist(), [], True
        for first, last in pairwise(borders):
            node = self._nodes[numbers[order[first]]]
            boolean = boolean and node.boolean
            if last == first + 1 and not node.shape:
                parts.append((Geometry(int(order[first]), ()), node))
            else:
                places = order[first:last]
                part = self._of_one(numbers[order[first]], line[places])
                if part.value is None or not part.fixed or part.value.any():
                    parts.append((regular(places), part))
        if not parts:
            return self._graph.constant(np.zeros(shape))
        together = self._graph.accumulated(parts, shape)
        together.boolean = boolean
        return together

    def _of_one(self, which: int, ids: Ids) -> Node:
        """The node of elements that belong to one node."""
        node, places = self._nodes[which], ids - self._starts[which]
        return (
            self._graph.view(node, regular(places), places.shape)
            if node.shape
            else self._graph.stretched(node, ids.shape)
        )


def regular(places: Ids) -> Geometry:
    """The geometry of elements at these places, by strides where that is possible."""
    offset, strides = int(places[(0,) * places.ndim]), []
    for axis, length in enumerate(places.shape):
        second = tuple(int(i == axis) for i in range(places.ndim))
        strides.append(int(places[second]) - offset if length > 1 else steps(places.shape)[axis])
    geometry = Geometry(offset, tuple(strides))
    return (
        geometry if np.array_equal(places_of(geometry, places.shape), places) else Geometry(0, None, Positions(places))
    )
