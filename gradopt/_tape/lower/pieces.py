"""The rows of one stage of pieces, and the places that they share."""

from __future__ import annotations

import math
from collections import defaultdict

from gradopt._tape.graph.geometry import Geometry, is_line
from gradopt._tape.graph.node import Node
from gradopt._tape.lower.groups import Group, Grouping, Output
from gradopt._tape.lower.layout import Layout
from gradopt._tape.machine import opcodes, program


class PieceRows:
    """The rows of one stage of pieces; a register is a place of a piece that later nodes use again."""

    def __init__(self, layout: Layout, grouping: Grouping, group: Group, length: int) -> None:
        self.rows: list[tuple[int, ...]] = []
        self._layout, self._grouping, self._group, self._length = layout, grouping, group, length
        self._small = math.prod(group[1]) <= length
        self._at: dict[int, int] = {}  # nodes -> the place of the piece, or of the array
        self._own: set[int] = set()  # nodes with a register
        self._free: list[int] = []  # registers that are free again
        self._taken: list[int] = []
        members, outputs = grouping.members.get(group, {}), grouping.outputs.get(group, [])
        due = _due(outputs)
        ends = _ends(members, due)
        for number in sorted({*members, *due, *ends}):
            if number in members:
                self._compute(members[number])
            for output in due.get(number, []):
                self._store(output)
            self._free += [self._at[end] for end in ends.get(number, []) if end in self._own]
        layout.release(self._taken)

    def _compute(self, node: Node) -> None:
        if node.operation in opcodes.WITH_SCALAR and self._group[1]:
            for position, (number, other) in enumerate((node.inputs, node.inputs[::-1])):
                place = self._scalar_in_work(number)
                if place is not None:
                    piece, instruction = self._piece(other), opcodes.WITH_SCALAR[node.operation][position]
                    self.rows.append((instruction, self._target(node), piece, place, 0))
                    return
        places = [self._piece(i) for i in node.inputs]
        places += [places[0]] * (3 - len(places))
        self.rows.append((opcodes.opcode(node.operation), self._target(node), *places))

    def _target(self, node: Node) -> int:
        if self._small or self._grouping.is_home(node, self._group):
            place = self._layout.own_place(node) + (0 if self._small else program.IN_MEMORY)
        else:
            place = self._register()
            self._own.add(node.index)
        self._at[node.index] = place
        return place

    def _register(self) -> int:
        return self._free.pop() if self._free else self._fresh()

    def _fresh(self) -> int:
        """The place of a piece that this stage has not used before."""
        place = self._layout.register()
        self._taken.append(place)
        return place

    def _piece(self, node: Node) -> int:
        """The place of a node's piece; adds a row that loads it if necessary."""
        place = self._at.get(node.index)
        if place is None:
            place = self._at[node.index] = self._brought(node)
        return place

    def _brought(self, node: Node) -> int:
        if node.size == 1 and self._group[1]:
            return self._number(node)
        where = self._layout.where(node)
        if where is not None and where.array == program.WORK:
            return where.place + (0 if self._small else program.IN_MEMORY)
        if where is not None and where.array == program.X and where.place < program.PLACES:
            return where.place + program.IN_X
        place = self._register()
        self._own.add(node.index)
        if where is not None:
            self.rows.append((opcodes.LOAD, place, *where, 0))
        else:
            base = self._layout.base(node)
            by_places, table = self._layout.table(base, node.extra, node.shape)
            self.rows.append((opcodes.LOAD_AT if by_places else opcodes.LOAD_VIEW, place, base.array, table, 0))
        return place

    def _scalar_in_work(self, node: Node) -> int | None:
        """The place in `work` of a scalar; None for other nodes, and for scalars elsewhere."""
        where = self._layout.where_scalar(node) if node.size == 1 else None
        return where.place if where is not None and where.array == program.WORK else None

    def _number(self, node: Node) -> int:
        """The place of a piece filled with one scalar."""
        if node.value is not None:
            return self._layout.filled(node, self._length)
        place, where = self._fresh(), self._layout.where_scalar(node)  # it stays from piece to piece
        if where.array == program.WORK:
            self.rows.append((opcodes.FILL, place, where.place, 0, 0))
        else:
            _, table = self._layout.table(where, Geometry(0, (0,)), (math.prod(self._group[1]),))
            self.rows.append((opcodes.LOAD_VIEW, place, where.array, table, 0))
        return place

    def _store(self, output: Output) -> None:
        how, place, geometry, node, _ = output
        piece = self._piece(node)
        if piece >= program.IN_MEMORY:  # a store takes a piece from a register
            register = self._register()
            self.rows.append((opcodes.opcode("copy"), register, piece, piece, piece))
            piece = self._at[node.index] = register
            self._own.add(node.index)
        if is_line(geometry, node.shape):
            self.rows.append((opcodes.STORE, piece, place.array, place.place + geometry.offset, how))
        else:
            by_places, table = self._layout.table(place, geometry, node.shape)
            self.rows.append((opcodes.STORE_AT if by_places else opcodes.STORE_VIEW, piece, place.array, table, how))


def _due(outputs: list[Output]) -> dict[int, list[Output]]:
    """The outputs to store after each node, by its index: a batch is stored after the last of its nodes."""
    batches: dict[int, list[Output]] = defaultdict(list)
    due: dict[int, list[Output]] = defaultdict(list)
    for output in outputs:
        batches[output.batch].append(output)
    for batch in batches.values():
        due[max(output.node.index for output in batch)] += batch
    return due


def _ends(members: dict[int, Node], due: dict[int, list[Output]]) -> dict[int, list[int]]:
    """The nodes that are not needed any more after each node, by index."""
    last = {number: number for number in members}
    for number in sorted({*members, *due}):
        if number in members:
            last |= {i.index: number for i in members[number].inputs}
        last |= {output.node.index: number for output in due.get(number, [])}
    ends = defaultdict(list)
    for number, end in last.items():
        ends[end].append(number)
    return ends
