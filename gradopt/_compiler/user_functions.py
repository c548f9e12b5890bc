"""Functions of a user's: compiled where that is possible, and again when what they depend on has changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import CellType, FunctionType
from typing import Any

from numba import types
from numba.extending import is_jitted

from gradopt._compiler.by_address import address_of, unpacking
from gradopt._compiler.identity import identity, names_in
from gradopt._compiler.interrupts import interrupts_held_back
from gradopt._compiler.kernel import compile_user_function, compile_wrapper

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
            _known[key] = NotCompilable(f"{name_of(function)}: {type(error).__name__}: {_in_short(str(error))}")
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
        dispatcher = compile_wrapper(maker(*parts, unpacking(data_type)))
        with interrupts_held_back():
            _made[key] = dispatcher, address_of(dispatcher, types)
    return _made[key]


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or how it prints."""
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
        for name in names_in(function.__code__) & scope.keys():
            scope[name] = seen(scope[name])
        for position, cell in enumerate(cells):
            with suppress(ValueError):  # still empty
                cells[position] = CellType(seen(cell.cell_contents))
        copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, tuple(cells))
        copy.__kwdefaults__, copy.__module__ = function.__kwdefaults__, function.__module__
        function = copy
    return compile_user_function(function)
