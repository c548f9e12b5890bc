"""Handles with which users' compiled code receives nested tuples.

Numba unpacks a tuple before it passes it to the threads of a `prange`, but only one level deep, and can't hold tuples
with arrays of others in lists. A `CompiledHandle` is passed as the address of its tuple in memory, with a reference to
the Python object, so that it may stand in tuples, lists and typed lists.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import typeof_impl

from gradopt._compiler.numba_api import lowering

if lowering is not None:
    from gradopt._compiler.lowered.by_address import TupleInMemory
else:
    from gradopt._compiler.plain.by_address import TupleInMemory  # type: ignore[assignment]


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
        self._memory = TupleInMemory(value)
        self.address = self._memory.address

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
