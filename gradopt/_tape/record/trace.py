"""A trace in progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Choices
from gradopt._tape.record.elements import Elements


class Trace:
    """A trace in progress: its graph, its written elements, and the arguments whose numbers it has used.

    Parameters
    ----------
    graph : Graph
    functions : dict
        NumPy's functions -> their versions for traced arrays: f(trace, *arguments, **keywords).
    choices : Choices, optional
        Which way the function goes where that depends on x; without them, it must not.

    Attributes
    ----------
    again : callable or None
        A function in Python -> the same with the names of the trace.
    """

    def __init__(
        self, graph: Graph, functions: Mapping[Any, Callable[..., Any]], choices: Choices | None = None
    ) -> None:
        self.graph, self.functions, self.choices = graph, functions, choices
        self.elements = Elements(self.graph)
        self.running: list[Any] = []  # NumPy's functions whose own code is being traced
        self.again: Callable[[Any], Callable[..., Any]] | None = None
        self.frozen: set[Any] = set()  # the places of arguments whose numbers became part of the graph

    def value_of(self, node: Node) -> NDArray[Any]:
        """The numbers of a node that does not depend on x; from now on they are part of the graph."""
        assert node.value is not None
        below = [node]
        while below:
            one = below.pop()
            below += one.inputs
            if one.operation == "argument":
                self.frozen.add(one.extra)
        return node.value
