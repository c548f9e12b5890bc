"""The machine that runs tapes: kernels that are compiled once for all tapes.

A tape is data (see `Program`): stages, which run one after the other, and rows, of which most stages consist. A row is
an instruction: its number, the place of its result, and the places of its inputs. Places are in `work`.

- The rows of a scalar stage work on scalars.
- A stage of pieces goes through arrays of one size piece by piece, and does all its rows for one piece before the next,
  so that intermediate results stay in the cache. A place is that of a piece, used again for the next piece; from
  IN_MEMORY on it is that of a whole array in `work`, from IN_X on that of one in x, and each piece is a part of it.
- The other stages clear accumulators, multiply matrices, take running sums and products, and sort.

The arrays of all kernels: program uint32 (rows, 5), stages and tables int64, as in `Program`, read; constants float
(any,), read; work float (any,), written; grad float (n,), written; x float (n,), read; all C order, none overlapping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from gradopt._compiler import borrowed, elementwise, kernel, matrix, slice_of, summation, type_of, unpacking
from gradopt._numerics.matmul import product
from gradopt._tape.machine.elements import cheap, expensive, of_scalar, specials, with_scalar
from gradopt._tape.machine.matrices import of_matrices
from gradopt._tape.machine.opcodes import (
    FILL,
    FIRST_EXPENSIVE,
    FIRST_SPECIAL,
    GET,
    LOAD,
    LOAD_AT,
    LOAD_VIEW,
    PLUS,
    PUT,
    STORE,
    STORE_VIEW,
)
from gradopt._tape.machine.orders import order_lines
from gradopt._tape.machine.program import (
    CLEAR,
    COMBINE_MAXIMUM,
    COMBINE_MINIMUM,
    COMBINE_MULTIPLY,
    CUMSUM,
    IN_MEMORY,
    IN_X,
    MATMUL,
    MATRICES,
    OTHER_PRODUCTS,
    PIECES,
    RESULT,
    SCALARS,
    SELECT,
    START,
    TEST,
    UNKNOWN,
)
from gradopt._tape.machine.transfers import chosen, copy, fill, load_at, load_view, store, store_at, store_view


@kernel(late_bound=True)
def scalars(program, first, end, constants, grad, work, x) -> None:
    """Run a scalar stage."""
    grad, work, x, constants = borrowed(grad), borrowed(work), borrowed(x), borrowed(constants)
    real = work.dtype.type
    zero, half, one = real(0.0), real(0.5), real(1.0)
    for row in range(first, end):
        operation, o, a, b = program[row, 0], program[row, 1], program[row, 2], program[row, 3]
        if operation < GET:
            work[o] = of_scalar(operation, work[a], work[b], work[program[row, 4]], zero, half, one)
        elif operation == GET:
            work[o] = chosen(a, constants, grad, work, x)[b]
        elif operation == PUT:
            chosen(a, constants, grad, work, x)[b] = work[o]
        else:
            chosen(a, constants, grad, work, x)[b] += work[o]


@kernel(late_bound=True)
def pieces(program, first, end, size, length, tables, arrays) -> None:
    """Run a stage of pieces of `length` on arrays of `size`; arrays = (constants, grad, work, x)."""
    constants, grad, work, x = borrowed(arrays)
    tables = borrowed(tables)
    begin = 0
    while begin < size:
        m = min(length, size - begin)
        for row in range(first, end):
            operation, o, a, b = program[row, 0], program[row, 1], program[row, 2], program[row, 3]
            if operation < GET:
                out = slice_of(work, _place(o, begin), m)
                u, v, w = (
                    _input(a, begin, m, work, x),
                    _input(b, begin, m, work, x),
                    _input(program[row, 4], begin, m, work, x),
                )
                if operation < FIRST_EXPENSIVE:
                    cheap(operation, out, u, v, w)
                elif operation < FIRST_SPECIAL:
                    expensive(operation, out, u, v)
                else:
                    specials(operation, out, u, v, w)
            elif operation >= PLUS:
                with_scalar(operation, slice_of(work, _place(o, begin), m), _input(a, begin, m, work, x), work[b])
            elif operation == FILL:
                if begin == 0:
                    fill(slice_of(work, o, min(length, size)), work[a])
            else:
                piece = slice_of(work, _place(o, begin), m)
                array = chosen(a, constants, grad, work, x)
                how = program[row, 4]
                if operation == LOAD:
                    copy(piece, slice_of(array, b + begin, m))
                elif operation == STORE:
                    store(how, slice_of(array, b + begin, m), piece)
                elif operation == LOAD_VIEW:
                    load_view(piece, array, tables, b, begin)
                elif operation == STORE_VIEW:
                    store_view(how, array, piece, tables, b, begin)
                elif operation == LOAD_AT:
                    load_at(piece, array, slice_of(tables, b + begin, m))
                else:
                    store_at(how, array, piece, slice_of(tables, b + begin, m))
        begin += length


@kernel(inline=True)
def _input(place, begin, m, work, x):
    """An input piece, from `work` or x."""
    if place < IN_X:
        return slice_of(work, _place(place, begin), m)
    return slice_of(x, place - IN_X + begin, m)


@kernel(inline=True)
def _place(place, begin):
    """The index in `work` at which the piece begins."""
    return place if place < IN_MEMORY else place - IN_MEMORY + begin


# The other stages.


@kernel(inline=True)
def _clear(array, first, size, value):
    for i in range(size):
        array[np.uint64(first + i)] = value


@kernel(inline=True)
def _matrix(array, first, rows, columns):
    return matrix(borrowed(array), first, rows, columns)


@kernel(late_bound=True)
def _multiply(tables, at, arrays) -> None:
    """Compute the products c = a b of the matrices of two stacks.

    tables[at:] : the place of c in `work`; m, k, n; for a and for b the array, the place in it, and 1 if it is stored
    transposed; the place of a scratch matrix (k, n) for b; how many matrices, which lie one after the other
    """
    constants, grad, work, x = borrowed(arrays)
    m, k, n = tables[at + 1], tables[at + 2], tables[at + 3]
    a, turned_a = chosen(tables[at + 4], constants, grad, work, x), tables[at + 6]
    b, turned_b = chosen(tables[at + 7], constants, grad, work, x), tables[at + 9]
    for i in range(tables[at + 11]):
        c, first_a, first_b = tables[at] + i * m * n, tables[at + 5] + i * m * k, tables[at + 8] + i * k * n
        _multiply_one(work, c, a, first_a, turned_a, b, first_b, turned_b, m, k, n, tables[at + 10])


@kernel(inline=True)
def _multiply_one(work, place, a, first_a, turned_a, b, first_b, turned_b, m, k, n, scratch):
    if n == 1:
        vector, out = slice_of(b, first_b, k), slice_of(work, place, m)
        if turned_a:
            _vector_times(out, vector, _matrix(a, first_a, k, m))
        else:
            _times_vector(out, _matrix(a, first_a, m, k), vector)
        return
    if m == 1:
        vector, out = slice_of(a, first_a, k), slice_of(work, place, n)
        if turned_b:
            _times_vector(out, _matrix(b, first_b, n, k), vector)
        else:
            _vector_times(out, vector, _matrix(b, first_b, k, n))
        return
    right = _matrix(b, first_b, k, n)
    if turned_b:
        source = _matrix(b, first_b, n, k)
        right = _matrix(work, scratch, k, n)
        for i in range(k):
            for j in range(n):
                right[i, j] = source[j, i]
    c = _matrix(work, place, m, n)
    if turned_a:
        product(c, c[:0, :], _matrix(a, first_a, k, m).T, right)
    else:
        product(c, c[:0, :], _matrix(a, first_a, m, k), right)


@summation(late_bound=True)
def _times_vector(out, a, v) -> None:
    """Compute out = a v, four rows at a time, so that v is read a fourth as often."""
    m, k = a.shape
    zero = out.dtype.type(0.0)
    i = 0
    while i + 4 <= m:
        p, q, r, s = zero, zero, zero, zero
        for j in range(k):
            p += a[i, j] * v[j]
            q += a[i + 1, j] * v[j]
            r += a[i + 2, j] * v[j]
            s += a[i + 3, j] * v[j]
        out[i], out[i + 1], out[i + 2], out[i + 3] = p, q, r, s
        i += 4
    while i < m:
        p = zero
        for j in range(k):
            p += a[i, j] * v[j]
        out[i] = p
        i += 1


@elementwise
def _vector_times(out, v, a) -> None:
    """Compute out = v a, four rows at a time, so that out is read and written a fourth as often."""
    k, n = a.shape
    zero = out.dtype.type(0.0)
    for j in range(n):
        out[j] = zero
    i = 0
    while i + 4 <= k:
        p, q, r, s = v[i], v[i + 1], v[i + 2], v[i + 3]
        for j in range(n):
            out[j] += (p * a[i, j] + q * a[i + 1, j]) + (r * a[i + 2, j] + s * a[i + 3, j])
        i += 4
    while i < k:
        p = v[i]
        for j in range(n):
            out[j] += p * a[i, j]
        i += 1


@kernel(late_bound=True)
def _run(kind, tables, at, arrays) -> None:
    """Compute running sums along lines, or for each element the product of the others in its line.

    tables[at:] : the place of the result in `work`, the number of lines, their length; for the input the array, the
    place of its first element, the stride between lines, and that between elements
    """
    constants, grad, work, x = borrowed(arrays)
    out, lines, length = tables[at], tables[at + 1], tables[at + 2]
    source, first = chosen(tables[at + 3], constants, grad, work, x), tables[at + 4]
    between, step = tables[at + 5], tables[at + 6]
    one = work.dtype.type(1.0)
    for line in range(lines):
        begin, to = first + line * between, out + line * length
        if kind == CUMSUM:
            total = source[np.uint64(begin)]
            work[np.uint64(to)] = total
            for i in range(1, length):
                total += source[np.uint64(begin + i * step)]
                work[np.uint64(to + i)] = total
        else:
            before = one
            for i in range(length):
                work[np.uint64(to + i)] = before
                before *= source[np.uint64(begin + i * step)]
            after = one
            for i in range(length - 1, -1, -1):
                work[np.uint64(to + i)] *= after
                after *= source[np.uint64(begin + i * step)]


@kernel(late_bound=True)
def run(program, grad, work, x):
    """Run a tape from its first stage to its last: writes the gradient, returns the objective as float64.

    The tape of a function with branches consists of several paths, of which it tries one after the other until all
    guards of one hold; where none does, all is NaN, and x is kept for whoever knows the function.
    """
    program, stages, tables, constants = borrowed(program)
    grad, work, x = borrowed(grad), borrowed(work), borrowed(x)
    real = work.dtype.type
    fun = 0.0
    arrays = constants, grad, work, x
    stage, tried = 0, 0
    while stage < stages.shape[0]:
        kind, first, end = stages[stage, 0], stages[stage, 1], stages[stage, 2]
        if kind == SCALARS:
            scalars(program, first, end, constants, grad, work, x)
        elif kind == PIECES:
            pieces(program, first, end, stages[stage, 3], stages[stage, 4], tables, arrays)
        elif kind == START:
            for i in range(first):
                work[i] = x[i]
        elif kind == CLEAR:  # set elements of an array, from `first` on, to the neutral element of a combination
            how = stages[stage, 4]
            value = real(1.0) if how == COMBINE_MULTIPLY else real(0.0)
            value = real(-np.inf) if how == COMBINE_MAXIMUM else (real(np.inf) if how == COMBINE_MINIMUM else value)
            _clear(chosen(end, constants, grad, work, x), first, stages[stage, 3], value)
        elif kind == MATMUL:
            _multiply(tables, first, arrays)
        elif kind == RESULT:
            fun = np.float64(work[np.uint64(first)])
        elif kind in (CUMSUM, OTHER_PRODUCTS):
            _run(kind, tables, first, arrays)
        elif kind == MATRICES:
            of_matrices(tables, first, arrays)
        elif kind == SELECT:
            stage = max(np.int64(work[first]), stage + 1)
            continue
        elif kind == TEST:
            if _guards_hold(tables, first, stages[stage, 4], work):
                work[tables[stages[stage, 4] + 1]] = stages[stage, 3]
                return np.float64(work[np.uint64(end)])
            tried += 1
        elif kind == UNKNOWN:
            if tried < stages[stage, 3]:
                stage = end
                continue
            return _unknown(grad, work, x, first)
        else:
            order_lines(kind, tables, first, arrays)
        stage += 1
    return fun


@kernel(inline=True)
def _guards_hold(tables, at, end, work):
    """Whether the guards, pairs of a place and an outcome, are what they are on a path."""
    hold = True
    for i in range(at, at + 2 * tables[end], 2):
        hold = hold and work[np.uint64(tables[i])] == tables[i + 1]
    return hold


@kernel(inline=True)
def _unknown(grad, work, x, memory):
    """Fill the gradient with NaN, and keep the first x that is on no known path."""
    for i in range(grad.size):
        grad[i] = np.nan
    if work[memory + 1] == 0.0:
        work[memory + 1] = 1.0
        for i in range(x.size):
            work[memory + 2 + i] = x[i]
    return np.nan


# For loops that call the machine by its address.

_TYPES = {
    dtype: type_of((np.zeros((1, 5), np.uint32), np.zeros((1, 5), np.int64), np.zeros(1, np.int64), np.zeros(1, dtype)))
    for dtype in (np.float32, np.float64)
}
_unpack_single, _unpack_double = (unpacking(packed_type) for packed_type in _TYPES.values())


def _unpacked(data: int, work: Any) -> Any:
    """The program at an address."""


@overload(_unpacked)
def _(data, work):
    if work.dtype == types.float32:
        return lambda data, work: _unpack_single(data)
    return lambda data, work: _unpack_double(data)


@kernel
def evaluate(data, grad, work, x):
    """`run` for the program that a `TupleInMemory` holds at the address `data`."""
    return run(_unpacked(data, work), grad, work, x)
