"""Users' functions: compiled if possible, and compiled again when something they depend on has changed.

What is compiled is kept by code, not by function, in caches of bounded size that hold no data of users: a new closure
over other data finds the machine code of the last one. Where Numba's compiler can't be told to take data from outside,
the data are part of the code: other data are compiled anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import NumbaWarning, types
from numba.extending import is_jitted

from gradopt._compiler import numba_api
from gradopt._compiler.bounded import Bounded
from gradopt._compiler.interrupts import interrupts_held_back
from gradopt._compiler.kernel import compile_user_function, compile_wrapper
from gradopt._compiler.outside import for_compiler, is_plain, outside_of
from gradopt._compiler.value_types import type_of

if numba_api.lowering is not None:
    from gradopt._compiler.lowered.by_address import address_of, unpacking
else:
    from gradopt._compiler.plain.by_address import address_of, unpacking
if numba_api.rewriting is not None:
    from gradopt._compiler.rewriting import TakesOutside

# The type that a function returns by mistake -> what to do.
_REMEDIES: dict[Any, str] = {
    types.List: "; return np.array([...]) instead",
    types.Array: "; take np.sum or an element of it",
    types.NoneType: "; a return is missing",
    types.Optional: "; a return is missing on some way through it",
}


class NotCompilable(Exception):
    """A function can't be compiled; the message says why."""


class UserFunction(NamedTuple):
    """A user's function as machine code.

    Attributes
    ----------
    call : dispatcher
        call(data, first, *rest) is the function of its arguments first, *rest.
    data : tuple
        What the function takes from outside, as it is now.
    """

    call: Any
    data: tuple[Any, ...]


# A key of a function's code, the types of its data and arguments -> a dispatcher, or a NotCompilable.
_known: Bounded[Any] = Bounded(256)
# A maker of evaluators and its arguments -> the evaluator, and the address of its machine code.
_made: Bounded[tuple[Any, int]] = Bounded(256)


def compiled_function(
    function: Callable[..., Any], types: tuple[Any, ...], returns: Callable[[Any], bool]
) -> UserFunction:
    """A user's function, compiled with bounds checks for these argument types.

    returns : returns(type) says whether the function may return this Numba type

    Raises NotCompilable.
    """
    outside = outside_of(function)
    if numba_api.rewriting is None:
        data, data_key = (), _contents(outside.data)
    else:
        data, data_key = outside.data, type_of(outside.data)
    key = (outside.key, data_key, types)
    known = _known.get(key)
    if known is None:
        try:
            known = _dispatcher(function, type_of(data), types, returns)
        except Exception as error:  # Numba's have no common base
            known = NotCompilable(f"{name_of(function)}: {type(error).__name__}: {_in_short(str(error))}")
        if outside.certain or isinstance(known, NotCompilable):
            _known[key] = known
    if isinstance(known, NotCompilable):
        raise NotCompilable(str(known))  # a new one: a traceback keeps the frames alive, with their data
    return UserFunction(known, data)


def evaluator(
    maker: Callable[..., Any], parts: tuple[Any, ...], data_type: Any, types: tuple[Any, ...]
) -> tuple[Any, int]:
    """The function maker(*parts, unpack) as a dispatcher, and the address of its code for these argument types.

    The address is valid as long as the dispatcher lives.

    parts : dispatchers from here or from `compiled_function`
    data_type : the Numba type that `unpack` returns
    """
    key = (maker, parts, data_type, types)
    made = _made.get(key)
    if made is None:
        dispatcher = compile_wrapper(maker(*parts, unpacking(data_type)))
        with interrupts_held_back():
            made = _made[key] = dispatcher, address_of(dispatcher, types)
    return made


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


def _dispatcher(
    function: Callable[..., Any], data_type: Any, argument_types: tuple[Any, ...], returns: Callable[[Any], bool]
) -> Any:
    """The function as call(data, first, *rest)."""
    dispatcher: Any = function if is_jitted(function) else _jitted(function)
    first, *rest = argument_types
    takes_data = len(data_type) > 0
    if takes_data:
        first = types.Tuple((first, data_type))
    with interrupts_held_back(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)  # advice for those who compile by themselves
        if numba_api.dispatcher is not None:
            _, _, with_defaults, _ = dispatcher.get_call_template((first, *rest), {})
            returned = dispatcher.overloads[tuple(with_defaults)].signature.return_type
        else:
            in_one = types.Tuple((first, *rest))
            returned = compile_wrapper(_unpacking(dispatcher), (in_one,)).nopython_signatures[0].return_type
    if not returns(returned):
        raise TypeError(f"compiled, it returns a {returned}{_remedy(returned)}")
    return compile_wrapper(_handing_over(dispatcher) if takes_data else _calling(dispatcher))


def _remedy(returned: Any) -> str:
    """What to do about the type that a function returns, or the value and the gradient that it returns."""
    inner: tuple[Any, ...] = tuple(getattr(returned, "types", ()))
    if len(inner) == 2:
        value, grad = inner
        if isinstance(grad, types.BaseTuple):
            return "; the gradient must be an array: return np.array([...])"
        of_value = _REMEDIES.get(type(value), "")
        return of_value if of_value or isinstance(grad, types.Array) else _REMEDIES.get(type(grad), "")
    return _REMEDIES.get(type(returned), "")


def _contents(data: Any) -> Any:
    """A key for data from outside, by their values."""
    if isinstance(data, tuple):
        return tuple(map(_contents, data))
    array = np.asarray(data)
    return array.dtype.str, array.shape, array.tobytes()


def _handing_over(dispatcher: Any) -> Any:
    def call(data, first, *rest):
        return dispatcher((first, data), *rest)

    return call


def _calling(dispatcher: Any) -> Any:
    def call(data, first, *rest):
        return dispatcher(first, *rest)

    return call


def _unpacking(dispatcher: Any) -> Any:
    def call(arguments):
        return dispatcher(*arguments)

    return call


def _jitted(function: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A dispatcher for a function; the Python functions that it calls become dispatchers too."""
    inside = (*inside, function)
    if not is_plain(function):
        return compile_user_function(function)
    takes_data = numba_api.rewriting is not None
    copy = for_compiler(function, lambda called: called if called in inside else _jitted(called, inside), takes_data)
    return compile_user_function(copy, TakesOutside if copy.__dict__["outside_slots"] else None)
