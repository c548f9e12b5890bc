"""Transfers of elements between a piece and an array: in a line, by a geometry, or by places.

piece : float array (m,), C order
array : float array (any,), C order; does not overlap the piece
tables : int64 array, as in `Program`, read
"""

from __future__ import annotations

import numpy as np

from gradopt._compiler import borrowed, kernel, slice_of, summation
from gradopt._tape.machine.program import (
    COMBINE_ADD,
    COMBINE_MAXIMUM,
    COMBINE_MINIMUM,
    COMBINE_MULTIPLY,
    GRAD,
    REPLACE,
    WORK,
    X,
)


@kernel(inline=True)
def chosen(array, constants, grad, work, x):
    """The array with a given number: X, CONSTANTS, WORK or GRAD."""
    if array == WORK:
        return work
    if array == X:
        return x
    return grad if array == GRAD else constants


@kernel(inline=True)
def fill(piece, value):
    for i in range(piece.size):
        piece[i] = value


@kernel(inline=True)
def copy(out, a):
    for i in range(out.size):
        out[i] = a[i]


@kernel(late_bound=True)
def store(how, line, piece) -> None:
    """Combine a line of elements with a piece of the same length."""
    line, piece = borrowed(line), borrowed(piece)
    if how == REPLACE:
        for i in range(piece.size):
            line[i] = piece[i]
    elif how == COMBINE_ADD:
        for i in range(piece.size):
            line[i] += piece[i]
    else:
        for i in range(piece.size):
            line[i] = _combined(how, line[i], piece[i])


@kernel(inline=True)
def _combined(how, a, b):
    """The new value of an element."""
    if how == COMBINE_ADD:
        return a + b
    if how == COMBINE_MULTIPLY:
        return a * b
    if how == COMBINE_MAXIMUM:
        return a if a >= b or a != a else b
    if how == COMBINE_MINIMUM:
        return a if a <= b or a != a else b
    return b


@summation(late_bound=True)
def _sum(a):
    """The sum of a, in its precision: pieces are short."""
    total = a.dtype.type(0.0)
    for i in range(a.size):
        total += a[i]
    return total


@kernel(late_bound=True)
def load_view(piece, array, tables, table, begin) -> None:
    """Load a piece of a view: its elements from number `begin` on."""
    piece, array, tables = borrowed(piece), borrowed(array), borrowed(tables)
    axes, inner, stride = tables[table + 1], tables[table + 2], tables[table + 3]
    done, at, left = 0, _begin_of(tables, table, begin), inner - begin % inner
    line, lines, between = _line_of(tables, table, begin)
    while done < piece.size:
        run = min(left, piece.size - done)
        if stride == 1:
            copy(slice_of(piece, done, run), slice_of(array, at, run))
        elif stride == 0:
            fill(slice_of(piece, done, run), array[np.uint64(at)])
        else:
            for i in range(run):
                piece[np.uint64(done + i)] = array[np.uint64(at + i * stride)]
        done += run
        if axes > 1 and done < piece.size:
            line += 1
            at += between - (inner - left) * stride
            if line == lines:
                line, at = 0, _begin_of(tables, table, begin + done)
        left = inner


@kernel(late_bound=True)
def store_view(how, array, piece, tables, table, begin) -> None:
    """Combine the elements of a view, from number `begin` on, with a piece."""
    piece, array, tables = borrowed(piece), borrowed(array), borrowed(tables)
    axes, inner, stride = tables[table + 1], tables[table + 2], tables[table + 3]
    done, at, left = 0, _begin_of(tables, table, begin), inner - begin % inner
    line, lines, between = _line_of(tables, table, begin)
    while done < piece.size:
        run = min(left, piece.size - done)
        if stride == 1 and how == COMBINE_ADD and between == 0 and left == inner:
            # Lines that are added to the same elements, some at a time.
            many = min(lines - line, (piece.size - done) // inner)
            if many > 0:
                _add_lines(slice_of(array, at, inner), slice_of(piece, done, many * inner), many)
                run = many * inner
                line += many - 1
            else:
                store(how, slice_of(array, at, run), slice_of(piece, done, run))
        elif stride == 1:
            store(how, slice_of(array, at, run), slice_of(piece, done, run))
        elif stride == 0 and how == COMBINE_ADD:
            array[np.uint64(at)] += _sum(slice_of(piece, done, run))
        else:
            for i in range(run):
                place = np.uint64(at + i * stride)
                array[place] = _combined(how, array[place], piece[np.uint64(done + i)])
        done += run
        if axes > 1 and done < piece.size:
            line += 1
            at += between - (inner - left) * stride
            if line == lines:
                line, at = 0, _begin_of(tables, table, begin + done)
        left = inner


@kernel(inline=True)
def _add_lines(out, lines, count):
    """Add lines (count, m) to out, one after the other."""
    m, row = out.size, 0
    while row + 4 <= count:
        a, b = slice_of(lines, row * m, m), slice_of(lines, (row + 1) * m, m)
        c, d = slice_of(lines, (row + 2) * m, m), slice_of(lines, (row + 3) * m, m)
        for i in range(m):
            out[i] = (((out[i] + a[i]) + b[i]) + c[i]) + d[i]
        row += 4
    while row < count:
        a = slice_of(lines, row * m, m)
        for i in range(m):
            out[i] += a[i]
        row += 1


@kernel(inline=True)
def _line_of(tables, table, number):
    """The line of the last but one axis in which element `number` is, how many there are, and their distance."""
    if tables[table + 1] == 1:
        return 0, 0, 0
    lines = tables[table + 4]
    return number // tables[table + 2] % lines, lines, tables[table + 5]


@kernel(inline=True)
def _begin_of(tables, table, number):
    """The place of element `number` of a view."""
    at = tables[table]
    for axis in range(tables[table + 1]):
        length = tables[table + 2 + 2 * axis]
        at += number % length * tables[table + 3 + 2 * axis]
        number //= length
    return at


@kernel(late_bound=True)
def load_at(piece, array, places) -> None:
    """Load the elements at these places."""
    for i in range(piece.size):
        piece[i] = array[np.uint64(places[i])]


@kernel(late_bound=True)
def store_at(how, array, piece, places) -> None:
    """Combine the elements at these places, some of which may be equal, with a piece."""
    for i in range(piece.size):
        place = np.uint64(places[i])
        array[place] = _combined(how, array[place], piece[i])
