"""The ways that a function goes at its branches, as far as they are known.

A branch on x is a guard: the trace follows the side that x takes, and the machine tests, at each x, whether the guards
of a path hold. Each path has a graph of its own, so that its numbers do not depend on which others are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.evaluate import evaluate
from gradopt._tape.graph.graph import Graph
from gradopt._tape.graph.node import Node, TooLong
from gradopt._tape.graph.reverse import needed

# The most guards of a path, each of which costs a number at each evaluation.
_MOST_GUARDS = 2_000
_MOST_PATHS = 64


class Guard(NamedTuple):
    """A number on which the way of a function depends, and what it is on one path: 1 or 0, or a whole number."""

    node: Node
    outcome: float


class Path(NamedTuple):
    """The results of a function where all guards hold."""

    guards: tuple[Guard, ...]
    results: tuple[Node, ...]

    @property
    def graph(self) -> Graph:
        return self.results[0].graph  # type: ignore[return-value]

    @property
    def ends(self) -> tuple[Node, ...]:
        """All nodes that a run needs."""
        return *self.results, *[guard.node for guard in self.guards]


class Source(Protocol):
    """A function that can be traced again.

    Attributes
    ----------
    frozen : set
        The places of arguments whose numbers became part of a path.
    """

    frozen: set[Any]

    def path(self, x: NDArray[Any], arguments: Mapping[Any, NDArray[Any]], before: tuple[float, ...]) -> Path:
        """Trace the path at x, where the first guards have the given outcomes; arguments : as for `Choices`."""

    def give_up(self, reason: str) -> Exception:
        """The exception for a function that can't be followed any further; it will not be traced again."""


class Paths:
    """The known paths of a function.

    Parameters
    ----------
    first : Path
    source : Source, optional
        The function; without it, no path is added.

    Attributes
    ----------
    known : list of Path
        In the order in which they were found; none is removed.
    shared : bool
        Whether the function is used with other arguments too.
    """

    def __init__(self, first: Path, source: Source | None = None) -> None:
        self.known, self._source, self.shared = [first], source, False
        self.n = first.graph.x.size

    @property
    def branches(self) -> bool:
        """Whether there may be other paths."""
        return bool(self.known[0].guards)

    @property
    def only(self) -> Path:
        """The path of a function without branches."""
        assert not self.branches
        return self.known[0]

    @property
    def frozen(self) -> set[Any]:
        """The places of arguments whose numbers are part of a path."""
        return set() if self._source is None else self._source.frozen

    def add(self, x: NDArray[Any], arguments: Mapping[Any, NDArray[Any]], seen: Sequence[Sequence[float]]) -> None:
        """Trace the path at x, which no known one is.

        arguments : as for `Choices`
        seen : for each known path, what the machine computed for its guards
        """
        before: list[float] = []
        here = list(range(len(seen)))
        while True:
            here = [i for i in here if len(self.known[i].guards) > len(before)]
            if not here:
                break
            outcome = float(seen[here[0]][len(before)])
            here = [i for i in here if self.known[i].guards[len(before)].outcome == outcome]
            before.append(outcome)
        if self._source is None:
            raise TypeError(
                "at a branch the function goes a way that its trace has not seen, and a loaded trace does not know its"
                " function"
            )
        if len(self.known) >= _MOST_PATHS:
            raise self._source.give_up(f"its branches lead along more than {_MOST_PATHS} paths")
        frozen = set(self.frozen)
        path = self._source.path(x, arguments, tuple(before))
        if self.shared and self.frozen != frozen:
            raise self._source.give_up("on one of its ways an argument that was replaced supplies indices or branches")
        self.known.append(path)


class Choices:
    """Which way a function goes while it is traced at x.

    Parameters
    ----------
    graph : Graph
    x : float array (n,)
    arguments : mapping
        The arrays that replace those of the trace, by the places of the graph's arguments.
    before : tuple of float
        The outcomes of the first guards; the others follow from x.
    """

    def __init__(
        self, graph: Graph, x: NDArray[Any], arguments: Mapping[Any, NDArray[Any]], before: tuple[float, ...] = ()
    ) -> None:
        self._arguments, self._before = arguments, before
        self._found: dict[int, NDArray[Any]] = {graph.x.index: x}
        self._made: dict[int, Guard] = {}

    @property
    def guards(self) -> tuple[Guard, ...]:
        return tuple(self._made.values())

    def of(self, node: Node) -> float:
        """The outcome for a number, which becomes a guard."""
        guard = self._made.get(node.index)
        if guard is None:
            number = len(self._made)
            if number >= _MOST_GUARDS:
                raise TooLong
            known = number < len(self._before)
            outcome = self._before[number] if known else float(self._value(node))
            guard = self._made[node.index] = Guard(node, outcome)
        return guard.outcome

    def _value(self, result: Node) -> Any:
        found = self._found
        for node in needed(result):
            if node.index not in found:
                if node.operation == "argument":
                    known: Any = self._arguments.get(node.extra, node.value)
                elif node.fixed or not node.inputs:
                    known = node.value
                else:
                    inputs = [found[i.index] for i in node.inputs]
                    known = evaluate(node.operation, node.extra, node.shape, *inputs)
                found[node.index] = np.asarray(known)
        return found[result.index]
