"""Functions that compiled code calls by their address.

Numba compiles a function into its callers and chooses both by type, so a loop that receives a user's function is
compiled again for each one, and never cached on disk. A loop that receives the addresses of a function and of its data
is compiled once for all functions. The function must have been compiled for exactly the argument types of the call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from gradopt._compiler.arrays import borrowed
from gradopt._compiler.kernel import COMPILING, kernel
from gradopt._compiler.numba_api import lock, lowering
from gradopt._compiler.value_types import require_plain, type_of

ir, cgutils, global_compiler_lock = lowering.ir, lowering.cgutils, lock.global_compiler_lock


@global_compiler_lock
def address_of(dispatcher: Any, argument_types: tuple[Any, ...]) -> int:
    """The address of a function's machine code, valid as long as the function lives; compiles it if necessary."""
    if argument_types not in dispatcher.overloads:
        dispatcher.compile(argument_types)
    result = dispatcher.overloads[argument_types]
    assert result.signature.return_type == types.float64  # else the caller would misread the result
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


@intrinsic
def call_at(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the function at an address; it returns a float64, and its exceptions pass through."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = context.call_conv.get_function_type(types.float64, arguments.types)
        pointer = builder.inttoptr(values[0], function_type.as_pointer())
        unpacked = cgutils.unpack_tuple(builder, values[1])
        status, result = context.call_conv.call_function(builder, pointer, types.float64, arguments.types, unpacked)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    return types.float64(address, arguments), generate


class TupleInMemory:
    """A tuple at an address, in the form in which compiled code holds it.

    Parameters
    ----------
    value : tuple
        Numbers, arrays, None, and tuples of these; kept alive.

    Raises
    ------
    TypeError
        If it contains anything else.
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
    """A tuple of arrays, word by word, as compiled code holds it; None for other tuples, which `_store` handles.

    An array consists of owner and parent, both left empty, its number of elements, their size, the address, the shape
    and the strides.
    """
    words: list[int] = []
    for array in value:
        if type(array) is not np.ndarray or array.dtype.kind not in "biufc":
            return None
        words += [0, 0, array.size, array.itemsize, array.__array_interface__["data"][0], *array.shape, *array.strides]
    return words


def unpacking(packed_type: Any) -> Callable[[int], tuple[Any, ...]]:
    """The function with which compiled code reads the tuple at an address; the tuple does not own its arrays."""

    @intrinsic
    def unpack(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = builder.inttoptr(values[0], context.get_value_type(packed_type).as_pointer())
            return builder.load(pointer)

        return packed_type(address), generate

    return unpack  # type: ignore[return-value]


@functools.cache
@global_compiler_lock
def _size(numba_type: Any) -> int:
    """An upper bound on the size of a value, in units of 8 bytes; a TypeError if nobody could release what it owns."""
    require_plain(numba_type)
    context = lowering.cpu_target.target_context
    return int(context.get_abi_sizeof(context.get_value_type(numba_type))) // 8 + 1


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
    """Write a tuple, its arrays without owners, to the int64 array `memory`."""
    _stored(memory, borrowed(value))
