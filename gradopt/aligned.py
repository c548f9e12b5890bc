"""Arrays that begin where a line of the cache begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64  # bytes, of a cache line and of the widest vector register


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy, C order, that begins at a multiple of 64 bytes.

    NumPy promises 16. Elsewhere vector loads reach over the end of a line, and each of these takes two: for arrays in
    the cache nearest to the processor that is felt.
    """
    space = np.empty(array.nbytes + _LINE, np.uint8)
    begin = -space.ctypes.data % _LINE
    copy = space[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
