"""Functions that sort, and those that take elements at places which are known only when the tape runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, known, refuse_others
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of


def _lines(array: Any, axis: int) -> tuple[Any, tuple[int, ...]]:
    """The array as a matrix whose rows are its lines along an axis, and the shape with that axis last."""
    turned = np.moveaxis(array, axis, -1)
    return turned.reshape(-1, turned.shape[-1]), turned.shape


def _along(array: Any, axis: int | None, made: Callable[[Trace, Node], Node]) -> Any:
    """What is made of each line of an array along an axis, in its place."""
    if axis is None:
        array, axis = array.ravel(), 0
    trace = array._trace
    lines, shape = _lines(array, axis)
    node = made(trace, trace.graph.real(lines.node)) if array.size else lines.node
    return np.moveaxis(TracedArray(trace, node).reshape(*shape[:-1], -1), -1, axis)


def _order(trace: Trace, lines: Node) -> Node:
    return trace.graph.along_lines("order", lines)


def _in_order(trace: Trace, lines: Node) -> Node:
    return trace.graph.taken(lines, _order(trace, lines))


def _sort(trace: Trace, a: Any, axis: int | None = -1, **keywords: Any) -> Any:
    refuse_others(order=keywords.get("order"))
    return _along(array_of(trace, a), axis, _in_order)


def _argsort(trace: Trace, a: Any, axis: int | None = -1, **keywords: Any) -> Any:
    refuse_others(order=keywords.get("order"))
    return _along(array_of(trace, a), axis, _order)


def _partition(trace: Trace, a: Any, kth: Any, axis: int | None = -1, **keywords: Any) -> Any:
    return _sort(trace, a, axis)


def _place_of_extremum(extremum: Any) -> Callable[..., Any]:
    def place(trace: Trace, a: Any, axis: int | None = None, out: Any = None, keepdims: Any = False) -> Any:
        refuse_others(out=out, keepdims=keepdims)
        array = array_of(trace, a)
        if axis is None:
            array, axis = array.ravel(), 0
        lines = np.moveaxis(array, axis, -1)
        best = extremum(lines, axis=-1, keepdims=True)
        # The first of the best, or the first NaN.
        hit = (lines == best) | np.isnan(lines)
        return np.min(np.where(hit, np.arange(float(lines.shape[-1])), float(lines.shape[-1])), axis=-1)

    return place


def _median(trace: Trace, a: Any, axis: Any = None, out: Any = None, *rest: Any, **keywords: Any) -> Any:
    return _quantile(trace, a, 0.5, axis, out, *rest, **keywords)


def _percentile(trace: Trace, a: Any, q: Any, axis: Any = None, *rest: Any, **keywords: Any) -> Any:
    return _quantile(trace, a, np.asarray(known(q, trace)) / 100.0, axis, *rest, **keywords)


def _quantile(
    trace: Trace,
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: Any = False,
    **rest: Any,
) -> Any:
    """Quantiles by linear interpolation between the sorted values; NaN if any of these is NaN."""
    refuse_others(out=out, **rest)
    if method != "linear":
        raise NotSupported(f"with method={method!r}")
    array, shares = array_of(trace, a), np.asarray(known(q, trace), float)
    if not ((shares >= 0.0) & (shares <= 1.0)).all():
        raise ValueError("Quantiles must be in the range [0, 1]")
    axes = tuple(range(array.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, array.ndim)
    rest_shape = tuple(length for i, length in enumerate(array.shape) if i not in axes)
    count = array.size // max(int(np.prod(rest_shape)), 1)
    turned = np.moveaxis(array, axes, range(-len(axes), 0)).reshape(*rest_shape, count)
    values = _sort(trace, turned)
    place = shares * (count - 1)
    low = np.floor(place).astype(np.int64)
    high, part = np.minimum(low + 1, count - 1), place - low
    before, after = np.moveaxis(values, -1, 0)[low], np.moveaxis(values, -1, 0)[high]
    part = part.reshape(part.shape + (1,) * len(rest_shape))
    # From the nearer end, as NumPy does.
    between = np.where(part >= 0.5, after - (after - before) * (1.0 - part), before + (after - before) * part)
    between = np.where(before == after, before, between)
    last = values[..., -1]
    result = np.where(np.isnan(last), last, between)
    if keepdims:
        kept = tuple(1 if i in axes else length for i, length in enumerate(array.shape))
        return result.reshape(shares.shape + kept)
    return result


def _take_along_axis(trace: Trace, arr: Any, indices: Any, axis: Any = -1) -> Any:
    array, places = array_of(trace, arr), array_of(trace, indices)
    if places.node.value is not None:
        numbers = trace.value_of(places.node)
        return array.moved(lambda a: np.take_along_axis(a, numbers, axis))
    if axis is None:
        array, axis = array.ravel(), 0
    lines, shape = _lines(array, axis)
    wanted, wanted_shape = _lines(places, axis)
    if shape[:-1] != wanted_shape[:-1]:
        raise NotSupported("with indices of another shape")
    node = trace.graph.taken(trace.graph.real(lines.node), wanted.node)
    return np.moveaxis(TracedArray(trace, node).reshape(wanted_shape), -1, axis)


def at_places(array: TracedArray, places: TracedArray) -> Any:
    """array[places] of a vector and places that depend on x, which are NaN where they are outside."""
    trace = array._trace
    line = trace.graph.reshaped(trace.graph.real(array.node), (1, array.size))
    wanted = trace.graph.reshaped(places.node, (1, places.size))
    return TracedArray(trace, trace.graph.reshaped(trace.graph.taken(line, wanted), places.shape))


FUNCTIONS |= {
    "at_places": at_places,
    np.sort: _sort,
    np.argsort: _argsort,
    np.partition: _partition,
    np.argmax: _place_of_extremum(np.max),
    np.argmin: _place_of_extremum(np.min),
    np.median: _median,
    np.percentile: _percentile,
    np.quantile: _quantile,
    np.take_along_axis: _take_along_axis,
}
