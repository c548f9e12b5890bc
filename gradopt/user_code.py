"""Functions of a user's: compiled where that is possible, and again when what they depend on has changed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

from numba import types
from numba.extending import is_jitted

from gradopt.compiler import address_of, around_users, interrupts_held_back, unpacking, users

_PACKAGE = str(Path(__file__).parent)


# What a function returns that should return something else -> what to do.
_REMEDIES: dict[Any, str] = {
    types.List: "; return np.array([...]) instead",
    types.Array: "; take np.sum or an element of it",
    types.NoneType: "; a return is missing",
    types.Optional: "; a return is missing on some way through it",
}


class NotCompilable(Exception):
    """Why a function can't be compiled."""


# What `identity` says of a function, with its argument types -> a dispatcher, or why there is none.
_known: dict[Any, Any] = {}
_warned: set[Any] = set()
# A maker of evaluators and what it was given -> the evaluator, and where its machine code lies.
_made: dict[Any, tuple[Any, int]] = {}


def compiled_function(function: Callable[..., Any], types: tuple[Any, ...], returns: Callable[[Any], bool]) -> Any:
    """A user's function as a Numba dispatcher, compiled with bounds checks for these argument types.

    returns : tells whether a Numba type is what the function should return

    Raises NotCompilable.
    """
    key = (identity(function), types)
    if key not in _known:
        try:
            _known[key] = _dispatcher(function, types, returns)
        except Exception as error:  # Numba's have no common base
            _known[key] = NotCompilable(f"{_name(function)}: {type(error).__name__}: {_in_short(str(error))}")
    if isinstance(_known[key], NotCompilable):
        raise _known[key]
    return _known[key]


def evaluator(
    maker: Callable[..., Any], parts: tuple[Any, ...], data_type: Any, types: tuple[Any, ...]
) -> tuple[Any, int]:
    """The function maker(*parts, unpack) as a dispatcher, and where its machine code for these argument types lies.

    parts : dispatchers from here or from `compiled_function`
    data_type : of what `unpack` gives
    """
    key = (maker, parts, data_type, types)
    if key not in _made:
        dispatcher = around_users(maker(*parts, unpacking(data_type)))
        with interrupts_held_back():
            _made[key] = dispatcher, address_of(dispatcher, types)
    return _made[key]


def warn_that_it_is_interpreted(function: Callable[..., Any], reason: NotCompilable) -> None:
    """A RuntimeWarning for the code that called the package; one a function and reason."""
    key = identity(function), str(reason)
    if key not in _warned:
        _warned.add(key)
        name = _name(function)
        warn(f"{name} runs interpreted, it could not be compiled: {str(reason).removeprefix(f'{name}: ')}")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or repr(function)


def _in_short(error: str) -> str:
    """What Numba says in twenty lines: the complaint, and where."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if len(lines) < 4:
        return error
    complaint = lines[1] if lines[0].startswith("Failed in") else lines[0]
    call = next((line for line in lines if line.startswith(">>>")), "")
    carets = [i for i, line in enumerate(lines) if line.startswith("^")]
    place = f", at `{lines[carets[0] - 1]}`" if carets and carets[0] else ""
    return f"{complaint} {call}".rstrip() + place


def warn(message: str) -> None:
    """A RuntimeWarning for the code that called the package."""
    frame, level = sys._getframe(1), 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def _dispatcher(function: Callable[..., Any], types: tuple[Any, ...], returns: Callable[[Any], bool]) -> Any:
    dispatcher: Any = function if is_jitted(function) else _jitted(function)
    with interrupts_held_back():
        _, _, with_defaults, _ = dispatcher.get_call_template(types, {})
    returned = dispatcher.overloads[tuple(with_defaults)].signature.return_type
    if not returns(returned):
        raise TypeError(f"compiled, it returns a {returned}{_REMEDIES.get(type(returned), '')}")
    return dispatcher


def _jitted(function: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A dispatcher for a function in which Python functions that it calls are dispatchers too."""
    inside = (*inside, function)

    def seen(value: Any) -> Any:
        plain = isinstance(value, FunctionType) and value not in inside
        return _jitted(value, inside) if plain else value

    if isinstance(function, FunctionType):
        scope, cells = dict(function.__globals__), list(function.__closure__ or ())
        for name in _names(function.__code__) & scope.keys():
            scope[name] = seen(scope[name])
        for position, cell in enumerate(cells):
            with suppress(ValueError):  # still empty
                cells[position] = CellType(seen(cell.cell_contents))
        copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, tuple(cells))
        copy.__kwdefaults__, copy.__module__ = function.__kwdefaults__, function.__module__
        function = copy
    return users(function)


def identity(value: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A key for what a compiled function depends on: its code, defaults, closure and globals, and those of the
    functions among them. Numbers and strings count by value, all else by identity and is kept alive by the key.
    """
    if isinstance(value, (bool, int, float, complex, str, type(None))):
        return type(value), repr(value)
    if not isinstance(value, FunctionType) or value in inside:
        return _ById(value)
    inside = (*inside, value)
    used = dict(_outside(value))
    given = (*(value.__defaults__ or ()), *(item for _, item in sorted((value.__kwdefaults__ or {}).items())))
    defaults = tuple(identity(default, inside) for default in given)
    return value.__code__, defaults, tuple((name, identity(item, inside)) for name, item in sorted(used.items()))


def _outside(function: FunctionType) -> Any:
    """Pairs of name and value for all that the code, and the functions inside it, take from outside."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            yield name, cell.cell_contents
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


class _ById:
    """Equal only where the very same object is meant."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
