"""Sorting along lines, and the moves of elements that depend on it."""

from __future__ import annotations

import numpy as np

from gradopt._compiler import borrowed, kernel
from gradopt._tape.machine.program import ORDER, TAKEN
from gradopt._tape.machine.transfers import chosen


@kernel(inline=True)
def _after(a, b):
    """Whether a comes after b: NaN comes last."""
    return a > b or (a != a and b == b)


@kernel(late_bound=True)
def order_lines(kind, tables, at, arrays) -> None:
    """Compute the order of the elements of each line, or move elements to or from given places.

    ORDER: out[i] is the place of the i-th smallest element; equal ones keep their order, NaN comes last.
    TAKEN: out[i] = a[places[i]];  PUT_BACK: out[places[i]] += a[i], from zero.
    Places count from the end if negative. Beyond the line, what is taken is NaN, and nothing is put.

    tables[at:] : the place of the result in `work`, the number of lines; for the input a its length, array, place of
    the first element, stride between lines and between elements; the same for the places; the length of the result; the
    place of as many scratch numbers
    """
    constants, grad, work, x = borrowed(arrays)
    out, lines = tables[at], tables[at + 1]
    length, a = tables[at + 2], chosen(tables[at + 3], constants, grad, work, x)
    first, between, step = tables[at + 4], tables[at + 5], tables[at + 6]
    count, places = tables[at + 7], chosen(tables[at + 8], constants, grad, work, x)
    first_place, between_places, step_places = tables[at + 9], tables[at + 10], tables[at + 11]
    many, scratch = tables[at + 12], tables[at + 13]
    real = work.dtype.type
    for line in range(lines):
        begin, to, where = first + line * between, out + line * many, first_place + line * between_places
        if kind == ORDER:
            _order(work, to, scratch, a, begin, step, length)
        elif kind == TAKEN:
            for i in range(count):
                place = places[where + i * step_places]
                place += length if place < 0 else 0
                work[to + i] = a[begin + np.int64(place) * step] if 0 <= place < length else real(np.nan)
        else:
            for i in range(many):
                work[to + i] = real(0.0)
            for i in range(count):
                place = places[where + i * step_places]
                place += many if place < 0 else 0
                if 0 <= place < many:
                    work[to + np.int64(place)] += a[begin + i * step]


@kernel(inline=True)
def _order(work, to, scratch, a, begin, step, length):
    """Write the order of a line to work[to:] by merging runs, in the scratch numbers and there by turns."""
    for i in range(length):
        work[to + i] = i
    source, target, run = to, scratch, 1
    while run < length:
        left = 0
        while left < length:
            middle, right = min(left + run, length), min(left + 2 * run, length)
            i, j = left, middle
            for k in range(left, right):
                take_left = i < middle
                if take_left and j < right:
                    one, other = np.int64(work[source + i]), np.int64(work[source + j])
                    take_left = not _after(a[begin + one * step], a[begin + other * step])
                if take_left:
                    work[target + k] = work[source + i]
                    i += 1
                else:
                    work[target + k] = work[source + j]
                    j += 1
            left += 2 * run
        source, target = target, source
        run *= 2
    if source != to:
        for i in range(length):
            work[to + i] = work[source + i]
