"""Arrays in compiled loops as Numba compiles Python: with counted references, slices as views, copies on the heap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from gradopt._compiler.arrays import borrowed, copied, copy_back, matrix, on_stack, repeated, slice_of

_Tuple: Any = types.BaseTuple  # heterogeneous, uniform and named ones


@overload(borrowed)
def _borrowed(value):
    return lambda value: value


@overload(on_stack)
def _on_stack(static_length, array):
    if isinstance(static_length, types.NoneType):
        return lambda static_length, array: array
    return lambda static_length, array: copied(array)


@overload(matrix)
def _matrix(vector, start, rows, columns):
    def of_vector(vector, start, rows, columns):
        return vector.reshape(-1)[start : start + rows * columns].reshape(rows, columns)

    return of_vector


@overload(slice_of)
def _slice_of(vector, start, length):
    if isinstance(vector, types.Array):
        return lambda vector, start, length: vector[start : start + length]
    if isinstance(vector, types.BaseNamedTuple):
        named = vector.instance_class
        return lambda vector, start, length: named(*slice_of(vector[:], start, length))
    if len(vector) == 0:
        return lambda vector, start, length: ()
    return lambda vector, start, length: (
        slice_of(vector[0], start, length),
        *slice_of(vector[1:], start, length),
    )


@overload(repeated)
def _repeated(vector, start, rows, columns):
    def of_vector(vector, start, rows, columns):
        if rows == 0:
            return np.broadcast_to(np.zeros(1, vector.dtype), (0, columns))
        return np.broadcast_to(vector[start : start + columns], (rows, columns))

    return of_vector


@overload(copy_back)
def _copy_back(static_length, target, source):
    if isinstance(target, types.Array):

        def elements(static_length, target, source):
            to, source = target.reshape(-1), source.reshape(-1)
            for i in range(to.size):
                to[i] = source[i]

        return elements
    if isinstance(static_length, types.NoneType) or len(target) == 0:  # tuples of arrays are where they were
        return lambda static_length, target, source: None

    def items(static_length, target, source):
        copy_back(static_length, target[0], source[0])
        copy_back(static_length, target[1:], source[1:])

    return items
