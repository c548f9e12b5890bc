"""Flushing subnormal numbers to zero while a loop runs.

A decaying momentum or a saturated softmax soon holds numbers below 1e-38 (float32) or 1e-308 (float64). Processors
handle these in microcode, which slows every operation on them by up to a hundred times. Descent loses nothing when
they become 0.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gradopt.compiler.kernel import COMPILING, kernel

_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040  # bits 15 and 6 of MXCSR

_SUPPORTED = COMPILING and platform.machine().lower() in ("x86_64", "amd64")


def _through_memory(builder: Any, name: str, value: Any) -> Any:
    pointer = builder.alloca(ir.IntType(32))
    builder.store(value, pointer)
    byte_pointer = ir.IntType(8).as_pointer()
    instruction = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(ir.VoidType(), [byte_pointer]))
    builder.call(instruction, [builder.bitcast(pointer, byte_pointer)])
    return builder.load(pointer)


@intrinsic
def _read_mode(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _through_memory(builder, "llvm.x86.sse.stmxcsr", ir.Constant(ir.IntType(32), 0))

    return types.uint32(), codegen


@intrinsic
def _write_mode(typing_context: Any, mode: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _through_memory(builder, "llvm.x86.sse.ldmxcsr", arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint32), codegen


if _SUPPORTED:

    @kernel
    def start_flushing():
        """Begin to take subnormal numbers as 0 in this thread; returns the mode before, for `restore`."""
        mode = _read_mode()
        _write_mode(types.uint32(mode | _FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO))
        return mode

    @kernel
    def restore(mode):
        """Go back to a mode."""
        _write_mode(types.uint32(mode))

else:

    @kernel
    def start_flushing():
        """Change nothing."""
        return 0

    @kernel
    def restore(mode):
        """Change nothing."""


class flushed_subnormals:
    """Within the block, arithmetic of this thread takes subnormal numbers as 0; x86-64 only, elsewhere no change.

    The caller's mode comes back at the end of the block, also by way of an exception.
    """

    def __enter__(self) -> None:
        self._mode = start_flushing()

    def __exit__(self, *exception: object) -> None:
        restore(self._mode)
