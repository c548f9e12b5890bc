"""The program that the machine receives, and the numbers that occur in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Program(NamedTuple):
    """The program that the machine receives.

    Attributes
    ----------
    program : uint32 array (rows, 5), C order
        Instructions: number, place of the result, places of up to three inputs; for those that move elements, the array
        (one of X, CONSTANTS, WORK, GRAD) and the place in it or the place of a geometry in `tables`.
    stages : int64 array (stages, 5), C order
        The kind; then, for stages of rows, the first row, the end, the size of the arrays and of the pieces; for other
        kinds, what their kernels say.
    tables : int64 array
        Geometries: offset, number of axes, then length and stride of each axis, from the last to the first; or places
        one by one.
    constants : float array
        Large arrays that do not depend on x.
    """

    program: NDArray[np.uint32]
    stages: NDArray[np.int64]
    tables: NDArray[np.int64]
    constants: NDArray[Any]


X, CONSTANTS, WORK, GRAD = range(4)

# Kinds of stages.
START, SCALARS, PIECES, CLEAR, MATMUL, CUMSUM, OTHER_PRODUCTS, ORDER, TAKEN, PUT_BACK, MATRICES, RESULT = range(12)
SELECT, TEST, UNKNOWN = range(12, 15)  # for functions with branches

# How a store combines with the existing elements, in the order of `graph.evaluate.HOW`; the last one replaces them.
COMBINE_ADD, COMBINE_MULTIPLY, COMBINE_MAXIMUM, COMBINE_MINIMUM, REPLACE = range(5)

# Piece places from IN_MEMORY on are those of arrays in `work`, from IN_X on of arrays in x; there are PLACES of each.
IN_MEMORY, IN_X, PLACES = 2 << 30, 3 << 30, 1 << 30
