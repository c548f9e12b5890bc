"""Handles with which users' compiled code receives nested tuples.

Numba unpacks a tuple before it passes it to the threads of a `prange`, but only one level deep, and can't hold tuples
with arrays of others in lists. A `CompiledHandle` is passed as the address of its tuple in memory, with a reference to
the Python object, so that it may stand in tuples, lists and typed lists.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import (
    NativeValue,
    box,
    lower_builtin,
    models,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from gradopt._compiler.by_address import TupleInMemory
from gradopt._compiler.kernel import COMPILING


class CompiledHandle:
    """A handle to a tuple, which compiled functions get with `contents`.

    Parameters
    ----------
    value : tuple
    shown : str
        The repr.
    keep : object
        Kept alive as long as the handle.
    """

    def __init__(self, value: tuple[Any, ...], shown: str, keep: Any = None) -> None:
        self.value, self._shown, self._keep = value, shown, keep
        self._memory = TupleInMemory(value) if COMPILING else None
        self.address = 0 if self._memory is None else self._memory.address

    def __repr__(self) -> str:
        return self._shown


def contents(handle: CompiledHandle) -> Any:
    """The tuple of a handle; it does not own its arrays."""
    return handle.value


class HandleType(types.Type):  # type: ignore[misc]
    """The Numba type of a handle; inner : the type of its tuple."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        super().__init__(f"CompiledHandle({inner})")

    @property
    def types(self) -> tuple[Any, ...]:
        """The types inside, as for a tuple: the disk cache looks here for users' classes, which it must not store."""
        return (self.inner,)

    @property
    def key(self) -> Any:
        return self.inner


@typeof_impl.register(CompiledHandle)
def _typeof(value: CompiledHandle, context: Any) -> Any:
    return HandleType(typeof_impl(value.value, context))


@register_model(HandleType)
class _Reference(models.StructModel):  # type: ignore[misc]
    """A reference that keeps the Python object alive, its address, and that of the tuple."""

    def __init__(self, manager: Any, handle_type: Any) -> None:
        members = [("owner", types.MemInfoPointer(types.voidptr)), ("python", types.voidptr), ("address", types.intp)]
        super().__init__(manager, handle_type, members)


@unbox(HandleType)
def _unbox(handle_type: Any, value: Any, c: Any) -> Any:
    attribute = c.pyapi.object_getattr_string(value, "address")
    native = c.unbox(types.intp, attribute)
    c.pyapi.decref(attribute)
    reference = cgutils.create_struct_proxy(handle_type)(c.context, c.builder)
    pointer = c.builder.inttoptr(native.value, ir.IntType(8).as_pointer())
    reference.owner = c.pyapi.nrt_meminfo_new_from_pyobject(pointer, value)
    reference.python = c.builder.bitcast(value, reference.python.type)
    reference.address = native.value
    return NativeValue(reference._getvalue(), is_error=native.is_error)


@box(HandleType)
def _box(handle_type: Any, value: Any, c: Any) -> Any:
    reference = cgutils.create_struct_proxy(handle_type)(c.context, c.builder, value)
    python = c.builder.bitcast(reference.python, c.pyapi.pyobj)
    c.pyapi.incref(python)
    c.context.nrt.decref(c.builder, handle_type, value)
    return python


@type_callable(contents)
def _contents(context):
    return lambda handle: handle.inner


@lower_builtin(contents, HandleType)
def _lower_contents(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    reference = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
    value_type = context.get_value_type(signature.return_type)
    value = builder.load(builder.inttoptr(reference.address, value_type.as_pointer()))
    return impl_ret_borrowed(context, builder, signature.return_type, value)
