"""What a user's function takes from outside: arrays and floats are data of each call, the rest is part of the code.

Numba freezes the globals and closures of a function at the values that they have when it is compiled. Here arrays,
floats and tuples of these become an argument instead: a buffer that is filled again has its new numbers at the next
call, and functions with the same code share their machine code, whatever data they close over.

Compiled, a function f(x, ...) with such data is f((x, data), ...). `TakesOutside` is the compiler that takes this pair
apart, reads each name from it, and hands functions that f calls their own part.
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
from numba.core import ir, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.errors import UnsupportedError
from numba.core.ir_utils import build_definitions, get_definition, guard
from numba.core.untyped_passes import InlineClosureLikes, IRProcessing
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


def without_data(function: FunctionType, replaced: Callable[[Any], Any]) -> FunctionType:
    """A copy of a function for the compiler, which holds none of its data; `replaced` makes the functions it calls."""
    slots = outside_of(function).slots

    def seen(where: Any, value: Any) -> Any:
        if is_plain(value):
            return replaced(value)
        if isinstance(value, ModuleType) and any(("attribute", where, name) in slots for name in vars(value)):
            return _Module(value)
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


class _Module:
    """A stand-in for a module some of whose attributes are data."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module


_GLOBALS, _ATTRIBUTES = frozenset({"LOAD_GLOBAL", "LOAD_NAME"}), frozenset({"LOAD_ATTR", "LOAD_METHOD"})

_PAIR = "$with_data"  # how the names of arguments begin that have been given their data

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


@register_pass(mutates_CFG=False, analysis_only=False)
class _ReadData(FunctionPass):  # type: ignore[misc]
    """Replace what a function takes from outside by reads from its first argument."""

    _name: Any = "gradopt_read_data"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        slots = getattr(state.func_id.func, "outside_slots", {})
        if not slots:
            return False
        ir_ = state.func_ir
        self._hand_over(state, slots)
        for block in ir_.blocks.values():
            body: list[Any] = []
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    self._rewrite(state, slots, block.scope, statement, body)
                else:
                    body.append(statement)
            block.body = body
        ir_._definitions = build_definitions(ir_.blocks)
        return True

    def _hand_over(self, state: Any, slots: Any) -> None:
        """Take the first argument apart. (The second time, too: data that was not used yet has been removed.)"""
        _require_pair(state, slots)
        block = state.func_ir.blocks[min(state.func_ir.blocks)]
        scope, loc = block.scope, block.loc
        pair, data = (scope.redefine(name, loc) for name in ("$first_and_data", "$data"))
        first_time = not hasattr(state, "gradopt_data")
        state.gradopt_data = data
        name = state.func_ir.arg_names[0]
        body = [ir.Assign(ir.Arg(name, 0, loc), pair, loc), *_item(scope, pair, 1, data, loc)]
        for statement in block.body:
            of_first = isinstance(statement, ir.Assign) and isinstance(statement.value, ir.Arg)
            if first_time and of_first and statement.value.index == 0:
                body += _item(scope, pair, 0, statement.target, loc)
            else:
                body.append(statement)
        block.body = body

    def _rewrite(self, state: Any, slots: Any, scope: Any, statement: Any, body: list[Any]) -> None:
        """Append what stands for an assignment."""
        value, target, loc = statement.value, statement.target, statement.loc
        where = _where(state, value)
        if where in slots and not _is_function(value):
            body += _item(scope, state.gradopt_data, slots[where], target, loc)
        elif isinstance(value, ir.Expr) and value.op == "call":
            called = guard(get_definition, state.func_ir, value.func)
            place = slots.get(_where(state, called)) if _is_function(called) else None
            if place is not None and not (value.args and value.args[0].name.startswith(_PAIR)):
                if not value.args:
                    raise UnsupportedError("a function that takes data from outside needs an argument", loc)
                part, pair = (scope.redefine(name, loc) for name in ("$part", _PAIR))
                body += _item(scope, state.gradopt_data, place, part, loc)
                body.append(ir.Assign(ir.Expr.build_tuple([value.args[0], part], loc), pair, loc))
                value.args = (pair, *value.args[1:])
            body.append(statement)
        elif isinstance(value, (ir.Global, ir.FreeVar)) and isinstance(value.value, _Module):
            body.append(ir.Assign(ir.Global(value.name, value.value.module, loc), target, loc))
        else:
            body.append(statement)


def _where(state: Any, value: Any) -> Any:
    """Where a value of the compiler's representation stands, as in `Outside.slots`; None if it is nothing of these."""
    if isinstance(value, ir.Arg):
        omitted = isinstance(state.args[value.index], types.Omitted)
        return ("default", value.index) if omitted else None
    if isinstance(value, ir.Global):
        return "global", value.name
    if isinstance(value, ir.FreeVar):
        return "closure", value.name
    if isinstance(value, ir.Expr) and value.op == "getattr":
        module = guard(get_definition, state.func_ir, value.value)
        if isinstance(module, (ir.Global, ir.FreeVar)) and isinstance(module.value, _Module):
            return "attribute", _where(state, module), value.attr
    return None


def _is_function(value: Any) -> bool:
    return isinstance(value, (ir.Global, ir.FreeVar)) and is_jitted(value.value)


def _require_pair(state: Any, slots: dict[Any, int]) -> None:
    """Raise an error unless the first argument is (argument, data): a call may have escaped the rewriting."""
    first = state.args[0]
    inner: Any = getattr(first, "types", ())
    if len(inner) != 2 or len(getattr(inner[1], "types", ())) != max(slots.values()) + 1:
        raise UnsupportedError("a function that takes data from outside can only be called by its name")


def _item(scope: Any, source: Any, place: int, target: Any, loc: Any) -> list[Any]:
    """The statements target = source[place]."""
    index = scope.redefine("$place", loc)
    number = ir.Assign(ir.Const(place, loc), index, loc)
    return [number, ir.Assign(ir.Expr.static_getitem(source, place, index, loc), target, loc)]


class TakesOutside(CompilerBase):  # type: ignore[misc]
    """Numba's pipeline for a function that takes data from outside.

    The pass runs again when functions inside the function have become part of it.
    """

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        for after in (IRProcessing, InlineClosureLikes):
            pipeline.add_pass_after(_ReadData, after)
        pipeline.finalize()
        return [pipeline]
