"""Handles in compiled code: the tuple itself."""

from __future__ import annotations

from typing import Any

from numba.extending import NativeValue, box, make_attribute_wrapper, models, overload, register_model, unbox

from gradopt._compiler.handles import CompiledHandle, HandleType, contents


@register_model(HandleType)
class _Tuple(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, handle_type: Any) -> None:
        super().__init__(manager, handle_type, [("value", handle_type.inner)])


make_attribute_wrapper(HandleType, "value", "value")


@unbox(HandleType)
def _unbox(handle_type: Any, handle: Any, c: Any) -> Any:
    attribute = c.pyapi.object_getattr_string(handle, "value")
    native = c.unbox(handle_type.inner, attribute)
    c.pyapi.decref(attribute)
    struct = c.context.make_helper(c.builder, handle_type)
    struct.value = native.value
    return NativeValue(struct._getvalue(), is_error=native.is_error, cleanup=native.cleanup)


@box(HandleType)
def _box(handle_type: Any, value: Any, c: Any) -> Any:
    struct = c.context.make_helper(c.builder, handle_type, value)
    inner = c.box(handle_type.inner, struct.value)
    cls = c.pyapi.unserialize(c.pyapi.serialize_object(_again))
    handle = c.pyapi.call_function_objargs(cls, (inner,))
    c.pyapi.decref(inner)
    c.pyapi.decref(cls)
    return handle


def _again(value: Any) -> CompiledHandle:
    return CompiledHandle(value, "compiled(...)")


@overload(contents)
def _contents(handle):
    return lambda handle: handle.value
