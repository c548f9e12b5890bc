"""The decorators that turn a Python function into machine code. Every compiler flag of the package is set here.

Arithmetic is strict (IEEE 754, in the order written): the optimiser copies parts of an inlined loop, and only strict
operations give the same bits in every copy and in every chunk. Sums over many numbers need another order to be fast,
and polynomials fused multiplications; they live in functions of their own, decorated `summation` and `elementwise`, of
which there is one copy.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit, types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.serialize import dumps
from numba.extending import lower_builtin, type_callable

from gradopt._compiler.interrupts import interrupts_held_back
from gradopt._compiler.late_bound import bind_late
from gradopt._compiler.pipeline import PartCompiler, WholeCompiler

COMPILING = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]

# Numba hands fastmath and forceinline down to callees that do not set them, so both are always set.
STRICT: Any = {
    "error_model": "numpy",
    "fastmath": False,
    "forceinline": False,
    "nogil": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": WholeCompiler,
}

# Numba wraps each function for calls from C, and for calls from Python; to compile both is a third of its work.
INSIDE: Any = {"no_cpython_wrapper": True}

# For what becomes part of each caller.
INLINE: Any = {**INSIDE, "forceinline": True, "pipeline_class": PartCompiler}

# nnan and ninf stay out: they would make tests for NaN and infinity constant.
REORDERED: Any = {**STRICT, "fastmath": {"reassoc", "contract", "nsz"}}
CONTRACTED: Any = {**STRICT, "fastmath": {"contract"}}


def _source_stamp() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _source_stamp()


class _CacheFiles(IndexDataCacheFile):
    """Numba's index of a function's machine code, with a file of its own for each key.

    Numba numbers the files. Of two processes that fill the cache at once each may give a number to another overload, or
    to another function that a factory made; the index of the one then names what the other wrote.
    """

    def save(self, key: Any, data: Any) -> None:
        overloads = self._load_index()
        if key not in overloads:
            digest = hashlib.sha256(dumps(key)).hexdigest()[:24]
            overloads[key] = self._index_name.removesuffix("nbi") + digest + ".nbc"
            self._save_index(overloads)
        self._save_data(overloads[key], data)


class _StampedCache(FunctionCache):
    """Numba's disk cache with the sources of the whole package in the key, for the package's own classes.

    Numba itself looks only at the file that defines a function. A loop that was compiled together with a kernel of
    another file would go on using that kernel's old code after an edit. What the sources do not cover, a user's
    functions and configuration classes, is compiled in each process.
    """

    def __init__(self, function: Any, flags: dict[str, Any]) -> None:
        super().__init__(function)
        self._flags = tuple(sorted((name, str(value)) for name, value in flags.items()))
        place = self._impl.locator
        self._cache_file = _CacheFiles(self._cache_path, self._impl.filename_base, place.get_source_stamp())

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _STAMP, self._flags)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if not all(map(_is_of_this_package, sig)):
            return None
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # the file names classes of another version of the package, or is damaged
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        if all(map(_is_of_this_package, sig)):
            super().save_overload(sig, data)


def _is_of_this_package(numba_type: Any) -> bool:
    if isinstance(numba_type, types.Callable):
        return False
    named_tuple = getattr(numba_type, "instance_class", None)
    if named_tuple is not None and named_tuple.__module__.split(".")[0] != "gradopt":
        return False
    return all(map(_is_of_this_package, getattr(numba_type, "types", ())))


def _compiled(
    function: Callable[..., Any],
    flags: dict[str, Any],
    inline: bool = False,
    late_bound: bool = False,
    like: str | None = None,
) -> Any:
    if not COMPILING:
        # NumPy's numbers are to be as silent about overflow as machine code is.
        return np.errstate(all="ignore")(function) if late_bound else function
    from_python = _dispatcher(function, flags | {"forceinline": inline})
    inside = functools.cache(lambda: _dispatcher(function, flags | (INLINE if inline else INSIDE)))
    if late_bound:
        return bind_late(from_python, inside, like)
    from_python.inside = inside
    from_python.get_call_template = lambda arguments, keywords: inside().get_call_template(arguments, keywords)
    from_python.get_overload = lambda signature: inside().get_overload(signature)
    return from_python


def _dispatcher(function: Callable[..., Any], flags: dict[str, Any]) -> Any:
    dispatcher = njit(**flags)(function)
    # Raised where neither the package's folder nor the user's cache folder can be written.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = _StampedCache(function, flags)
    compile_or_load = dispatcher.compile

    def compile_in_peace(signature: Any) -> Any:
        with interrupts_held_back(), _no_collection():
            return compile_or_load(signature)

    dispatcher.compile = compile_in_peace
    return dispatcher


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for garbage: Numba makes objects by the million, none of them in vain."""
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

    `inline=True` makes it part of compiled callers. `late_bound=True` compiles it apart from them (see
    `late_bound.py`); if it returns nothing, or what has the type of the argument `like`, only when it is first called.

    Machine code is found by the module and `__qualname__` of its function, the types of the arguments, and a number
    that each process counts for itself. Where two functions of one name were cached by two processes, a third one could
    take either for the other: functions that a factory makes need names of their own.
    """
    if function is None:
        return lambda function: kernel(function, inline=inline, late_bound=late_bound, like=like)
    return _compiled(function, STRICT, inline, late_bound, like)


def summation(function: Callable[..., Any] | None = None, *, late_bound: bool = False) -> Any:
    """Compile a function whose sums may be taken in another order than written, so that they run in vector registers.

    It is either `late_bound`, as a kernel is, or calls `noinline()` first, which keeps it out of line. The order is
    then the same at every call.
    """
    if function is None:
        return lambda function: summation(function, late_bound=late_bound)
    return _compiled(function, REORDERED, late_bound=late_bound)


def elementwise(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """Compile a function of each element of an array, in which x y + z may be rounded once; apart from its callers.

    `inline=True` is for what such functions call for an element.
    """
    if function is None:
        return lambda function: elementwise(function, inline=inline)
    return _compiled(function, CONTRACTED, inline, late_bound=not inline)


def compile_user_function(function: Callable[..., Any]) -> Any:
    """Compile a function of a user's: with bounds checks, not cached on disk."""
    return njit(error_model="numpy", boundscheck=True)(function)


def compile_wrapper(function: Callable[..., Any]) -> Any:
    """Compile a function of the package that calls a user's; not cached on disk."""
    return njit(error_model="numpy", nogil=True)(function)


def noinline() -> None:
    """Keep the compiled function that calls this out of line, so that there is one copy of its machine code."""


@type_callable(noinline)
def _noinline(context):
    return lambda: types.void


@lower_builtin(noinline)
def _lower_noinline(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.function.attributes.add("noinline")
    return context.get_dummy_value()
