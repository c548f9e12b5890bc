"""The Numba types of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import typeof, types

_PLAIN: Any = (types.Number, types.Boolean, types.NoneType, types.Dispatcher)

_types: dict[Any, Any] = {}


def type_of(value: Any) -> Any:
    """The Numba type of a value, as from numba.typeof; ten times faster for arrays, floats and tuples of these."""
    kind = _kind(value)
    if kind is None:
        return typeof(value)
    found = _types.get(kind)
    if found is None:
        found = _types[kind] = typeof(value)
    return found


def _kind(value: Any) -> Any:
    """A key that determines the Numba type of a value; None for other values than arrays, floats and their tuples."""
    if type(value) is np.ndarray:
        flags = value.flags
        return value.dtype, value.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    if type(value) is tuple:
        kinds = tuple(_kind(item) for item in value)
        return None if None in kinds else (tuple, kinds)
    return float if type(value) is float else None


def require_plain(numba_type: Any) -> None:
    """Raise a TypeError unless a value of this type owns nothing but arrays of numbers."""
    if isinstance(numba_type, types.BaseTuple):
        for item in numba_type.types:  # type: ignore[attr-defined]
            require_plain(item)
    elif isinstance(numba_type, types.Array):
        require_plain(numba_type.dtype)
    elif not isinstance(numba_type, _PLAIN):
        raise TypeError(f"args may hold numbers, arrays of numbers and tuples of these, got a {numba_type}")


def is_of_this_package(numba_type: Any) -> bool:
    """Whether a Numba type contains no user's function or class."""
    if isinstance(numba_type, types.Callable):
        return False
    named_tuple = getattr(numba_type, "instance_class", None)
    if named_tuple is not None and named_tuple.__module__.split(".")[0] != "gradopt":
        return False
    return all(map(is_of_this_package, getattr(numba_type, "types", ())))
