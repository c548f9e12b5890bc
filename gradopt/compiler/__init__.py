"""Everything that depends on how Numba works: flags, caching, dispatch, memory, floating-point modes."""

from gradopt.compiler.dispatch import generic
from gradopt.compiler.kernel import COMPILING, kernel, loop_for_user_code, one_copy, summation
from gradopt.compiler.memory import borrowed, exchanged, keep, stacked
from gradopt.compiler.subnormals import flushed_subnormals

__all__ = [
    "COMPILING",
    "borrowed",
    "exchanged",
    "flushed_subnormals",
    "generic",
    "keep",
    "kernel",
    "loop_for_user_code",
    "one_copy",
    "stacked",
    "summation",
]
