"""Arrays that begin at a cache line.

NumPy aligns arrays to 16 bytes only. Vector loads then cross the ends of cache lines, and each of these needs two
lines, which costs an eighth of the time or more for arrays in the cache. Arrays that a run reads often are allocated
here.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64  # bytes of a cache line, and of the widest vector register
_FEW = 64  # elements; smaller arrays are not worth aligning


def aligned_copy(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """A copy, C order, that begins at a multiple of 64 bytes if it has 64 elements or more."""
    if array.size < _FEW:
        return np.array(array, dtype, order="C")
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    copy = _beginning_at_a_line(np.empty(array.size * dtype.itemsize + _LINE, np.uint8), dtype).reshape(array.shape)
    copy[...] = array
    return copy


def as_dtype(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """A C-order array itself if it has this dtype, else an aligned copy; `writable` either way."""
    return writable(array) if array.dtype == dtype else aligned_copy(array, dtype)


def writable(array: NDArray[Any]) -> NDArray[Any]:
    """A writable view of an array, if its memory can be written: compiled code has one type for both kinds."""
    if array.flags.writeable or type(array) is not np.ndarray:
        return array
    view = array.view()
    with contextlib.suppress(ValueError):
        view.flags.writeable = True
    return view


def aligned_zeros(n: int, dtype: Any) -> NDArray[Any]:
    """Zeros (n,), aligned in the same way."""
    if n < _FEW:
        return np.zeros(n, dtype)
    dtype = np.dtype(dtype)
    return _beginning_at_a_line(np.zeros(n * dtype.itemsize + _LINE, np.uint8), dtype)


def _beginning_at_a_line(space: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    begin = -space.ctypes.data % _LINE
    return space[begin : begin + space.size - _LINE].view(dtype)
