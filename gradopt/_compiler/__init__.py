"""Everything that depends on how Numba works: flags, caching, dispatch, memory and floating-point modes."""

from gradopt._compiler.arrays import (
    borrowed,
    copied,
    copy_back,
    in_place,
    matrix,
    on_stack,
    repeated,
    slice_of,
    swapped,
    zeros_for,
)
from gradopt._compiler.bits import by_precision, reinterpreted
from gradopt._compiler.bounded import Bounded
from gradopt._compiler.dispatch import generic, silent
from gradopt._compiler.handles import CompiledHandle, contents
from gradopt._compiler.interrupts import interrupts_held_back
from gradopt._compiler.kernel import (
    COMPILING,
    compile_user_function,
    compile_wrapper,
    elementwise,
    kernel,
    no_collection,
    noinline,
    portable,
    summation,
)
from gradopt._compiler.numba_api import lowering
from gradopt._compiler.value_types import type_of

if lowering is not None:
    from gradopt._compiler.lowered import (
        TILE_ROWS,
        VECTOR_BYTES,
        TupleInMemory,
        address_of,
        by_reference,
        call_at,
        flushing,
        of_complex,
        of_numbers,
        tile,
        unpacking,
    )
    from gradopt._compiler.lowered import handles as handles
else:
    from gradopt._compiler.plain import (  # type: ignore[assignment]
        TILE_ROWS,
        VECTOR_BYTES,
        TupleInMemory,
        address_of,
        by_reference,
        call_at,
        flushing,
        of_complex,
        of_numbers,
        tile,
        unpacking,
    )
    from gradopt._compiler.plain import handles as handles  # type: ignore[no-redef]

__all__ = [
    "COMPILING",
    "TILE_ROWS",
    "VECTOR_BYTES",
    "Bounded",
    "CompiledHandle",
    "TupleInMemory",
    "address_of",
    "borrowed",
    "by_precision",
    "by_reference",
    "call_at",
    "compile_user_function",
    "compile_wrapper",
    "contents",
    "copied",
    "copy_back",
    "elementwise",
    "flushing",
    "generic",
    "in_place",
    "interrupts_held_back",
    "kernel",
    "matrix",
    "no_collection",
    "noinline",
    "of_complex",
    "of_numbers",
    "on_stack",
    "portable",
    "reinterpreted",
    "repeated",
    "silent",
    "slice_of",
    "summation",
    "swapped",
    "tile",
    "type_of",
    "unpacking",
    "zeros_for",
]
