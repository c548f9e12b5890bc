"""Everything that depends on how Numba works: flags, caching, dispatch, memory, floating-point modes."""

from gradopt.compiler.dispatch import generic
from gradopt.compiler.interrupts import interrupts_held_back
from gradopt.compiler.kernel import COMPILING, kernel, one_copy, summation
from gradopt.compiler.memory import borrowed, exchanged, keep, stacked
from gradopt.compiler.subnormals import flushed_subnormals

__all__ = [
    "COMPILING",
    "borrowed",
    "exchanged",
    "flushed_subnormals",
    "generic",
    "interrupts_held_back",
    "keep",
    "kernel",
    "one_copy",
    "stacked",
    "summation",
]
