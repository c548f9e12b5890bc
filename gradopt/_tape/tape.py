"""A tape: the operations that a trace recorded, with their gradient, ready for the machine."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core.aligned import aligned_zeros
from gradopt._tape.graph.evaluate import evaluate
from gradopt._tape.graph.graph import Graph, given
from gradopt._tape.graph.listing import listing
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Path, Paths
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.lower.assemble import Assembly
from gradopt._tape.machine.program import CONSTANTS, PIECES, WORK, Program

Written = tuple[Node, Node]  # a result, and the vector that a run writes beside it


def with_gradient(path: Path) -> Written:
    """The first result of a path, and its gradient."""
    result = path.results[0]
    return result, gradient(result.graph, result)  # type: ignore[arg-type]


class Tape:
    """A function of x and its gradient as a list of array operations; it prints as one operation per line.

    Paths that are found later are added when the program is next asked for.

    Parameters
    ----------
    paths : Paths
    written : callable
        The result of a path, which has one element, and the vector that a run writes beside it.
    """

    def __init__(self, paths: Paths, written: Callable[[Path], Written] = with_gradient) -> None:
        self.paths, self._written, self._adding = paths, written, threading.RLock()
        self._assembly = Assembly(paths.known[0].graph.x, branches=paths.branches)
        self.written: list[Written] = []
        self._program: tuple[Any, ...] = ()
        self.hessian: Tape | None = None  # made by `curvature` when it is first needed
        self._add_paths()
        if not paths.branches:
            paths.known[0].graph.forget_sources()  # a kept tape must not keep its user's arrays

    @classmethod
    def of(cls, result: Node, outputs: Node | None = None) -> Tape:
        """The tape of a single path; outputs : as above, default the gradient."""
        paths = Paths(Path((), (result,)))
        return cls(paths) if outputs is None else cls(paths, lambda path: (result, outputs))

    def _add_paths(self) -> None:
        """Assemble the paths that have been found since."""
        assembly, new = self._assembly, self.paths.known[len(self.written) :]
        for path in new:
            path.graph.limit = sys.maxsize
            self.written.append(self._written(path))
            assembly.add(*self.written[-1], path.guards)
        if new:
            numbers = itertools.chain.from_iterable(assembly.rows)
            rows = np.fromiter(numbers, np.uint32, 5 * len(assembly.rows)).reshape(-1, 5)
            stages = np.array(assembly.all_stages, np.int64).reshape(-1, 5)
            self._program = rows, stages, np.array([*assembly.layout.tables, 0], np.int64)

    @property
    def gradient(self) -> Node:
        """What a run writes, on the first path."""
        return self.written[0][1]

    @property
    def result(self) -> Node:
        """The result of the first path."""
        return self.written[0][0]

    @property
    def work(self) -> int:
        """How many numbers a run computes: a measure of its cost."""
        stages = self._assembly.stages
        pieces = ((end - first) * size for kind, first, end, size, _ in stages if kind == PIECES)
        return (len(self._assembly.rows) + sum(pieces)) // len(self.written)

    @property
    def bytes(self) -> int:
        """The memory that the known values take, about."""
        nodes = [node for path in self.paths.known for node in path.graph.nodes]
        known = sum(node.value.nbytes for node in nodes if node.value is not None)
        return known + 40 * len(self._assembly.rows)

    def __str__(self) -> str:
        return listing(self.paths.known, self.written)

    def __repr__(self) -> str:
        paths = f" on {len(self.written)} paths" if len(self.written) > 1 else ""
        return f"<tape of {len(self._assembly.rows)} instructions{paths}>"

    def program(self, dtype: Any, values: Mapping[int, NDArray[Any]] | None = None) -> Program:
        """The `Program` that the machine receives, as a plain tuple.

        values : the values of nodes that depend on arguments, if those of the trace are replaced
        """
        with self._adding:
            self._add_paths()
        constants = aligned_zeros(max(self._assembly.layout.constants_size, 1), dtype)
        self._put(constants, CONSTANTS, values or {})
        return *self._program, constants  # type: ignore[return-value]

    def workspace(self, dtype: Any, values: Mapping[int, NDArray[Any]] | None = None) -> NDArray[Any]:
        """The array that the machine works in, with the known values in their places; `values` as for `program`."""
        with self._adding:
            self._add_paths()
        work = aligned_zeros(self._assembly.layout.work_size + 1, dtype)
        self._put(work, WORK, values or {})
        return work

    def _put(self, target: NDArray[Any], array: int, values: Mapping[int, NDArray[Any]]) -> None:
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            for known in self._assembly.layout.known:
                if known.array == array:
                    value = values.get(known.node.index, known.node.value)
                    target[known.place : known.place + known.node.size * known.times] = np.ravel(value)  # type: ignore[arg-type]

    def values(self, arguments: Mapping[Any, NDArray[Any]]) -> Values:
        """As `Values`."""
        return Values(self.paths, arguments)

    # Paths.

    @property
    def memory(self) -> int:
        """As in `Assembly`: -1 without branches."""
        return self._assembly.memory

    def met_unknown_path(self, work: NDArray[Any]) -> bool:
        """Whether a run with this workspace came to an x that is on no known path."""
        return self.paths.branches and bool(work[self._assembly.memory + 1])

    def unknown_x(self, work: NDArray[Any]) -> NDArray[Any]:
        """The first such x."""
        begin = self.memory + 2
        return work[begin : begin + self.paths.n].copy()

    def add_path(self, work: NDArray[Any], arguments: Mapping[Any, NDArray[Any]]) -> None:
        """Trace the path at that x, with the workspace of an evaluation there alone; arguments : as for `Choices`."""
        places = self._assembly.guards
        seen = [[float(work[place]) for place in of_path] for of_path in places]
        self.paths.add(self.unknown_x(work), arguments, seen)


class Values(dict[int, NDArray[Any]]):
    """The values of the nodes that depend on arguments, if these arguments replace those of the trace.

    Nodes that a later tape adds to a graph have values too, and those of paths that are found later.

    Parameters
    ----------
    paths : Paths
    arguments : dict
        The arrays by their places; what a later path finds outside is as it is found.
    """

    def __init__(self, paths: Paths, arguments: Mapping[Any, NDArray[Any]]) -> None:
        super().__init__()
        self._paths, self._arguments, self._count = paths, arguments, 0

    def __bool__(self) -> bool:
        return True

    def get(self, index: int, default: Any = None) -> Any:
        count = sum([len(path.graph.nodes) for path in self._paths.known])
        if self._count != count:
            for path in self._paths.known:
                self._add(path.graph)
            self._count = count
        return super().get(index, default)

    def _add(self, graph: Graph) -> None:
        for node in graph.nodes:
            if node.value is None or node.fixed or node.index in self:
                continue
            if node.operation == "argument":
                self[node.index] = self._arguments.get(node.extra, node.value)
            elif node.inputs:
                inputs = [
                    given(node.operation, i, super(Values, self).get(i.index, i.value), node.in_double)
                    for i in node.inputs
                ]
                self[node.index] = evaluate(node.operation, node.extra, node.shape, *inputs)
