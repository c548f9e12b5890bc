"""Flushing subnormal numbers to zero while a loop runs.

A decaying momentum or a saturated softmax soon holds numbers below 1e-38 (float32) or 1e-308 (float64). Processors
handle these in microcode, which makes every operation on them up to a hundred times slower. Descent loses nothing when
they become 0.
"""

from __future__ import annotations

import platform
from typing import Any

from numba import types
from numba.extending import intrinsic, lower_builtin, type_callable

from gradopt._compiler.kernel import COMPILING, kernel
from gradopt._compiler.numba_api import lowering

ir, cgutils = lowering.ir, lowering.cgutils

_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040  # bits 15 and 6 of MXCSR

_SUPPORTED = platform.machine().lower() in ("x86_64", "amd64")


def _load_mode(builder: Any) -> Any:
    if not _SUPPORTED:
        return ir.Constant(ir.IntType(32), 0)
    return _through_memory(builder, "llvm.x86.sse.stmxcsr", ir.Constant(ir.IntType(32), 0))


def _store_mode(builder: Any, mode: Any) -> None:
    if _SUPPORTED:
        _through_memory(builder, "llvm.x86.sse.ldmxcsr", mode)


def _through_memory(builder: Any, name: str, value: Any) -> Any:
    pointer = builder.alloca(ir.IntType(32))
    builder.store(value, pointer)
    byte_pointer = ir.IntType(8).as_pointer()
    instruction = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(ir.VoidType(), [byte_pointer]))
    builder.call(instruction, [builder.bitcast(pointer, byte_pointer)])
    return builder.load(pointer)


@intrinsic
def _mode(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load_mode(builder)

    return types.uint32(), codegen


@intrinsic
def _set_mode(typing_context: Any, mode: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store_mode(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint32), codegen


@kernel
def _current_mode():
    """The floating-point mode of this thread."""
    return _mode()


@kernel
def _restore(mode):
    """Set the floating-point mode of this thread."""
    _set_mode(types.uint32(mode))


def flushing(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a function as function(*arguments), while this thread treats subnormal numbers as 0; also in compiled code.

    On x86-64 only, no effect elsewhere. The caller's mode is restored after an exception too, Ctrl-C included: Python
    raises KeyboardInterrupt after a call or at the beginning of a function of Python's own, and none of these is
    between the block and the call that restores the mode. A context manager could not promise that.
    """
    if not COMPILING:
        return function(*arguments)
    mode = _current_mode()
    try:
        _restore(mode | _FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO)
        return function(*arguments)
    finally:
        _restore(mode)


@type_callable(flushing)
def _flushing(context):
    return lambda function, arguments: function.get_call_type(context, arguments.types, {}).return_type


@lower_builtin(flushing, types.Dispatcher, types.BaseTuple)
def _lower_flushing(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Lower the call by hand: Numba's try statement can't re-raise what it caught."""
    kinds, result_type = signature.args[1].types, signature.return_type
    compiled = signature.args[0].dispatcher.inside().overloads[kinds]
    context.active_code_library.add_linking_library(compiled.library)
    function = context.declare_function(builder.module, compiled.fndesc)
    mode = _load_mode(builder)
    _store_mode(builder, builder.or_(mode, ir.Constant(ir.IntType(32), _FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO)))
    arguments = cgutils.unpack_tuple(builder, values[1])
    status, result = context.call_conv.call_function(builder, function, result_type, kinds, arguments)
    _store_mode(builder, mode)
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return result
