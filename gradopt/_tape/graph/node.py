"""A node of a graph: an array that an operation computes from other nodes; arithmetic on nodes makes new nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry, Shape


class TooLong(Exception):
    """The graph would have more nodes than its limit."""


class TooLarge(Exception):
    """Nodes would take too much memory."""


class Arithmetic(Protocol):
    """The part of a graph that its nodes use."""

    nodes: list[Node]
    first_index: int
    limit: int
    x: Node

    def __call__(self, name: str, *inputs: Any) -> Node: ...
    def constant(self, value: Any) -> Node: ...
    def power(self, base: Any, exponent: Any) -> Node: ...
    def rearranged(self, node: Node, move: Callable[[NDArray[Any]], NDArray[Any]]) -> Node: ...
    def reshaped(self, node: Node, shape: Shape) -> Node: ...
    def accumulated(self, parts: list[tuple[Geometry, Node]], shape: Shape, how: str = "add") -> Node: ...
    def product(self, a: Node, b: Node) -> Node: ...
    def of_matrices(self, operation: str, *inputs: Node, extra: Any = None) -> Node: ...


class Node:
    """An array within a graph.

    Attributes
    ----------
    graph : Arithmetic
        The graph that the node belongs to.
    index : int
        A number that no other node of the graph has, nor of the graphs of the function's other paths; inputs have
        smaller ones.
    operation : str
    inputs : tuple of Node
    extra : hashable
        What the operation needs besides its inputs.
    shape : tuple of int
    size : int
    value : ndarray or None
        The value, if the node does not depend on x.
    fixed : bool
        Whether the node does not depend on the arguments either.
    boolean : bool
        Whether the elements are true or false, stored as 1 and 0.
    in_double : bool
        Whether the value was computed in double precision, whatever the precision of the inputs.
    elementwise : bool
        Whether the node is computed element by element in each run.
    literal : float, int, bool or None
        The number, if the node is a constant scalar.
    strong : bool
        Whether the literal has a dtype of its own, as NumPy's scalars do, and does not take that of the arrays beside
        it.
    """

    __slots__ = (
        *("elementwise", "extra", "fixed", "graph", "inputs", "literal", "boolean", "index", "operation"),
        *("shape", "size", "strong", "value", "in_double"),
    )

    def __init__(self, graph: Arithmetic, operation: str, inputs: tuple[Node, ...], extra: Any, shape: Shape) -> None:
        self.graph, self.operation, self.inputs, self.extra, self.shape = graph, operation, inputs, extra, shape
        size = 1
        for length in shape:
            size *= length
        self.size = size
        self.value: NDArray[Any] | None = None
        self.literal: Any = None
        self.fixed = self.boolean = self.elementwise = self.in_double = self.strong = False
        self.index = graph.first_index + len(graph.nodes)
        if len(graph.nodes) >= graph.limit:
            raise TooLong
        graph.nodes.append(self)

    def __add__(self, other: Any) -> Node:
        return self.graph("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return self.graph("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return self.graph("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return self.graph("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return self.graph("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return self.graph("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return self.graph("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return self.graph("divide", other, self)

    def __neg__(self) -> Node:
        return self.graph("negative", self)

    def __pow__(self, other: Any) -> Node:
        return self.graph.power(self, other)


def space(node: Node) -> Shape:
    """The shape of the arrays with which a node is computed; () for scalars."""
    return () if node.size == 1 else node.shape
