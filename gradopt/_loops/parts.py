"""Updates of parts of the parameters, each with its own settings of the method."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._compiler import kernel, slice_of
from gradopt._core.protocol import update


class Parts(NamedTuple):
    """Parts that follow one another, from the first parameter to the last."""

    methods: tuple[Any, ...]  # lowered, all of one class
    which: NDArray[np.int64]  # (m,) the number of the method of each part; -1 if it stays as it is
    ends: NDArray[np.int64]  # (m,) where each part ends


@kernel(inline=True)
def update_parts(parts, method, slots, x, grad, rate, k) -> None:
    """Call `update` for each part with its method, or, if parts is None, for all parameters with `method`.

    slots : tuple of float arrays (n,), written
    x : float array (n,), written
    grad : float array (n,), read
    """
    if parts is None:
        update(method, slots, x, grad, rate, k)
    else:
        end = 0
        for part in range(parts.which.size):
            start, end = end, parts.ends[part]
            if parts.which[part] >= 0:
                pieces = slice_of(slots, start, end - start)
                new_x, slope = slice_of(x, start, end - start), slice_of(grad, start, end - start)
                update(parts.methods[parts.which[part]], pieces, new_x, slope, rate, k)
