"""Functions and tuples in place of their addresses: a loop is compiled again for each function that it receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradopt._compiler.kernel import COMPILING, portable
from gradopt._compiler.value_types import require_plain, type_of


def address_of(dispatcher: Any, argument_types: tuple[Any, ...]) -> Any:
    """The function itself, which `call_at` calls."""
    return dispatcher


@portable
def call_at(function, arguments):
    """Call a function that `address_of` returned."""
    return function(*arguments)


class TupleInMemory:
    """A tuple of numbers, arrays, None, and tuples of these; its address is the tuple itself.

    Raises
    ------
    TypeError
        If it contains anything else.
    """

    def __init__(self, value: tuple[Any, ...]) -> None:
        self.value = self.address = value
        if COMPILING:
            self.type: Any = type_of(value)
            require_plain(self.type)


def unpacking(packed_type: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The function with which compiled code reads what `TupleInMemory.address` is."""
    return _itself  # type: ignore[no-any-return]


@portable
def _itself(value):
    return value
