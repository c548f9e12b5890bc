"""A node of a graph: an array that some operation makes of other nodes; arithmetic with nodes makes further ones."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Shape


class TooLong(Exception):
    """The graph has more nodes than it may have."""


class Arithmetic(Protocol):
    """What nodes ask of the graph that they belong to."""

    nodes: list[Node]
    limit: int
    x: Node

    def __call__(self, name: str, *inputs: Any) -> Node: ...
    def power(self, base: Any, exponent: Any) -> Node: ...


class Node:
    """An array within a graph.

    Attributes
    ----------
    graph : Arithmetic
        The graph that it belongs to.
    index : int
        Its place in `graph.nodes`; inputs have smaller ones.
    operation : str
    inputs : tuple of Node
    extra : hashable
        What the operation needs beside its inputs.
    shape : tuple of int
    size : int
    value : ndarray or None
        Where it does not depend on x.
    fixed : bool
        Whether it does not depend on the arguments either.
    boolean : bool
        Whether it is made of true and false, as 1 and 0.
    in_double : bool
        Whether its value was computed in double precision, whatever its inputs have.
    elementwise : bool
        Whether it is computed element by element, in each run.
    literal : float, int, bool or None
        The number, of a constant that is one.
    strong : bool
        Whether that has a type of its own, as NumPy's numbers have, and not that of the arrays beside it.
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
        self.index = len(graph.nodes)
        if self.index >= graph.limit:
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
    """The shape of the arrays that a node is computed with; () for numbers."""
    return () if node.size == 1 else node.shape
