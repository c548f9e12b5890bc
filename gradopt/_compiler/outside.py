"""What a user's function takes from outside: arrays and floats are data of each call, the rest is part of the code.

Numba freezes the globals and closures of a function at the values that they have when it is compiled. Here arrays,
floats and tuples of these become an argument instead: a buffer that is filled again has its new numbers at the next
call, and functions with the same code share their machine code, whatever data they close over.

Compiled, a function f(x, ...) with such data is f((x, data), ...): see `rewriting.py`.
"""

from __future__ import annotations

import dis
import enum
import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from numba.extending import is_jitted

_BY_VALUE = (bool, int, str, bytes, type(None), np.bool_, np.integer, np.dtype, enum.Enum)

# Modules whose attributes are functions and constants.
_FIXED = {"numpy", "scipy", "numba", "gradopt", "builtins", *sys.stdlib_module_names}


class Outside(NamedTuple):
    """What a function takes from outside.

    Attributes
    ----------
    data : tuple
        Arrays, floats and tuples of these; for each function that it calls, the data of that function.
    slots : dict
        Where the function takes each of them from -> its place in `data`.
    key : Any
        A key for everything else that its machine code depends on. It keeps no data alive.
    certain : bool
        Whether functions with equal keys have equal machine code; otherwise they only fail to compile alike.
    """

    data: tuple[Any, ...]
    slots: dict[Any, int]
    key: Any
    certain: bool


def outside_of(function: Any, inside: tuple[Any, ...] = ()) -> Outside:
    """What a function takes from outside; functions that are not plain Python take nothing, as far as one can see."""
    if not isinstance(function, FunctionType) or is_jitted(function) or function in inside:
        key, certain = _key(function)
        return Outside((), {}, key, certain)
    inside = (*inside, function)
    data: list[Any] = []
    slots: dict[Any, int] = {}
    keys: list[Any] = [function.__code__]
    all_certain = True
    for where, value in _taken(function):
        if is_plain(value) and value not in inside:
            part = outside_of(value, inside)
            keys.append((where, part.key))
            all_certain = all_certain and part.certain
            if not part.data:
                continue
            value = part.data
        elif not _is_data(value):
            key, certain = _key(value)
            keys.append((where, key))
            all_certain = all_certain and certain
            continue
        keys.append((where, "data"))
        slots[where] = len(data)
        data.append(value)
    return Outside(tuple(data), slots, tuple(keys), all_certain)


def is_plain(value: Any) -> bool:
    """Whether a value is a function in plain Python."""
    return isinstance(value, FunctionType) and not is_jitted(value)


def for_compiler(function: FunctionType, replaced: Callable[[Any], Any], without_data: bool = True) -> FunctionType:
    """A copy of a function for the compiler, which holds none of its data; `replaced` makes the functions it calls."""
    slots = outside_of(function).slots if without_data else {}

    def seen(where: Any, value: Any) -> Any:
        if is_plain(value):
            return replaced(value)
        if isinstance(value, ModuleType) and any(("attribute", where, name) in slots for name in vars(value)):
            return Module(value)
        return _DATA if where in slots else value

    code = function.__code__
    scope = {"__builtins__": function.__globals__.get("__builtins__"), "__name__": function.__module__}
    for name in _names_in(code, _GLOBALS) & function.__globals__.keys():
        scope[name] = seen(("global", name), function.__globals__[name])
    cells = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        cells.append(cell)
        with suppress(ValueError):  # still empty
            cells[-1] = CellType(seen(("closure", name), cell.cell_contents))
    first = code.co_argcount - len(function.__defaults__ or ())
    defaults = tuple(
        None if ("default", first + i) in slots else value for i, value in enumerate(function.__defaults__ or ())
    )
    copy = FunctionType(code, scope, function.__name__, defaults or None, tuple(cells))
    copy.__kwdefaults__, copy.__module__ = function.__kwdefaults__, function.__module__
    copy.__dict__["outside_slots"] = slots
    return copy


class Module:
    """A stand-in for a module some of whose attributes are data."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module


_GLOBALS, _ATTRIBUTES = frozenset({"LOAD_GLOBAL", "LOAD_NAME"}), frozenset({"LOAD_ATTR", "LOAD_METHOD"})

_DATA = object()  # a stand-in for data, which the compiler can't use


def _taken(function: FunctionType) -> Iterator[tuple[Any, Any]]:
    """What the code, and the functions inside it, take from outside, in a fixed order: (where it stands, value).

    A closure's variable and a global may have one name: the code can use the second as the name of an attribute.
    """
    code = function.__code__
    first = code.co_argcount - len(function.__defaults__ or ())
    for place, default in enumerate(function.__defaults__ or ()):
        yield ("default", first + place), default
    for name, default in sorted((function.__kwdefaults__ or {}).items()):
        yield ("keyword", name), default
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            yield ("closure", name), cell.cell_contents
            yield from _attributes(("closure", name), cell.cell_contents, code)
    for name in sorted(_names_in(code, _GLOBALS)):
        if name in function.__globals__:
            yield ("global", name), function.__globals__[name]
            yield from _attributes(("global", name), function.__globals__[name], code)


def _attributes(where: Any, module: Any, code: CodeType) -> Iterator[tuple[Any, Any]]:
    """The attributes of a user's module that the code may use, other than functions and modules."""
    if isinstance(module, ModuleType) and module.__name__.split(".")[0] not in _FIXED:
        for name in sorted(_names_in(code, _ATTRIBUTES) & vars(module).keys()):
            yield ("attribute", where, name), vars(module)[name]


@functools.lru_cache(1024)
def _names_in(code: CodeType, operations: frozenset[str]) -> frozenset[str]:
    """The names that the code of a function, and of the functions inside it, loads by these operations."""
    own = frozenset(step.argval for step in dis.get_instructions(code) if step.opname in operations)
    return own.union(
        *(_names_in(constant, operations) for constant in code.co_consts if isinstance(constant, CodeType))
    )


def _is_data(value: Any) -> bool:
    if isinstance(value, tuple):
        numbers = all(_is_data(item) or isinstance(item, (bool, int)) for item in value)
        return numbers and any(map(_is_data, value))
    if isinstance(value, np.ndarray):
        return type(value) in (np.ndarray, np.memmap) and value.dtype.kind in "biufc"
    return type(value) in (float, complex, np.float64, np.float32, np.complex128, np.complex64)


def _key(value: Any) -> tuple[Any, bool]:
    """A key for a value that becomes part of the code, and whether equal keys mean equal code."""
    if isinstance(value, _BY_VALUE):
        return (type(value), repr(value)), True
    if isinstance(value, tuple):
        keys, certain = zip(*map(_key, value), strict=True) if value else ((), ())
        return (type(value), keys), all(certain)
    if isinstance(value, BuiltinFunctionType):
        return value, True
    try:
        return _Same(value), True
    except TypeError:  # no weak references to it
        return type(value), False


class _Same:
    """A wrapper that is equal only to a wrapper of the same object, which it does not keep alive."""

    def __init__(self, value: Any) -> None:
        self._value, self._hash = weakref.ref(value), id(value)

    def __eq__(self, other: object) -> bool:
        value = self._value()
        return isinstance(other, _Same) and value is not None and other._value() is value

    def __hash__(self) -> int:
        return self._hash
