"""The assembly of a machine program from a graph."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gradopt._tape.graph.evaluate import HOW
from gradopt._tape.graph.matrices import MATRICES
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.paths import Guard
from gradopt._tape.graph.reverse import needed
from gradopt._tape.lower import layout
from gradopt._tape.lower.groups import Group, Grouping, group_order
from gradopt._tape.lower.layout import Layout, Place
from gradopt._tape.lower.pieces import PieceRows
from gradopt._tape.machine import opcodes, program
from gradopt._tape.machine.matrices import OPERATIONS

_ORDERS = {"order": program.ORDER, "taken": program.TAKEN, "put_back": program.PUT_BACK}


class Assembly:
    """The program for some results, each beside a vector, one for each path of a function.

    Parameters
    ----------
    x : Node
    branches : bool
        Whether the function has branches: then a run tries one path after the other, from the last successful one on,
        and notes it where none is that of x.

    Attributes
    ----------
    rows, stages : list
        As in `Program`.
    layout : Layout
    grouping : Grouping
        Of the latest path.
    guards : list of list of int
        For each path, the places of its guards in `work`.
    memory : int
        With branches, the place in `work` of the number of the stage with which to begin; of whether an x was on no
        path; and of the first such x, (n,).
    """

    def __init__(self, x: Node, *, branches: bool = False) -> None:
        self.layout = Layout(x)
        self.rows: list[tuple[int, ...]] = []
        self.stages: list[tuple[int, int, int, int, int]] = []
        self.guards: list[list[int]] = []
        self._brought: dict[Place, int] = {}  # places of scalars in other arrays -> their copies in `work`
        self._operands: dict[int, int] = {}  # scalars that lie in `work` -> their places
        if self.layout.x_is_copied:
            self._stage(program.START, x.size)
        self.memory = self.layout.space(x.size + 2) if branches else -1
        if branches:
            self._stage(program.SELECT, self.memory)
        self._first = len(self.stages)

    @property
    def all_stages(self) -> list[tuple[int, int, int, int, int]]:
        """The stages with their end."""
        end = (program.UNKNOWN, self.memory, self._first, len(self.guards), 0)
        return [*self.stages, end] if self.memory >= 0 else self.stages

    def add(self, result: Node, outputs: Node, guards: Sequence[Guard] = ()) -> None:
        """Assemble the result of a path, and the vector that a run writes beside it."""
        first = len(self.stages)
        self.layout.begin_path()
        self.grouping = Grouping(self.layout)
        self._operands.clear()
        self._brought.clear()
        nodes = [guard.node for guard in guards]
        self.grouping.compute_scalars(needed(result, outputs, *nodes), outputs)
        self.grouping.write(outputs, Place(program.GRAD, 0))
        places = [self._answer(node) for node in nodes]
        answer = self._answer(result)
        self._emit()
        self.guards.append(places)
        if self.memory < 0:
            self._stage(program.RESULT, answer)
            return
        at = len(self.layout.tables)
        for place, guard in zip(places, guards, strict=True):
            self.layout.tables += [place, int(guard.outcome)]
        self.layout.tables += [len(places), self.memory]
        self._stage(program.TEST, at, answer, first, at + 2 * len(places))

    def _stage(self, kind: int, *numbers: int) -> None:
        self.stages.append((kind, *numbers, *[0] * (4 - len(numbers))))  # type: ignore[arg-type]

    def _answer(self, result: Node) -> int:
        """The place in `work` of the result."""
        where = self.layout.where_scalar(result)
        if where.array == program.WORK:
            self.grouping.require(result)
            return where.place
        place = self.layout.space(1)
        self.grouping.write(result, Place(program.WORK, place))
        return place

    def _emit(self) -> None:
        grouping = self.grouping
        groups = sorted({*grouping.members, *grouping.outputs}, key=group_order)
        by_level: dict[int, list[Group]] = defaultdict(list)
        for group in groups:
            by_level[group[0]].append(group)
        for level in sorted({*by_level, *grouping.clearings, *grouping.others}):
            for how, place, size in grouping.clearings.get(level, []):
                self._stage(program.CLEAR, place.place, place.array, size, how)
            for group in by_level.get(level, []):
                self._emit_group(group)
            for node in grouping.others.get(level, []):
                self._emit_other(node)

    def _emit_group(self, group: Group) -> None:
        first, shape = len(self.rows), group[1]
        if shape == ():
            self._emit_scalars(group)
            self._stage(program.SCALARS, first, len(self.rows))
            return
        size = math.prod(shape)
        pieces = -(-size // layout.PIECE)
        length = size if pieces == 1 else min(-(-size // pieces // 8) * 8 + 8, layout.PIECE)
        self.rows += PieceRows(self.layout, self.grouping, group, length).rows
        self._stage(program.PIECES, first, len(self.rows), size, length)

    def _emit_scalars(self, group: Group) -> None:
        members, operand, rows = self.grouping.members.get(group, {}), self._operand, self.rows
        for number in sorted(members):
            node = members[number]
            inputs = node.inputs
            a = operand(inputs[0])
            b = operand(inputs[1]) if len(inputs) > 1 else 0
            c = operand(inputs[2]) if len(inputs) > 2 else 0
            rows.append((opcodes.opcode(node.operation), self.layout.own_place(node), a, b, c))
        for how, place, geometry, node, _ in self.grouping.outputs.get(group, []):
            source, target = self._operand(node), place.place + geometry.first
            if how == program.REPLACE:
                self.rows.append((opcodes.PUT, source, place.array, target, 0))
            elif how == program.COMBINE_ADD:
                self.rows.append((opcodes.ADD_TO, source, place.array, target, 0))
            else:  # never into `grad`
                self.rows.append((opcodes.opcode(HOW[how]), target, target, source, 0))

    def _operand(self, node: Node) -> int:
        """The place in `work` of a scalar; adds a row that copies it there if necessary."""
        place = self._operands.get(node.index)
        if place is not None:
            return place
        where = self.layout.where_scalar(node)
        if where.array == program.WORK:
            self._operands[node.index] = where.place
            return where.place
        brought = self._brought.get(where)
        if brought is None:
            brought = self._brought[where] = self.layout.space(1)
            self.rows.append((opcodes.GET, brought, *where, 0))
        return brought

    def _emit_other(self, node: Node) -> None:
        at, place = len(self.layout.tables), self.layout.own_place(node)
        if node.operation == "matmul":
            a, b = node.inputs
            turned_b = self._as_matrix(b)
            (*stack, m, k), n = a.shape, b.shape[-1]
            scratch = self.layout.space(k * n) if turned_b[2] and m > 1 and n > 1 else 0
            self.layout.tables += [place, m, k, n, *self._as_matrix(a), *turned_b, scratch, math.prod(stack)]
            self._stage(program.MATMUL, at)
        elif node.operation in MATRICES:
            count, rows, columns = next(i.shape for i in node.inputs[::-1] if len(i.shape) == 3)
            places = [number for i in node.inputs for number in self._as_matrix(i)[:2]]
            number = OPERATIONS.index(node.operation)
            self.layout.tables += [number, place, count, rows, columns, _sides(node.extra), *(places + [0] * 4)[:6]]
            self._stage(program.MATRICES, at)
        elif node.operation in _ORDERS:
            self.layout.tables += [place, node.shape[0], *self._line(node.inputs[0]), *self._line(node.inputs[-1])]
            self.layout.tables += [node.shape[1], self.layout.space(node.shape[1])]
            self._stage(_ORDERS[node.operation], at)
        else:
            length = node.shape[-1]
            self.layout.tables += [place, node.size // length, length, *self._as_lines(node.inputs[0])]
            self._stage(program.CUMSUM if node.operation == "cumsum" else program.OTHER_PRODUCTS, at)

    def _as_matrix(self, node: Node) -> list[int]:
        """The array and place of a matrix, and whether it is stored transposed."""
        where = self.layout.where(node)
        if where is not None:
            return [*where, 0]
        base = self.layout.base(node)
        return [base.array, base.place + node.extra.offset, 1]

    def _line(self, node: Node) -> list[int]:
        """The length of an input's lines, and where they are."""
        return [node.shape[1], *self._as_lines(node)]

    def _as_lines(self, node: Node) -> list[int]:
        """The array and place of an input, the stride between lines, and that between elements."""
        where = self.layout.where(node)
        if where is not None:
            return [*where, node.shape[-1], 1]
        base, (offset, strides, _) = self.layout.base(node), node.extra
        return [base.array, base.place + offset, strides[0] if len(strides) == 2 else 0, strides[-1]]


def _sides(extra: Any) -> int:
    """Three truths, or one, as a number."""
    return sum(bool(truth) << i for i, truth in enumerate(extra if isinstance(extra, tuple) else (extra,)))
