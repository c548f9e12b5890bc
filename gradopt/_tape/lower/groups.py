"""The order in which a tape computes its nodes.

A node's level is one more than that of the nodes whose complete results it needs. Elementwise nodes of one level and
one shape form a group and go through their arrays together; the scalars of a level are the group of shape (). A group
also combines its nodes with elements of other arrays. Cheap nodes are computed again in a later group rather than kept.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from gradopt._tape.graph.evaluate import HOW
from gradopt._tape.graph.geometry import Geometry, Shape, is_line, places_of, steps
from gradopt._tape.graph.node import Node, space
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.lower import layout
from gradopt._tape.lower.layout import Layout, Place
from gradopt._tape.machine import program

# The most elementwise nodes that are computed again rather than kept from an earlier stage.
_AGAIN = 4

Group = tuple[int, Shape]  # the level, and the shape of the arrays


class Output(NamedTuple):
    """A node that is combined with elements of another array."""

    how: int
    place: Place
    geometry: Geometry
    node: Node
    batch: int  # outputs of one batch are stored together, in their order


class Clearing(NamedTuple):
    """Elements that are set to the neutral element of a combination first."""

    how: int
    place: Place
    size: int


class Grouping:
    """The groups that lead to a result and its gradient.

    Attributes
    ----------
    members : dict of Group to dict of int to Node
        The nodes that a group computes, by index.
    outputs : dict of Group to list of Output
    clearings : dict of int to list of Clearing
        Done before the groups of a level.
    others : dict of int to list of Node
        Matrix products and running sums and products: done after the groups of a level.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.members: dict[Group, dict[int, Node]] = defaultdict(dict)
        self.outputs: dict[Group, list[Output]] = defaultdict(list)
        self.clearings: dict[int, list[Clearing]] = defaultdict(list)
        self.others: dict[int, list[Node]] = defaultdict(list)
        self._levels: dict[int, int] = {}
        self._whole: set[int] = set()  # nodes that groups other than their own need
        self._waiting: list[tuple[Node, Group | None]] = []  # nodes to compute in a group, or as a whole

    def compute_scalars(self, nodes: list[Node], gradient: Node) -> None:
        """Put all nodes into one group, in their order, if all that are computed are scalars.

        nodes : the nodes on which objective and gradient depend
        """
        computed = [node for node in nodes if node.value is None and node.operation not in ("x", "view")]
        if gradient.value is None and gradient.operation == "accumulate":
            computed.remove(gradient)
        if all([node.size == 1 and node.elementwise for node in computed]):
            self._levels = dict.fromkeys([node.index for node in nodes], 0)
            self.members[0, ()] = {node.index: node for node in computed}

    def require(self, node: Node) -> None:
        """Have a node's complete result ready at the end of its level."""
        self._waiting.append((node, None))
        self._settle()

    def write(self, node: Node, place: Place) -> None:
        """Have a node's result written to a place."""
        if node.value is None and node.operation == "accumulate" and node.extra[0] == "add":
            self._whole.add(node.index)
            self._accumulate(node, place)
        else:
            self._output(Output(program.REPLACE, place, Geometry(0, steps(node.shape)), node, -1 - len(self.outputs)))
        self._settle()

    def is_home(self, node: Node, group: Group) -> bool:
        """Whether this group computes a node for other groups."""
        return node.index in self._whole and self._home(node) == group

    def level(self, node: Node) -> int:
        """The level at which an elementwise node is computed, or at which another node is available."""
        levels = self._levels
        if node.index in levels:
            return levels[node.index]
        waiting = [node]
        while waiting:
            one = waiting[-1]
            missing = [i for i in one.inputs if i.value is None and i.index not in levels]
            if missing and one.value is None:
                waiting += missing
            else:
                waiting.pop()
                levels[one.index] = self._own_level(one)
        return levels[node.index]

    def _own_level(self, node: Node) -> int:
        if node.value is not None:
            return 0
        if node.elementwise:
            shape, level = space(node), 0
            for i in node.inputs:
                if i.value is None:
                    # Scalars and arrays of another shape must be complete before.
                    level = max(level, self._levels[i.index] + (i.elementwise and space(i) != shape))
            return level
        inputs = [i for i in node.inputs if i.value is None]
        if node.operation == "accumulate":  # its elementwise inputs are stored by their own groups
            return max([self._levels[i.index] for i in inputs], default=0) + 1
        there = max([self._levels[i.index] + i.elementwise for i in inputs], default=0)
        return there if node.operation in ("x", "view") else there + 1

    def _home(self, node: Node) -> Group:
        return self.level(node), space(node)

    def _settle(self) -> None:
        """Process all waiting nodes."""
        while self._waiting:
            node, group = self._waiting.pop()
            if node.value is None and node.operation != "x":
                if group is None:
                    self._have(node)
                else:
                    self._compute(node, group)

    def _have(self, node: Node) -> None:
        if node.index in self._whole:
            return
        self._whole.add(node.index)
        if node.operation == "view":
            self._waiting.append((node.inputs[0], None))
        elif node.elementwise:
            self._waiting.append((node, self._home(node)))
        elif node.operation == "accumulate":
            self._accumulate(node, Place(program.WORK, self._layout.own_place(node)))
        else:
            self.others[self.level(node) - 1].append(node)
            self._waiting += [(i, None) for i in node.inputs]

    def _compute(self, node: Node, group: Group) -> None:
        """Have a group compute an elementwise node and the inputs that it needs."""
        if node.index in self.members[group] or (node.index in self._whole and self._home(node) != group):
            return
        self.members[group][node.index] = node
        for i in node.inputs:
            fused = i.elementwise and space(i) == group[1] and (self.level(i) == group[0] or self._is_cheap(i))
            self._waiting.append((i, group if fused else None))

    def _is_cheap(self, node: Node) -> bool:
        """Whether a node is a large array that is better computed again than kept."""
        if node.size <= layout.PIECE or node.index in self._whole:
            return False
        left, below = _AGAIN, [node]
        while below:
            one = below.pop()
            left -= 1
            if left < 0 or OPERATIONS[one.operation].expensive:
                return False
            below += [i for i in one.inputs if i.size > 1 and i.elementwise and i.index not in self._whole]
        return True

    def _accumulate(self, node: Node, place: Place) -> None:
        """Have the parts of an accumulation written to their places."""
        how, geometries = node.extra
        self._layout.put(node, place)
        parts: list[tuple[Geometry, Node]] = list(zip(geometries, node.inputs, strict=True))
        kind = HOW.index(how)
        kinds = [kind] * len(parts)
        if how == "add" and _disjoint(parts, node.size):
            kinds = [program.REPLACE] * len(parts)
        else:
            first = min(self._order(part) for _, part in parts)
            begin = end = 0
            early = [item for item in parts if self._order(item[1]) == first]
            if how == "add" and all(is_line(geometry, part.shape) for geometry, part in early):
                # The line that begins last can replace its elements: in no piece was anything added to them before.
                line = max(early, key=lambda item: item[0].offset)
                parts = [line] + [item for item in parts if item is not line]
                kinds[0] = program.REPLACE
                begin, end = line[0].offset, line[0].offset + line[1].size
            for start, stop in ((0, begin), (end, node.size)):
                if start < stop:
                    cleared = Clearing(kind, place._replace(place=place.place + start), stop - start)
                    self.clearings[first[0]].append(cleared)
        for how_stored, (geometry, part) in zip(kinds, parts, strict=True):
            self._output(Output(how_stored, place, geometry, part, node.index))

    def _order(self, node: Node) -> tuple[int, int, Shape]:
        return group_order(self._home(node))

    def _output(self, output: Output) -> None:
        group = self._home(output.node)
        self.outputs[group].append(output)
        self._waiting.append((output.node, group if output.node.elementwise else None))


def group_order(group: Group) -> tuple[int, int, Shape]:
    """The sort key for the order in which groups run."""
    return group[0], len(group[1]), group[1]


def _disjoint(parts: list[tuple[Geometry, Node]], size: int) -> bool:
    """Whether the parts cover each element of an array exactly once."""
    if sum(part.size for _, part in parts) != size:
        return False
    if all(part.size == 1 and geometry.strides is not None for geometry, part in parts):
        return len({geometry.offset for geometry, _ in parts}) == size
    hits = np.zeros(size, np.int8)
    for geometry, part in parts:
        np.add.at(hits, places_of(geometry, part.shape).reshape(-1), 1)
    return bool((hits == 1).all())
