"""Arrays inside compiled loops: without reference counts, and in registers where they are small.

Numba counts references to arrays with atomic instructions, at several nanoseconds each. A loop whose caller keeps all
arrays alive does not need that: it works on `borrowed` values. Arrays whose length the compiler knows can live on the
stack, from where LLVM moves their elements into registers: `on_stack`. `lowered/arrays.py` does both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from gradopt._compiler.kernel import INLINE, INSIDE, STRICT

_Tuple: Any = types.BaseTuple  # heterogeneous, uniform and named ones


def borrowed(value: Any) -> Any:
    """The same array or (named) tuple of arrays without ownership, valid while the caller keeps it alive."""
    return value


def on_stack(static_length: tuple[int, ...] | None, array: Any) -> Any:
    """A copy of an array, or of a tuple of arrays, in the caller's stack frame.

    Parameters
    ----------
    static_length : tuple of n numbers, or None
        The length n of the tuple is that of every array; None leaves the arrays where they are, without ownership.
    array : array (n,), C order, or tuple of such arrays
        Read.
    """
    return array


def matrix(vector: Any, start: int, rows: int, columns: int) -> Any:
    """The matrix (rows, columns), C order, that begins at `start` of a C-order array; without ownership or checks."""
    return vector.reshape(-1)[start : start + rows * columns].reshape(rows, columns)


def slice_of(vector: Any, start: int, length: int) -> Any:
    """The elements of a C-order vector, or of each in a tuple, from `start` on; without ownership or checks."""
    if isinstance(vector, tuple):
        return tuple(item[start : start + length] for item in vector)
    return vector[start : start + length]


def repeated(vector: Any, start: int, rows: int, columns: int) -> Any:
    """The matrix (rows, columns) whose rows are all vector[start : start + columns]; read only, with a stride of 0."""
    if rows == 0:  # the vector may be too short then
        return vector[:0].reshape(0, columns)
    return np.broadcast_to(vector[start : start + columns], (rows, columns))


def in_place(X: Any, rows: Any, like: Any) -> Any:
    """Some rows of a matrix as a matrix without copy or ownership; a matrix of 0 rows where that is not possible.

    Parameters
    ----------
    X : array (m, n)
        Must be in C order.
    rows : int64 array
        Must be consecutive.
    like : float array, C order
        X must have its dtype.
    """
    consecutive = np.array_equal(rows, rows[:1] + np.arange(rows.size))
    return X[rows[0] : rows[0] + rows.size] if consecutive and X.dtype == like.dtype else X[:0]


def copied(value: Any) -> Any:
    """The same (named) tuple with a copy of each array in it; numbers stay as they are."""
    if isinstance(value, tuple):
        items = [copied(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value.copy() if isinstance(value, np.ndarray) else value


def zeros_for(count: tuple[int, ...], array: Any) -> tuple[Any, ...]:
    """A tuple of arrays of zeros like `array`, one per item of `count`."""
    return tuple(np.zeros_like(array) for _ in count)


def swapped(static_length: tuple[int, ...] | None, first: Any, second: Any) -> tuple[Any, Any]:
    """Two arrays with the contents of `second` and of `first`.

    Large arrays swap names. Arrays on the stack swap contents: they would not stay in registers if one name could mean
    either of them.
    """
    return second, first


def copy_back(static_length: tuple[int, ...] | None, target: Any, source: Any) -> None:
    """Copy an array or tuple of arrays from `source`, which the loop holds, to `target`, which its caller holds."""
    if not isinstance(source, tuple):
        target[:] = source


@overload(in_place, jit_options=STRICT | INSIDE)
def _in_place(X, rows, like):
    if X.layout != "C" or X.dtype != like.dtype:
        return lambda X, rows, like: matrix(like, 0, 0, X.shape[1])

    def if_consecutive(X, rows, like):
        gaps = 0
        for i in range(rows.size):
            gaps += rows[i] != rows[0] + i
        return matrix(X, rows[0] * X.shape[1], rows.size if gaps == 0 else 0, X.shape[1])

    return if_consecutive


@overload(zeros_for)
def _zeros_for(count, array):
    if len(count) == 0:
        return lambda count, array: ()
    return lambda count, array: (np.zeros_like(array), *zeros_for(count[1:], array))


@overload(copied)
def _copied(value):
    if isinstance(value, types.Array):
        return lambda value: value.copy()
    if not isinstance(value, _Tuple):
        return lambda value: value
    if isinstance(value, types.BaseNamedTuple):
        named = value.instance_class
        return lambda value: named(*copied(value[:]))
    if len(value) == 0:
        return lambda value: ()
    return lambda value: (copied(value[0]), *copied(value[1:]))


@overload(swapped, jit_options=STRICT | INLINE)
def _swapped(static_length, first, second):
    if isinstance(static_length, types.NoneType):
        return lambda static_length, first, second: (second, first)

    def swapped(static_length, first, second):
        for j in range(first.size):
            first[j], second[j] = second[j], first[j]
        return first, second

    return swapped
