"""What a traced function found outside itself, and whether another call would find the same."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# The steps from a function to something that it finds, each a kind and a key.
Path = tuple[tuple[str, Any], ...]

_SIMPLE = (int, float, complex, bool, str, bytes, type(None), EllipsisType)

# The largest array that is compared element by element.
_LARGEST = 100_000


def is_simple(value: Any) -> bool:
    """Whether a value is a number, a text or the like, which means itself."""
    return type(value) in _SIMPLE or isinstance(value, np.generic)


class Lookup(NamedTuple):
    """A value that a function found."""

    path: Path
    how: str  # how another one is compared with it
    value: Any


class Lookups:
    """What a traced function found outside itself, with the way to it.

    Attributes
    ----------
    arrays : dict
        The name of each argument that the graph has for an array -> the way to it, and its numbers.
    complete : bool
        Whether all was found in places where another function of the same code can be asked.
    recording : bool
        Whether what is found is noted.
    """

    def __init__(self) -> None:
        self.found: list[Lookup] = []
        self._names: dict[
            int, tuple[NDArray[Any], str]
        ] = {}  # id of an array -> the array, which stays alive, its name
        self.arrays: dict[str, tuple[Path, NDArray[Any]]] = {}
        self.complete = self.recording = True

    def add(self, path: Path | None, how: str, value: Any) -> None:
        """Note a value; path : None if it can't be found again."""
        if not self.recording:
            return
        large = how == "equal" and value.size > _LARGEST
        if path is None or large or (how == "equal" and value.dtype.hasobject):
            self.complete = False
        else:
            self.found.append(Lookup(path, how, value.copy() if how == "equal" else value))

    def argument(self, path: Path | None, array: NDArray[Any], copy: NDArray[Any]) -> tuple[str, NDArray[Any]]:
        """The name of the graph's argument for an array, and the array as it was found first; copy : as it is now."""
        known = self._names.get(id(array))
        if known is not None:
            return known[1], self.arrays[known[1]][1]
        name = f"outside.{len(self.arrays)}"
        self._names[id(array)] = array, name
        self.arrays[name] = (path or (), copy)
        self.complete = self.complete and path is not None
        return name, copy

    def still_hold(self, function: Any) -> bool:
        """Whether the function finds what was found before, as far as that can be asked; its arrays aside."""
        try:
            return all([_agrees(lookup, function) for lookup in self.found])
        except Exception:
            return False

    def forget(self) -> None:
        """Let go of the arrays that were found, of which there are copies."""
        self._names.clear()

    def again(self, function: Any) -> dict[str, NDArray[Any]] | None:
        """The arrays that another function of the same code finds; None if it finds something else beside them."""
        try:
            if not all([_agrees(lookup, function) for lookup in self.found]):
                return None
            arrays = {name: follow(function, path) for name, (path, _) in self.arrays.items()}
        except Exception:
            return None
        for name, (_, before) in self.arrays.items():
            array = arrays[name]
            if type(array) is not np.ndarray or array.shape != before.shape or array.dtype != before.dtype:
                return None
        return arrays


def _agrees(lookup: Lookup, function: Any) -> bool:
    if lookup.how == "absent":
        *way, (_, name) = lookup.path
        return name not in follow(function, tuple(way)).__globals__
    value = follow(function, lookup.path)
    return _COMPARISONS[lookup.how](value, lookup.value, function)


def _same(value: Any, before: Any, function: Any) -> bool:
    return type(value) is type(before) and (value == before or (value != value and before != before))


_COMPARISONS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "same": _same,
    "is": lambda value, before, function: value is before,
    "code": lambda value, before, function: value.__code__ is before,
    "length": lambda value, before, function: len(value) == before,
    "equal": lambda value, before, function: value.dtype == before.dtype and np.array_equal(value, before),
    "alias": lambda value, before, function: value is follow(function, before),
}


def follow(function: Any, path: Path) -> Any:
    """What a function finds at the end of a path."""
    for kind, key in path:
        function = _STEPS[kind](function, key)
    return function


_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "global": lambda function, name: function.__globals__[name],
    "cell": lambda function, i: function.__closure__[i].cell_contents,
    "default": lambda function, i: function.__defaults__[i],
    "keyword": lambda function, name: function.__kwdefaults__[name],
    "item": lambda container, key: container[key],
    "attribute": getattr,
}
