"""Functions of scipy's compiled libraries, called from kernels.

scipy exports its LAPACK, BLAS and special functions as C functions. Kernels know each by a symbol, whose address is set
in each process: machine code that comes from the disk cache finds the scipy of that process.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from gradopt._compiler.capsules import exported
from gradopt._compiler.numba_api import lowering

ir, cgutils, make_array = lowering.ir, lowering.cgutils, lowering.make_array

_INT = ir.IntType(32)


def _symbol(module: Any, name: str, result: str) -> str:
    """The symbol of a function that a Cython module exports; result : as for `exported`."""
    symbol = f"gradopt_{module.__name__}.{name}"
    lowering.add_symbol(symbol, exported(module, name, result))
    return symbol


def of_numbers(module: Any, name: str, count: int) -> Any:
    """A function of some float64 numbers with a float64 result; kernels pass 0 as one more argument."""
    signature = types.float64(*[types.float64] * count, types.int32)
    return types.ExternalFunction(_symbol(module, name, "double ("), signature)


def of_complex(module: Any, name: str) -> Any:
    """A function of one complex number, which kernels call with its real and its imaginary part."""
    symbol = _symbol(module, name, "__pyx_t_double_complex (")

    @intrinsic
    def function(typing_context: Any, real: Any, imag: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            number = ir.DoubleType()
            function_type = ir.FunctionType(ir.LiteralStructType([number, number]), [number, number, _INT])
            function = cgutils.get_or_insert_function(builder.module, function_type, symbol)
            return builder.call(function, [*values, _INT(0)])

        return types.complex128(types.float64, types.float64), generate

    return function


def by_reference(module: Any, name: str, *, returns_info: bool) -> Any:
    """A function of Fortran, whose arguments are addresses: kernels pass it a tuple of integers and arrays.

    An integer is stored in the caller's stack frame; a letter is its code. With `returns_info`, the last argument of
    the Fortran function is added, and its value is the result; else the result is 0.
    """
    symbol = _symbol(module, name, "void (")

    @intrinsic
    def function(typing_context: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointers = [
                _pointer(context, builder, numba_type, value)
                for numba_type, value in zip(arguments.types, cgutils.unpack_tuple(builder, values[0]), strict=True)
            ]
            info = cgutils.alloca_once_value(builder, _INT(0))
            pointers += [info] * returns_info
            function_type = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, symbol), pointers)
            return builder.load(info)

        return types.int32(arguments), generate

    return function


def _pointer(context: Any, builder: Any, numba_type: Any, value: Any) -> Any:
    if isinstance(numba_type, types.Array):
        return make_array(numba_type)(context, builder, value).data
    if isinstance(numba_type, types.Integer):
        value = context.cast(builder, value, numba_type, types.int32)
    return cgutils.alloca_once_value(builder, value)
