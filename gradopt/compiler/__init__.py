"""Everything that depends on how Numba works: flags, caching, dispatch, memory, floating-point modes."""

from gradopt.compiler.bits import by_precision, reinterpreted
from gradopt.compiler.dispatch import generic
from gradopt.compiler.interrupts import interrupts_held_back
from gradopt.compiler.kernel import COMPILING, elementwise, kernel, one_copy, summation
from gradopt.compiler.memory import borrowed, exchanged, keep, matrix, repeated, stacked
from gradopt.compiler.subnormals import flushed_subnormals
from gradopt.compiler.tile import TILE_ROWS, VECTOR_BYTES, tile

__all__ = [
    "COMPILING",
    "TILE_ROWS",
    "VECTOR_BYTES",
    "borrowed",
    "by_precision",
    "elementwise",
    "exchanged",
    "flushed_subnormals",
    "generic",
    "interrupts_held_back",
    "keep",
    "kernel",
    "matrix",
    "one_copy",
    "reinterpreted",
    "repeated",
    "stacked",
    "summation",
    "tile",
]
