"""The memory of a traced array: what it shares with other arrays, once one of them is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.elements import Elements, Ids


class Array(Protocol):
    """The part of a traced array that its memory changes."""

    memory: Memory | None
    latest: Node

    @property
    def dtype(self) -> Any: ...


class Owner:
    """What all views of one written array share."""

    __slots__ = ("dtype", "writes")

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.writes = dtype, 0


class Memory:
    """The memory of an array that was written, or that may be a view of an array which is written later.

    Until the array from which it was taken is written, a view is an array like any other. Then NumPy tells whether it
    was a view at all: the move that made it is applied to the element numbers of the array.

    Attributes
    ----------
    source, move
        The array from which this one was taken, and how; None if it was not, or once that is settled.
    ids : int array or None
        The numbers of the elements (see `elements.py`), once the array was written.
    """

    __slots__ = ("elements", "ids", "move", "owner", "seen", "source")

    def __init__(
        self,
        elements: Elements,
        source: Any = None,
        move: Callable[[Ids], Any] | None = None,
        ids: Ids | None = None,
        owner: Owner | None = None,
    ) -> None:
        self.elements, self.source, self.move, self.ids, self.owner, self.seen = elements, source, move, ids, owner, -1

    def settle(self) -> None:
        """Share the memory of the array from which this one was taken, if that was written and this is a view."""
        if self.source is None or self.source.memory is None:
            return
        memory = self.source.memory
        memory.settle()
        if memory.ids is None:
            return
        ids = self.move(memory.ids)  # type: ignore[misc]
        if isinstance(ids, np.ndarray) and np.may_share_memory(ids, memory.ids):
            self.ids, self.owner = ids, memory.owner
        self.source = self.move = None

    def refresh(self, array: Array) -> None:
        """Bring the array's node up to date."""
        self.settle()
        if self.owner is not None and self.seen != self.owner.writes:
            array.latest = self.elements.node(self.ids)  # type: ignore[arg-type]
            self.seen = self.owner.writes

    def own(self, array: Array) -> None:
        """Make the array one that can be written."""
        self.settle()
        if self.source is not None:
            if self.source.memory is None:
                self.source.memory = Memory(self.elements)
            self.source.memory.own(self.source)
            self.settle()
        if self.ids is None:
            self.ids, self.owner, self.seen = np.array(self.elements.ids(array.latest)), Owner(array.dtype), 0
