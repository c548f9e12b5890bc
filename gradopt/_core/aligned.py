"""Arrays that begin where a line of the cache begins.

NumPy promises 16 bytes. Vector loads then reach over the ends of lines, and each of these takes two: of arrays that are
in the cache, an eighth of the time and more. What a run reads again and again is allocated here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64  # bytes, of a cache line and of the widest vector register
_FEW = 64  # elements of an array that is not worth it


def aligned_copy(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """A copy, C order, that begins at a multiple of 64 bytes if it has 64 elements."""
    if array.size < _FEW:
        return np.array(array, dtype, order="C")
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    copy = _beginning_at_a_line(np.empty(array.size * dtype.itemsize + _LINE, np.uint8), dtype).reshape(array.shape)
    copy[...] = array
    return copy


def as_dtype(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """A C-order array itself if it has this dtype, else such a copy."""
    return array if array.dtype == dtype else aligned_copy(array, dtype)


def aligned_zeros(n: int, dtype: Any) -> NDArray[Any]:
    """Zeros (n,), likewise."""
    if n < _FEW:
        return np.zeros(n, dtype)
    dtype = np.dtype(dtype)
    return _beginning_at_a_line(np.zeros(n * dtype.itemsize + _LINE, np.uint8), dtype)


def _beginning_at_a_line(space: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    begin = -space.ctypes.data % _LINE
    return space[begin : begin + space.size - _LINE].view(dtype)
