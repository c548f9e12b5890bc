"""Handles with which nested tuples reach parallel loops.

Numba unpacks a tuple before it passes it to the threads of a `prange`, but only one level deep. A `CompiledHandle` is
passed as a pointer to memory of the function that was called from Python.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import NativeValue, lower_builtin, models, register_model, type_callable, typeof_impl, unbox


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

    def __repr__(self) -> str:
        return self._shown


def contents(handle: CompiledHandle) -> Any:
    """The tuple of a handle."""
    return handle.value


class _HandleType(types.Type):  # type: ignore[misc]
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
    return _HandleType(typeof_impl(value.value, context))


@register_model(_HandleType)
class _Pointer(models.OpaqueModel):  # type: ignore[misc]
    """The address of the tuple."""


@unbox(_HandleType)
def _unbox(handle_type: Any, value: Any, c: Any) -> Any:
    inner = c.pyapi.object_getattr_string(value, "value")
    native = c.unbox(handle_type.inner, inner)
    c.pyapi.decref(inner)
    place = cgutils.alloca_once_value(c.builder, native.value)
    pointer = c.builder.bitcast(place, ir.IntType(8).as_pointer())
    return NativeValue(pointer, is_error=native.is_error, cleanup=native.cleanup)


@type_callable(contents)
def _contents(context):
    return lambda handle: handle.inner


@lower_builtin(contents, _HandleType)
def _lower_contents(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    value_type = context.get_value_type(signature.return_type)
    value = builder.load(builder.bitcast(arguments[0], value_type.as_pointer()))
    return impl_ret_borrowed(context, builder, signature.return_type, value)
