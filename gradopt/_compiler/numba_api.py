"""The parts of Numba and llvmlite that are not public, each group with a switch. No other file names any of them.

A group is a namespace of its names, or None if one of them is missing or does not behave as expected. Whoever uses a
group has a fallback for None, which is slower but right:

compiler    LLVM optimises each kernel once -> Numba's own pipeline, and its public options
dispatcher  one form of a kernel for calls from Python, one for calls from kernels -> one for both; and a Ctrl-C that
            waits until a kernel is compiled -> it may be lost
cache       machine code on disk, by the sources of the package -> each process compiles
binding     late-bound kernels -> calls that Numba compiles into the caller, again for each caller
lowering    borrowed arrays, calls by address, vector registers, flushed subnormals -> what Numba makes of Python
rewriting   data that users' functions take from outside -> they are part of the code, and other data compiled anew
events      the time spent compiling, and the notice -> NaN, and no notice
lock        forks that wait for the compiler -> a fork while another thread compiles may hang

GRADOPT_PLAIN_NUMBA=1 sets all of them to None: the package then runs on Numba's public interface alone.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from numba import types

PLAIN = os.environ.get("GRADOPT_PLAIN_NUMBA", "") not in ("", "0")

# Group -> module -> the names that the group uses of it.
NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "compiler": {
        "numba.core.codegen": ("JITCodeLibrary",),
        "numba.core.compiler": ("CompilerBase", "DefaultPassBuilder"),
        "numba.core.compiler_machinery": ("PassManager", "register_pass"),
        "numba.core.cpu": ("CPUTargetOptions",),
        "numba.core.typed_passes": ("NativeLowering",),
    },
    "dispatcher": {"numba.core.dispatcher": ("Dispatcher",)},
    "cache": {
        "numba.core.caching": ("FunctionCache", "IndexDataCacheFile"),
        "numba.core.serialize": ("dumps",),
    },
    "binding": {
        "llvmlite": ("ir",),
        "llvmlite.binding": ("add_symbol",),
        "numba.core": ("cgutils",),
        "numba.core.typing.templates": ("AbstractTemplate", "infer", "infer_global", "signature"),
    },
    "lowering": {
        "llvmlite": ("ir",),
        "llvmlite.binding": ("add_symbol", "get_host_cpu_features"),
        "numba.core": ("cgutils",),
        "numba.core.datamodel": ("default_manager",),
        "numba.core.imputils": ("impl_ret_borrowed",),
        "numba.core.registry": ("cpu_target",),
        "numba.np.arrayobj": ("make_array", "populate_array"),
    },
    "rewriting": {
        "numba.core": ("ir",),
        "numba.core.compiler": ("CompilerBase", "DefaultPassBuilder"),
        "numba.core.compiler_machinery": ("FunctionPass", "register_pass"),
        "numba.core.ir_utils": ("build_definitions", "get_definition", "guard"),
        "numba.core.untyped_passes": ("InlineClosureLikes", "IRProcessing"),
    },
    "events": {"numba.core.event": ("Listener", "TimingListener", "register")},
    "lock": {"numba.core.compiler_lock": ("global_compiler_lock",)},
}


def _group(name: str, *needs: Any, works: Callable[[Any], bool] = lambda group: True) -> Any:
    """A group by its name; None if a name or a group that it needs is missing, or it does not behave as expected."""
    if PLAIN or None in needs:
        return None
    try:
        modules = [(importlib.import_module(module), names) for module, names in NAMES[name].items()]
        group = SimpleNamespace(**{name: getattr(module, name) for module, names in modules for name in names})
        return group if works(group) else None
    except Exception:  # whatever another version of Numba does
        return None


def _has(owner: Any, *names: str) -> bool:
    return all(hasattr(owner, name) for name in names)


def _compiles_once(group: Any) -> bool:
    return (
        _has(group.JITCodeLibrary, "_optimize_functions", "_optimize_final_module", "enable_object_caching")
        and _has(group.CPUTargetOptions, "forceinline", "no_cfunc_wrapper", "no_cpython_wrapper")
        and _has(group.DefaultPassBuilder, "define_nopython_pipeline")
        and _has(group.NativeLowering, "run_pass")
    )


def _dispatches(group: Any) -> bool:
    return _has(group.Dispatcher, "enable_caching", "compile", "get_call_template", "get_overload", "_reset_overloads")


def _caches(group: Any) -> bool:
    return _has(group.FunctionCache, "_index_key", "load_overload", "save_overload", "flush", "cache_path") and _has(
        group.IndexDataCacheFile, "_data_path", "_dump", "_load_index", "_open_for_write", "_save_index"
    )


def _arrays_are_as_expected(group: Any) -> bool:
    """Whether an array consists of what `by_address` writes into memory."""
    fields = ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides")
    return tuple(group.default_manager.lookup(types.float64[:, ::1])._fields) == fields


def _locks(group: Any) -> bool:
    return _has(group.global_compiler_lock, "acquire", "release", "__enter__", "__call__")


def _times(group: Any) -> bool:
    return _has(group.TimingListener, "on_start", "on_end", "duration", "done")


compiler = _group("compiler", works=_compiles_once)
dispatcher = _group("dispatcher", works=_dispatches)
lock = _group("lock", works=_locks)
cache = _group("cache", dispatcher, works=_caches)
binding = _group("binding", dispatcher, lock)
lowering = _group("lowering", dispatcher, lock, works=_arrays_are_as_expected)
rewriting = _group("rewriting", lowering)
events = _group("events", works=_times)

# What machine code depends on besides the sources.
PRESENT = tuple(name for name in NAMES if globals()[name] is not None)
