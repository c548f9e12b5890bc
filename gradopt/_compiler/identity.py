"""Keys for users' functions: equal if everything that the machine code depends on is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any


def identity(value: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A key for what a compiled function depends on: its code, defaults, closure and globals, and those of the
    functions among them. Numbers and strings count by value, everything else by identity; the key keeps it alive.
    """
    if isinstance(value, (bool, int, float, complex, str, type(None))):
        return type(value), repr(value)
    if not isinstance(value, FunctionType) or value in inside:
        return _ById(value)
    inside = (*inside, value)
    return value.__code__, tuple((where, identity(item, inside)) for where, item in _outside(value))


def _outside(function: FunctionType) -> Iterator[tuple[Any, Any]]:
    """What the code, and the functions inside it, take from outside, in a fixed order: (where it stands, value).

    A closure's variable and a global may have one name: the code can use the second as the name of an attribute.
    """
    for place, default in enumerate(function.__defaults__ or ()):
        yield ("default", place), default
    for name, default in sorted((function.__kwdefaults__ or {}).items()):
        yield ("default", name), default
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            yield ("closure", name), cell.cell_contents
    for name in sorted(names_in(function.__code__)):
        if name in function.__globals__:
            yield ("global", name), function.__globals__[name]


def names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes in the code of a function, and of the functions inside it."""
    inner = (names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


class _ById:
    """A wrapper that is equal only to a wrapper of the same object."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
