"""The decorators that turn a Python function into machine code. Every compiler flag of the package is set here.

Arithmetic is strict (IEEE 754, in the order written): the optimiser copies parts of an inlined loop, and only strict
operations give the same bits in every copy and in every chunk. To be fast, sums over many numbers need another order,
and polynomials need fused multiplications. These are functions of their own, decorated with `summation` and
`elementwise`, with one copy of each.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numba import njit, types
from numba.extending import lower_builtin, register_jitable, type_callable

from gradopt._compiler import forks as forks
from gradopt._compiler import notice as notice
from gradopt._compiler import numba_api
from gradopt._compiler import tested as tested
from gradopt._compiler.interrupts import interrupts_held_back

if numba_api.cache is not None:
    from gradopt._compiler.disk_cache import StampedCache
if numba_api.binding is not None:
    from gradopt._compiler.late_bound import bind_late

COMPILING = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]

STRICT: Any = {"error_model": "numpy", "fastmath": False, "nogil": True}

# Numba wraps each function for calls from C and for calls from Python; compiling the wrappers is a third of its work.
INSIDE: Any = {}

# For functions that become part of each caller.
INLINE: Any = {}

if numba_api.compiler is not None:
    from gradopt._compiler.pipeline import PartCompiler, WholeCompiler

    # Callees that do not set fastmath and forceinline inherit them from their callers, so both are always set.
    STRICT |= {"forceinline": False, "no_cfunc_wrapper": True, "pipeline_class": WholeCompiler}
    INSIDE |= {"no_cpython_wrapper": True}
    INLINE |= INSIDE | {"forceinline": True, "pipeline_class": PartCompiler}

# nnan and ninf stay out: they would make tests for NaN and infinity constant.
REORDERED: Any = {**STRICT, "fastmath": {"reassoc", "contract", "nsz"}}
CONTRACTED: Any = {**STRICT, "fastmath": {"contract"}}


def _compiled(
    function: Callable[..., Any],
    flags: dict[str, Any],
    inline: bool = False,
    late_bound: bool = False,
    like: str | None = None,
) -> Any:
    if not COMPILING:
        # NumPy must be as silent about overflow as machine code is.
        return np.errstate(all="ignore")(function) if late_bound else function
    for_python = flags | ({"forceinline": inline} if "forceinline" in flags else {})
    if numba_api.dispatcher is None:
        return njit(**for_python)(function)
    from_python = _dispatcher(function, for_python)
    inside = functools.cache(lambda: _dispatcher(function, flags | (INLINE if inline else INSIDE)))
    if late_bound and numba_api.binding is not None:
        return bind_late(from_python, inside, like)
    from_python.inside = inside
    from_python.get_call_template = lambda arguments, keywords: inside().get_call_template(arguments, keywords)
    from_python.get_overload = lambda signature: inside().get_overload(signature)
    return from_python


def _dispatcher(function: Callable[..., Any], flags: dict[str, Any]) -> Any:
    dispatcher = njit(**flags)(function)
    if numba_api.cache is not None:
        # Raised if neither the package's folder nor the user's cache folder is writable.
        with contextlib.suppress(RuntimeError):
            dispatcher._cache = StampedCache(function, flags)
    compile_or_load = dispatcher.compile

    def compile_in_peace(signature: Any) -> Any:
        with interrupts_held_back(), no_collection():
            return compile_or_load(signature)

    dispatcher.compile = compile_in_peace
    return dispatcher


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Turn Python's garbage collection off: Numba makes objects by the million, and none of them is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    inline: bool = False,
    late_bound: bool = False,
    like: str | None = None,
) -> Any:
    """Compile a function with strict arithmetic, cached on disk.

    `inline=True` makes it part of compiled callers. `late_bound=True` compiles it separately and binds it at the first
    call (see `late_bound.py`); if it returns nothing, or the type of its argument `like`, it is not compiled before.

    Machine code is found by the module and `__qualname__` of its function, the types of the arguments, and a counter
    of each process. If two processes cached two functions of the same name, a third could mistake one for the other:
    functions that a factory makes need different names.
    """
    if function is None:
        return lambda function: kernel(function, inline=inline, late_bound=late_bound, like=like)
    return _compiled(function, STRICT, inline, late_bound, like)


def portable(function: Callable[..., Any]) -> Any:
    """Make a function callable from kernels, where it is compiled, and from loops in Python, where it is Python.

    A kernel that a loop in Python calls is compiled, and so can't call the objective of an interpreted problem.
    """
    options = {name: STRICT[name] for name in ("error_model", "fastmath", "forceinline") if name in STRICT}
    return register_jitable(**options)(function) if COMPILING else function


def summation(function: Callable[..., Any] | None = None, *, late_bound: bool = False) -> Any:
    """Compile a function whose sums may be reordered, so that they run in vector registers.

    It must be `late_bound`, as in `kernel`, or call `noinline()` first, which keeps it out of line. The order is then
    the same in every call.
    """
    if function is None:
        return lambda function: summation(function, late_bound=late_bound)
    return _compiled(function, REORDERED, late_bound=late_bound)


def elementwise(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """Compile a late-bound function of each element of an array, in which x y + z may be rounded once.

    `inline=True` is for functions that such functions call for one element.
    """
    if function is None:
        return lambda function: elementwise(function, inline=inline)
    return _compiled(function, CONTRACTED, inline, late_bound=not inline)


def compile_user_function(function: Callable[..., Any], pipeline: Any = None) -> Any:
    """Compile a user's function: with bounds checks, not cached on disk; pipeline : Numba's if None."""
    options: Any = {} if pipeline is None else {"pipeline_class": pipeline}
    dispatcher = njit(error_model="numpy", boundscheck=True, **options)(function)
    if COMPILING:
        dispatcher.is_of_a_user = True  # for the notice
    return dispatcher


def compile_wrapper(function: Callable[..., Any], arguments: tuple[Any, ...] | None = None) -> Any:
    """Compile a function of the package that calls a user's, at once if `arguments` are given; not cached on disk."""
    signature = () if arguments is None else (arguments,)
    return njit(*signature, error_model="numpy", nogil=True)(function)


def noinline() -> None:
    """Keep the compiled function that calls this out of line, so that there is one copy of its machine code."""


@type_callable(noinline)
def _noinline(context):
    return lambda: types.void


@lower_builtin(noinline)
def _lower_noinline(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.function.attributes.add("noinline")
    return context.get_dummy_value()
