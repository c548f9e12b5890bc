"""Users' functions: compiled if possible, and compiled again when something they depend on has changed."""

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

# The type that a function returns by mistake -> what to do.
_REMEDIES: dict[Any, str] = {
    types.List: "; return np.array([...]) instead",
    types.Array: "; take np.sum or an element of it",
    types.NoneType: "; a return is missing",
    types.Optional: "; a return is missing on some way through it",
}


class NotCompilable(Exception):
    """A function can't be compiled; the message says why."""


# The `identity` of a function, and its argument types -> a dispatcher, or a NotCompilable.
_known: dict[Any, Any] = {}
# A maker of evaluators and its arguments -> the evaluator, and the address of its machine code.
_made: dict[Any, tuple[Any, int]] = {}


def compiled_function(function: Callable[..., Any], types: tuple[Any, ...], returns: Callable[[Any], bool]) -> Any:
    """A user's function as a Numba dispatcher, compiled with bounds checks for these argument types.

    returns : returns(type) says whether the function may return this Numba type

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
    """The function maker(*parts, unpack) as a dispatcher, and the address of its code for these argument types.

    parts : dispatchers from here or from `compiled_function`
    data_type : the Numba type that `unpack` returns
    """
    key = (maker, parts, data_type, types)
    if key not in _made:
        dispatcher = compile_wrapper(maker(*parts, unpacking(data_type)))
        with interrupts_held_back():
            _made[key] = dispatcher, address_of(dispatcher, types)
    return _made[key]


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function, or its repr if it has none."""
    return getattr(function, "__name__", None) or repr(function)


def _in_short(error: str) -> str:
    """Numba's error of twenty lines in short: the complaint, and the place."""
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
    """A dispatcher for a function; the Python functions that it calls become dispatchers too."""
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
