"""Sums, products, extrema, and what is computed from them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.geometry import Geometry, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.moves import diff
from gradopt._tape.record.numpy_functions.registry import (
    FUNCTIONS,
    NotSupported,
    implements,
    refuse_others,
    require_real,
)
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, node_of


def axes_of(node: Node, axis: Any) -> tuple[int, ...]:
    count = len(node.shape)
    if axis is None:
        return tuple(range(count))
    given = axis if isinstance(axis, tuple) else (axis,)
    for one in given:
        if not -count <= one < count:
            raise np.exceptions.AxisError(one, count)
    return tuple(sorted(operator.index(one) % count for one in given))


def reduced(trace: Trace, node: Node, axis: Any, keepdims: Any, how: str) -> Node:
    if how in ("add", "multiply"):
        node = trace.graph.real(node)
    axes = axes_of(node, axis)
    rest = tuple(length for i, length in enumerate(node.shape) if i not in axes)
    kept = tuple(1 if i in axes else length for i, length in enumerate(node.shape))
    strides = tuple(0 if i in axes else stride for i, stride in enumerate(steps(kept)))
    if node.size == 0 and how in ("maximum", "minimum"):
        raise ValueError(f"zero-size array to reduction operation {how} which has no identity")
    if node.size == 0:
        result = trace.graph.constant(np.full(rest, 0.0 if how == "add" else 1.0))
    elif not axes:
        result = node
    else:
        result = trace.graph.accumulated([(Geometry(0, strides), node)], rest, how)
        result.boolean = node.boolean
    keeps = keepdims is not None and keepdims is not np._NoValue and bool(keepdims)  # type: ignore[attr-defined]
    return trace.graph.reshaped(result, kept) if keeps else result


def _reduction(how: str) -> Callable[..., Node]:
    def function(
        trace: Trace, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = None, **rest: Any
    ) -> Node:
        initial, where = rest.pop("initial", None), rest.pop("where", None)
        refuse_others(out=out, **rest)
        require_real(dtype)
        return _combined(trace, node_of(trace, a), axis, keepdims, how, initial, where)

    return function


# For each combination the operation, and the number that changes nothing.
_PAIRS = {
    "add": ("add", 0.0),
    "multiply": ("multiply", 1.0),
    "maximum": ("maximum", -math.inf),
    "minimum": ("minimum", math.inf),
}


def _combined(trace: Trace, node: Node, axis: Any, keepdims: Any, how: str, initial: Any, where: Any) -> Node:
    """A reduction from an initial value, of the elements where a mask is true."""
    missing = (None, np._NoValue)  # type: ignore[attr-defined]
    pair, neutral = _PAIRS[how]
    if not any(where is one for one in (*missing, True)):
        if how in ("maximum", "minimum") and any(initial is one for one in missing):
            raise ValueError(f"reduction operation {how} with where= needs an initial value")
        node = trace.graph("where", node_of(trace, where), node, neutral)
    if any(initial is one for one in missing):
        return reduced(trace, node, axis, keepdims, how)
    if not node.size and how in ("maximum", "minimum"):
        node = trace.graph.constant(np.full([max(length, 1) for length in node.shape], neutral))
    return trace.graph(pair, reduced(trace, node, axis, keepdims, how), node_of(trace, initial))


implements(np.sum)(_reduction("add"))
implements(np.prod)(_reduction("multiply"))


def _extremum(how: str) -> Callable[..., Node]:
    def extremum(trace: Trace, a: Any, axis: Any = None, out: Any = None, keepdims: Any = None, **rest: Any) -> Node:
        initial, where = rest.pop("initial", None), rest.pop("where", None)
        refuse_others(out=out, **rest)
        return _combined(trace, node_of(trace, a), axis, keepdims, how, initial, where)

    return extremum


def _truth(how: str) -> Callable[..., Node]:
    def truth(trace: Trace, a: Any, axis: Any = None, out: Any = None, keepdims: Any = None, **rest: Any) -> Node:
        refuse_others(out=out, **rest)
        node = node_of(trace, a)
        node = node if node.boolean else trace.graph("not_equal", node, 0.0)
        if not node.size:
            return trace.graph.constant(np.sum(np.zeros(node.shape), axis) == (0.0 if how == "minimum" else 1.0))
        return reduced(trace, node, axis, keepdims, how)

    return truth


implements(np.any)(_truth("maximum"))
implements(np.all)(_truth("minimum"))


implements(np.max, np.amax)(_extremum("maximum"))
implements(np.min, np.amin)(_extremum("minimum"))


def _count(node: Node, axis: Any) -> int:
    return math.prod(node.shape[i] for i in axes_of(node, axis))


@implements(np.mean)
def _mean(
    trace: Trace, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = None, **rest: Any
) -> Node:
    where = rest.pop("where", None)
    refuse_others(out=out, **rest)
    require_real(dtype)
    node = node_of(trace, a)
    if where is None or where is True or where is np._NoValue:  # type: ignore[attr-defined]
        return reduced(trace, node, axis, keepdims, "add") / float(_count(node, axis))
    mask = trace.graph.stretched(node_of(trace, where), node.shape)
    total = _combined(trace, node, axis, keepdims, "add", None, where)
    return total / reduced(trace, mask, axis, keepdims, "add")


@implements(np.var)
def _var(
    trace: Trace,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = None,
    **rest: Any,
) -> Node:
    refuse_others(out=out, **rest)
    require_real(dtype)
    node = node_of(trace, a)
    count = _count(node, axis)
    centered = trace.graph.real(node) - reduced(trace, node, axis, True, "add") / float(count)
    return reduced(trace, centered * centered, axis, keepdims, "add") / max(float(count - ddof), 0.0)


@implements(np.std)
def _std(trace: Trace, a: Any, axis: Any = None, *arguments: Any, **keywords: Any) -> Node:
    return root(_var(trace, a, axis, *arguments, **keywords))


def root(square: Node) -> Node:
    """The square root of a sum of squares, with slope 0 where all of them are 0."""
    graph = square.graph
    some = graph("greater", square, 0.0)
    return graph("where", some, graph("sqrt", graph("where", some, square, 1.0)), square)


@implements(np.average)
def _average(trace: Trace, a: Any, axis: Any = None, weights: Any = None, **rest: Any) -> Node:
    refuse_others(**rest)
    if weights is None:
        return _mean(trace, a, axis)
    node, by = (trace.graph.widened(node_of(trace, one)) for one in (a, weights))
    if by.shape != node.shape:
        raise NotSupported("with weights of another shape")
    return reduced(trace, node * by, axis, None, "add") / reduced(trace, by, axis, None, "add")


@implements(np.ptp)
def _ptp(trace: Trace, a: Any, axis: Any = None, out: Any = None, keepdims: Any = None) -> Node:
    refuse_others(out=out)
    node = node_of(trace, a)
    return reduced(trace, node, axis, keepdims, "maximum") - reduced(trace, node, axis, keepdims, "minimum")


def _without_nan(function: Any, instead: float) -> Callable[..., Any]:
    """A function of the elements that are numbers; instead : what stands for the others."""

    def of_numbers(trace: Trace, a: Any, *arguments: Any, **keywords: Any) -> Any:
        array = TracedArray(trace, node_of(trace, a))
        return function(np.where(np.isnan(array), instead, array), *arguments, **keywords)

    return of_numbers


FUNCTIONS |= {
    np.nansum: _without_nan(np.sum, 0.0),
    np.nanprod: _without_nan(np.prod, 1.0),
    np.nancumsum: _without_nan(np.cumsum, 0.0),
    np.nanmax: _without_nan(np.max, -math.inf),
    np.nanmin: _without_nan(np.min, math.inf),
}


def _nanmean(trace: Trace, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_others(out=out)
    require_real(dtype)
    array = TracedArray(trace, node_of(trace, a))
    number = ~np.isnan(array)
    total = np.sum(np.where(number, array, 0.0), axis=axis, keepdims=keepdims)
    return total / np.sum(number, axis=axis, keepdims=keepdims)


FUNCTIONS[np.nanmean] = _nanmean


@implements(np.cumsum)
def _cumsum(trace: Trace, a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Node:
    refuse_others(out=out)
    require_real(dtype)
    node = trace.graph.real(node_of(trace, a))
    if axis is None:
        node, axis = trace.graph.reshaped(node, (node.size,)), 0
    (axis,) = axes_of(node, axis)
    lines = trace.graph.rearranged(node, lambda v: np.moveaxis(v, axis, -1))
    return trace.graph.rearranged(trace.graph.along_lines("cumsum", lines), lambda v: np.moveaxis(v, -1, axis))


@implements(np.trapezoid)
def _trapezoid(trace: Trace, y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Node:
    node, graph = node_of(trace, y), trace.graph
    line = graph.rearranged(node, lambda a: np.moveaxis(a, axis, -1))
    after, before = graph.rearranged(line, lambda a: a[..., 1:]), graph.rearranged(line, lambda a: a[..., :-1])
    step = node_of(trace, dx)
    if x is not None:
        places = node_of(trace, x)
        if len(places.shape) > 1:
            places = graph.rearranged(places, lambda a: np.moveaxis(a, axis, -1))
        step = diff(trace, TracedArray(trace, places))
    return reduced(trace, step * (after + before) / 2.0, -1, None, "add")
