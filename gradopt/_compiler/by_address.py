"""Functions that compiled code calls by their address.

Numba compiles a function into its callers and chooses both by type, so a loop that is handed a function of a user's is
compiled anew for it, and never cached on disk. A loop that is handed an address, and the address of the function's
data, is compiled once for all functions. What it calls must have been compiled for the very same argument types.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from gradopt._compiler.arrays import borrowed
from gradopt._compiler.kernel import COMPILING, kernel

_Plain: Any = (types.Number, types.Boolean, types.NoneType)


def address_of(dispatcher: Any, argument_types: tuple[Any, ...]) -> int:
    """Where the machine code of a compiled function lies, for as long as the function lives; compiles it if need be."""
    if argument_types not in dispatcher.overloads:
        dispatcher.compile(argument_types)
    result = dispatcher.overloads[argument_types]
    assert result.signature.return_type == types.float64  # else the caller would read something else
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


@intrinsic
def call_at(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the function at an address, which returns a float64; its exceptions pass through."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = context.call_conv.get_function_type(types.float64, arguments.types)
        pointer = builder.inttoptr(values[0], function_type.as_pointer())
        unpacked = cgutils.unpack_tuple(builder, values[1])
        status, result = context.call_conv.call_function(builder, pointer, types.float64, arguments.types, unpacked)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    return types.float64(address, arguments), generate


_types: dict[Any, Any] = {}


def type_of(value: Any) -> Any:
    """The Numba type of a value, as numba.typeof gives it; of arrays, floats and tuples of them ten times sooner."""
    kind = _kind(value)
    if kind is None:
        return typeof(value)
    found = _types.get(kind)
    if found is None:
        found = _types[kind] = typeof(value)
    return found


def _kind(value: Any) -> Any:
    """What decides on the type of a value; None where that is not known here."""
    if type(value) is np.ndarray:
        flags = value.flags
        return value.dtype, value.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    if type(value) is tuple:
        kinds = tuple(_kind(item) for item in value)
        return None if None in kinds else (tuple, kinds)
    return float if type(value) is float else None


class TupleInMemory:
    """A tuple in the form in which compiled code holds it, at an address.

    Parameters
    ----------
    value : tuple
        Of numbers, arrays, None, and tuples of these; kept alive.

    Raises
    ------
    TypeError
        Something else is in it.
    """

    def __init__(self, value: tuple[Any, ...]) -> None:
        self.value, self.address = value, 0
        if not COMPILING:
            return
        self.type: Any = type_of(value)
        words = _words(value)
        self._memory = np.array(words) if words is not None else np.zeros(_size(self.type), np.int64)
        if words is None:
            _store(self._memory, value)
        self.address = self._memory.__array_interface__["data"][0]


def _words(value: tuple[Any, ...]) -> list[int] | None:
    """A tuple of arrays as compiled code holds it, word by word; None of other tuples, which `_store` knows.

    An array is the owner and the parent, which are left out, its number of elements, their size, the address, shape and
    strides.
    """
    words: list[int] = []
    for array in value:
        if type(array) is not np.ndarray or array.dtype.kind not in "biufc":
            return None
        words += [0, 0, array.size, array.itemsize, array.__array_interface__["data"][0], *array.shape, *array.strides]
    return words


def unpacking(packed_type: Any) -> Callable[[int], tuple[Any, ...]]:
    """The function that gives the tuple at an address, for compiled code; it does not own its arrays."""

    @intrinsic
    def unpack(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = builder.inttoptr(values[0], context.get_value_type(packed_type).as_pointer())
            return builder.load(pointer)

        return packed_type(address), generate

    return unpack  # type: ignore[return-value]


@functools.cache
def _size(numba_type: Any) -> int:
    """How many times eight bytes a value takes at most; a TypeError if it may own what nobody would release."""
    _require_plain(numba_type)
    context = cpu_target.target_context
    return int(context.get_abi_sizeof(context.get_value_type(numba_type))) // 8 + 1


def _require_plain(numba_type: Any) -> None:
    if isinstance(numba_type, types.BaseTuple):
        for item in numba_type.types:  # type: ignore[attr-defined]
            _require_plain(item)
    elif isinstance(numba_type, types.Array):
        _require_plain(numba_type.dtype)
    elif not isinstance(numba_type, _Plain):
        raise TypeError(f"args may hold numbers, arrays of numbers and tuples of these, got a {numba_type}")


@intrinsic
def _stored(typing_context: Any, memory: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(memory)(context, builder, values[0])
        value_type = context.get_value_type(value)
        builder.store(values[1], builder.bitcast(array.data, ir.PointerType(value_type)))
        return context.get_dummy_value()

    return types.void(memory, value), generate


@kernel
def _store(memory, value):
    """Write a tuple, its arrays without owners, to memory, an int64 array."""
    _stored(memory, borrowed(value))
