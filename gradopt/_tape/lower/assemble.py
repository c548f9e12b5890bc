"""From a graph to a program for the machine."""

from __future__ import annotations

import math
from collections import defaultdict

from gradopt._tape.graph.evaluate import HOW
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.reverse import needed
from gradopt._tape.lower import layout as memory
from gradopt._tape.lower.groups import Group, Schedule, group_order
from gradopt._tape.lower.layout import Memory, Place
from gradopt._tape.lower.pieces import PieceRows
from gradopt._tape.machine import opcodes, program


class Plan:
    """The program for a result and its gradient.

    Attributes
    ----------
    rows, stages : list
        As in `Program`.
    memory : Memory
    schedule : Schedule
    """

    def __init__(self, result: Node, gradient: Node) -> None:
        x = result.graph.x
        self.memory = Memory(x)
        self.schedule = Schedule(self.memory)
        self.rows: list[tuple[int, ...]] = []
        self.stages: list[tuple[int, int, int, int, int]] = []
        self._brought: dict[Place, int] = {}  # numbers of other arrays -> where they are in `work`

        if self.memory.x_is_copied:
            self._stage(program.START, x.size)
        self.schedule.compute_numbers(needed(result, gradient), gradient)
        self.schedule.write(gradient, Place(program.GRAD, 0))
        answer = self._answer(result)
        self._emit()
        self._stage(program.RESULT, answer)

    def _stage(self, kind: int, *numbers: int) -> None:
        self.stages.append((kind, *numbers, *[0] * (4 - len(numbers))))  # type: ignore[arg-type]

    def _answer(self, result: Node) -> int:
        """The place in `work` where the result will be."""
        where = self.memory.where_number(result)
        if where.array == program.WORK:
            self.schedule.require(result)
            return where.place
        place = self.memory.space(1)
        self.schedule.write(result, Place(program.WORK, place))
        return place

    def _emit(self) -> None:
        schedule = self.schedule
        groups = sorted({*schedule.members, *schedule.outputs}, key=group_order)
        by_level: dict[int, list[Group]] = defaultdict(list)
        for group in groups:
            by_level[group[0]].append(group)
        for level in sorted({*by_level, *schedule.clearings, *schedule.others}):
            for how, place, size in schedule.clearings.get(level, []):
                self._stage(program.CLEAR, place.place, place.array, size, how)
            for group in by_level.get(level, []):
                self._emit_group(group)
            for node in schedule.others.get(level, []):
                self._emit_other(node)

    def _emit_group(self, group: Group) -> None:
        first, shape = len(self.rows), group[1]
        if shape == ():
            self._emit_numbers(group)
            self._stage(program.NUMBERS, first, len(self.rows))
            return
        size = math.prod(shape)
        pieces = -(-size // memory.PIECE)
        length = size if pieces == 1 else min(-(-size // pieces // 8) * 8 + 8, memory.PIECE)
        self.rows += PieceRows(self.memory, self.schedule, group, length).rows
        self._stage(program.PIECES, first, len(self.rows), size, length)

    def _emit_numbers(self, group: Group) -> None:
        members = self.schedule.members.get(group, {})
        for number in sorted(members):
            node = members[number]
            places = [self._operand(i) for i in node.inputs]
            places += [0] * (3 - len(places))
            self.rows.append((opcodes.opcode(node.operation), self.memory.own_place(node), *places))
        for how, place, geometry, node, _ in self.schedule.outputs.get(group, []):
            source, target = self._operand(node), place.place + geometry.first
            if how == program.REPLACE:
                self.rows.append((opcodes.PUT, source, place.array, target, 0))
            elif how == program.COMBINE_ADD:
                self.rows.append((opcodes.ADD_TO, source, place.array, target, 0))
            else:  # never of `grad`
                self.rows.append((opcodes.opcode(HOW[how]), target, target, source, 0))

    def _operand(self, node: Node) -> int:
        """The place in `work` of a number; with a row that brings it there, if need be."""
        where = self.memory.where_number(node)
        if where.array == program.WORK:
            return where.place
        brought = self._brought.get(where)
        if brought is None:
            brought = self._brought[where] = self.memory.space(1)
            self.rows.append((opcodes.GET, brought, *where, 0))
        return brought

    def _emit_other(self, node: Node) -> None:
        at, place = len(self.memory.tables), self.memory.own_place(node)
        if node.operation == "matmul":
            a, b = node.inputs
            turned_b = self._as_matrix(b)
            (m, k), n = a.shape, b.shape[1]
            scratch = self.memory.space(b.size) if turned_b[2] and m > 1 and n > 1 else 0
            self.memory.tables += [place, m, k, n, *self._as_matrix(a), *turned_b, scratch]
            self._stage(program.MATMUL, at)
        else:
            length = node.shape[-1]
            self.memory.tables += [place, node.size // length, length, *self._as_lines(node.inputs[0])]
            self._stage(program.CUMSUM if node.operation == "cumsum" else program.OTHER_PRODUCTS, at)

    def _as_matrix(self, node: Node) -> list[int]:
        """The array, the place, and whether the matrix is transposed there."""
        where = self.memory.where(node)
        if where is not None:
            return [*where, 0]
        base = self.memory.base(node)
        return [base.array, base.place + node.extra.offset, 1]

    def _as_lines(self, node: Node) -> list[int]:
        """The array, the place, and how far apart lines and elements are."""
        where = self.memory.where(node)
        if where is not None:
            return [*where, node.shape[-1], 1]
        base, (offset, strides, _) = self.memory.base(node), node.extra
        return [base.array, base.place + offset, strides[0] if len(strides) == 2 else 0, strides[-1]]
