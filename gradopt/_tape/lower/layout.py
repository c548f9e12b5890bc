"""The memory layout of a tape: places in `work` and in `constants`, and tables of geometries."""

from __future__ import annotations

from typing import Any, NamedTuple

from gradopt._tape.graph.geometry import Geometry, Shape, collapsed, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.machine import program

# The most elements of a piece, and of a known array that is kept in `work` and not in `constants`.
PIECE = 512

# Arrays of at least so many elements begin at a multiple of it: at a cache line.
LINE = 16

# Up to this length x is copied to `work`, where rows can use it directly.
COPIED = 4096


def _next_line(place: int) -> int:
    return -(-place // LINE) * LINE


class Known(NamedTuple):
    """The place of a node that does not depend on x.

    array : program.WORK or program.CONSTANTS
    place : int
    node : Node
    times : int, how often a scalar is repeated there; else 1
    """

    array: int
    place: int
    node: Node
    times: int


class Place(NamedTuple):
    """A place in memory: the array, and the index of the first element there."""

    array: int
    place: int


class Layout:
    """The places of the nodes of one tape.

    Attributes
    ----------
    known : list of Known
        The contents of `constants`, and those of `work` before the first run.
    work_size, constants_size : int
    tables : list of int
        As in `Program`.
    x_is_copied : bool
        Whether x is copied to the beginning of `work`.
    """

    def __init__(self, x: Node) -> None:
        self.known: list[Known] = []
        self.work_size = self.constants_size = 0
        self.tables: list[int] = []
        self._known_places: dict[int, Place] = {}  # of nodes with a value
        self._places: dict[int, Place] = {}  # of the other nodes
        self._numbers: dict[int, Place] = {}  # of scalars, views included
        self._filled: dict[tuple[int, int], int] = {}  # known scalars and their number of copies -> their place
        self._registers: list[int] = []  # places of pieces that are free
        self._geometries: dict[Any, int] = {}
        self.x_is_copied = x.size <= COPIED
        self._x = Place(program.WORK, self.space(x.size)) if self.x_is_copied else Place(program.X, 0)

    def begin_path(self) -> None:
        """Forget where nodes are that another path computes."""
        self._places.clear()
        self._numbers.clear()

    def put(self, node: Node, place: Place) -> None:
        """Set the place of a node."""
        self._places[node.index] = place

    def space(self, size: int) -> int:
        """Reserve `size` numbers in `work`; returns their place."""
        place = _next_line(self.work_size) if size >= LINE else self.work_size
        self.work_size = place + size
        if self.work_size > program.PLACES:
            raise MemoryError("the tape needs more than 2**30 numbers of memory")
        return place

    def own_place(self, node: Node) -> int:
        """The place in `work` of a node that is kept as a whole."""
        where = self._places.get(node.index)
        if where is None:
            where = self._places[node.index] = Place(program.WORK, self.space(node.size))
        return where.place

    def where(self, node: Node) -> Place | None:
        """The place where the elements of a node lie one after the other; None if they do not, as in many views."""
        if node.value is not None and not (node.operation == "view" and node.size > PIECE):
            # Paths share large arrays: they are copied to `constants` once.
            key = node.index if node.size <= PIECE else id(node.value)
            where = self._known_places.get(key)
            if where is None:
                small = node.size <= PIECE
                where = (
                    Place(program.WORK, self.space(node.size))
                    if small
                    else Place(program.CONSTANTS, self.constants_size)
                )
                self.constants_size += 0 if small else _next_line(node.size)
                self._known_places[key] = where
                self.known.append(Known(*where, node, 1))
            return where
        if node.operation == "x":
            return self._x
        if node.operation == "view":
            geometry = node.extra
            lengths = [length for length in node.shape if length > 1]
            if geometry.positions is not None:
                return None
            strides = [s for s, length in zip(geometry.strides, node.shape, strict=True) if length > 1]
            if tuple(strides) != steps(tuple(lengths)):
                return None
            base = self.base(node)
            return base._replace(place=base.place + geometry.offset)
        if node.index in self._places:
            return self._places[node.index]
        return Place(program.WORK, self.own_place(node))

    def table(self, base: Place, geometry: Geometry, shape: Shape) -> tuple[bool, int]:
        """(whether the geometry is a list of places, its index in `tables`)."""
        key = base.place, geometry, shape
        known = self._geometries.get(key)
        if known is None:
            known = self._geometries[key] = len(self.tables)
            if geometry.positions is not None:
                self.tables += (geometry.positions.places.reshape(-1) + base.place).tolist()
            else:
                axes = collapsed(shape, geometry.strides or ())
                self.tables += [base.place + geometry.offset, len(axes)]
                for length, stride in axes:
                    self.tables += [length, stride]
        return geometry.positions is not None, known

    def base(self, view: Node) -> Place:
        """The place of the node that `view` is a view of."""
        base = self.where(view.inputs[0])
        assert base is not None
        return base

    def where_scalar(self, node: Node) -> Place:
        """The place of a scalar."""
        found = self._numbers.get(node.index)
        if found is None:
            found = self.where(node)
            if found is None:  # a view by positions
                base = self.base(node)
                found = base._replace(place=base.place + node.extra.first)
            self._numbers[node.index] = found
        return found

    def filled(self, node: Node, times: int) -> int:
        """The place in `work` where a known scalar is repeated `times` times."""
        key = node.index, times
        if key not in self._filled:
            self._filled[key] = self.space(times)
            self.known.append(Known(program.WORK, self._filled[key], node, times))
        return self._filled[key]

    def register(self) -> int:
        """A place for a piece, reserved until it is released."""
        return self._registers.pop() if self._registers else self.space(PIECE)

    def release(self, registers: list[int]) -> None:
        """Make these places of pieces available again."""
        self._registers += registers
