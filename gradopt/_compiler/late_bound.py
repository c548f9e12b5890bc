"""Late-bound kernels, which are compiled separately from their callers and bound at the first call.

Numba copies the code of a callee into each caller and optimises it again there, at every level of calls: a kernel that
takes half a second, four levels deep and under three loops, costs half a minute. A late-bound kernel is compiled once
per signature, or loaded from the disk cache, and called through a pointer. The caller, which may come from the disk
cache itself, asks for the pointer when it first needs it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import pickle
from collections.abc import Callable
from inspect import signature
from typing import Any

from numba import njit, types
from numba.extending import lower_builtin

from gradopt._compiler.interrupts import interrupts_held_back
from gradopt._compiler.numba_api import binding, lock

ir, cgutils, global_compiler_lock = binding.ir, binding.cgutils, lock.global_compiler_lock

_BIND = "gradopt_bind"
_byte_pointer, _address = ir.IntType(8).as_pointer(), ir.IntType(64)


def bind_late(dispatcher: Any, inside: Callable[[], Any], like: str | None) -> Callable[..., Any]:
    """A late-bound kernel: calls the dispatcher from Python, and is bound to `inside()` in compiled code.

    It must be at the top level of its module. Callers must know the type of the result: unless the function is
    annotated to return None, or its result has the type of the argument `like`, it is compiled when its callers are.
    """
    parameters = signature(dispatcher.py_func).parameters
    returns_nothing = dispatcher.py_func.__annotations__.get("return", "") in (None, "None")
    same_as = None if like is None else list(parameters).index(like)

    @functools.wraps(dispatcher.py_func)
    def kernel(*arguments: Any) -> Any:
        return dispatcher(*arguments)

    kernel.inside = inside  # type: ignore[attr-defined]
    name = (dispatcher.py_func.__module__, dispatcher.py_func.__name__)

    @binding.infer
    class Template(binding.AbstractTemplate):  # type: ignore[misc]
        key = kernel

        def generic(self, arguments: Any, keywords: Any) -> Any:
            arguments = tuple(types.unliteral(argument) for argument in arguments)
            if returns_nothing or same_as is not None:
                result = types.none if same_as is None else arguments[same_as]
            else:
                result = _compiled(inside(), arguments).signature.return_type
            return binding.signature(result, *arguments)

    binding.infer_global(kernel, types.Function(Template))

    @lower_builtin(kernel, types.VarArg(types.Any))
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function_type = context.call_conv.get_function_type(signature.return_type, signature.args)
        pointer = builder.inttoptr(_bound(builder, (*name, signature.args)), function_type.as_pointer())
        status, result = context.call_conv.call_function(
            builder, pointer, signature.return_type, signature.args, arguments
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    return kernel


def _compiled(dispatcher: Any, arguments: Any) -> Any:
    if arguments not in dispatcher.overloads:
        dispatcher.compile(arguments)
    return dispatcher.overloads[arguments]


def _bound(builder: Any, what: tuple[Any, ...]) -> Any:
    """The kernel's address, read from a variable of the caller's module that is set at the first call."""
    module = builder.module
    name = pickle.dumps(what)
    cell = cgutils.add_global_variable(module, _address, module.get_unique_name("kernel"))
    cell.linkage, cell.initializer = "internal", _address(0)
    check, ask, go_on = (builder.append_basic_block(f"kernel.{step}") for step in ("check", "ask", "known"))
    builder.branch(check)
    builder.position_at_end(check)
    address = builder.load(cell)
    builder.cbranch(builder.icmp_unsigned("==", address, _address(0)), ask, go_on)
    builder.position_at_end(ask)
    bind_type = ir.FunctionType(ir.VoidType(), [_byte_pointer, _address, _address])
    bind = cgutils.get_or_insert_function(module, bind_type, _BIND)
    text = cgutils.global_constant(module, "kernel.name", cgutils.make_bytearray(name))
    where = builder.ptrtoint(cell, _address)
    builder.call(bind, [builder.bitcast(text, _byte_pointer), _address(len(name)), where])
    builder.branch(check)
    builder.position_at_end(go_on)
    return address


class KernelError(RuntimeError):
    """A kernel could not be compiled when a loop asked for it; the reason is the cause of this exception."""

    def __init__(self) -> None:
        reason = _failures[-1] if _failures else None  # Numba makes an instance more than once
        super().__init__("a kernel could not be compiled" + (f": {reason!r}" if reason else ""))
        self.__cause__ = reason
        while _cells_of_failures:  # the next call asks again
            ctypes.c_int64.from_address(_cells_of_failures.pop()).value = 0


_failures: list[BaseException] = []
_cells_of_failures: list[int] = []


@functools.cache
def _failing() -> Any:
    """Machine code that raises a KernelError. It ignores its arguments, so it may stand for any kernel."""
    options: Any = {"no_cpython_wrapper": True, "nogil": True}

    def fails():
        raise KernelError

    return _compiled(njit(**options)(fails), ())


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
def _bind(name: int, length: int, cell: int) -> None:
    # Nobody could catch an exception here: it is raised by what the caller calls in place of the kernel. A pending
    # interrupt is raised before the block and leaves the cell as it was: the caller asks again. (If this returned a
    # result, it would be garbage then.)
    with interrupts_held_back(later=True), global_compiler_lock:
        try:
            module, function, arguments = pickle.loads(ctypes.string_at(name, length))
            result = _compiled(getattr(importlib.import_module(module), function).inside(), arguments)
        except BaseException as error:
            _failures[:] = [error]
            _cells_of_failures.append(cell)
            result = _failing()
        address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        ctypes.c_int64.from_address(cell).value = address


binding.add_symbol(_BIND, ctypes.cast(_bind, ctypes.c_void_p).value)
