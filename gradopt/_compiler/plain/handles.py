"""Handles in compiled code: references to a copy of the tuple on Numba's heap."""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.experimental import structref
from numba.extending import NativeValue, box, make_attribute_wrapper, models, overload, register_model, unbox

from gradopt._compiler.handles import CompiledHandle, HandleType, contents


@structref.register
class _OnHeap(types.StructRef):  # type: ignore[misc, name-defined]
    """The Numba type of a reference to a tuple on the heap."""


class _Reference(structref.StructRefProxy):  # type: ignore[misc]
    """A reference to a tuple on the heap, in Python."""


structref.define_proxy(_Reference, _OnHeap, ["value"])


def _reference_of(handle: CompiledHandle) -> Any:
    if "reference" not in handle.__dict__:
        handle.__dict__["reference"] = _Reference(handle.value)
    return handle.__dict__["reference"]


def _handle_of(reference: Any) -> CompiledHandle:
    return CompiledHandle(_value_of(reference), "compiled(...)")


@njit
def _value_of(reference):
    return reference.value


@register_model(HandleType)
class _Handle(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, handle_type: Any) -> None:
        super().__init__(manager, handle_type, [("reference", _reference_type(handle_type))])


def _reference_type(handle_type: Any) -> Any:
    return _OnHeap([("value", handle_type.inner)])


make_attribute_wrapper(HandleType, "reference", "reference")


def _called(c: Any, function: Any, argument: Any) -> Any:
    """What a Python function returns for an object."""
    callee = c.pyapi.unserialize(c.pyapi.serialize_object(function))
    result = c.pyapi.call_function_objargs(callee, (argument,))
    c.pyapi.decref(callee)
    return result


@unbox(HandleType)
def _unbox(handle_type: Any, handle: Any, c: Any) -> Any:
    reference = _called(c, _reference_of, handle)
    native = c.unbox(_reference_type(handle_type), reference)
    c.pyapi.decref(reference)
    struct = c.context.make_helper(c.builder, handle_type)
    struct.reference = native.value
    return NativeValue(struct._getvalue(), is_error=native.is_error)


@box(HandleType)
def _box(handle_type: Any, value: Any, c: Any) -> Any:
    struct = c.context.make_helper(c.builder, handle_type, value)
    reference = c.box(_reference_type(handle_type), struct.reference)
    handle = _called(c, _handle_of, reference)
    c.pyapi.decref(reference)
    return handle


@overload(contents)
def _contents(handle):
    return lambda handle: handle.reference.value
