"""Handles in compiled code: the address of the tuple, with a reference to the Python object."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import NativeValue, box, lower_builtin, models, register_model, type_callable, unbox

from gradopt._compiler.handles import HandleType, contents
from gradopt._compiler.numba_api import lowering

ir, cgutils, impl_ret_borrowed = lowering.ir, lowering.cgutils, lowering.impl_ret_borrowed


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
