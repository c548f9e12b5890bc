"""NumPy's functions that move elements: reshaping, stacking, splitting and the like."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.geometry import Geometry, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, implements, known, refuse_others
from gradopt._tape.record.traced_array import Trace, TracedArray, node_of

_MOVES = (
    *(np.transpose, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to, np.flip, np.fliplr),
    *(np.flipud, np.roll, np.rot90, np.take, np.repeat, np.tile, np.diagonal, np.take_along_axis, np.delete, np.ravel),
    *(np.rollaxis, np.resize),
)


def _moves(function: Any) -> Callable[..., Node]:
    def moved(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> Node:
        arguments, keywords = known((arguments, keywords), trace)
        return trace.graph.rearranged(node_of(trace, array), lambda a: np.asarray(function(a, *arguments, **keywords)))

    return moved


for _function in _MOVES:
    implements(_function)(_moves(_function))


def _at_least(function: Any) -> Callable[..., Any]:
    def at_least(trace: Trace, *arrays: Any) -> Any:
        made = [TracedArray(trace, trace.graph.rearranged(node_of(trace, array), function)) for array in arrays]
        return made[0] if len(made) == 1 else tuple(made)

    return at_least


FUNCTIONS |= {f: _at_least(f) for f in (np.atleast_1d, np.atleast_2d)}


@implements(np.compress)
def _compress(trace: Trace, condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Node:
    refuse_others(out=out)
    chosen = known(condition, trace)
    return trace.graph.rearranged(node_of(trace, a), lambda v: np.compress(chosen, v, axis))


@implements(np.extract)
def _extract(trace: Trace, condition: Any, arr: Any) -> Node:
    chosen = known(condition, trace)
    return trace.graph.rearranged(node_of(trace, arr), lambda v: np.extract(chosen, v))


@implements(np.reshape)
def _reshape(trace: Trace, array: Any, shape: Any, order: Any = "C", copy: Any = None) -> Node:
    shape = known(shape, trace)
    return trace.graph.rearranged(node_of(trace, array), lambda a: a.reshape(shape, order=order))


@implements(np.copy, np.ascontiguousarray, np.real)
def _copy(trace: Trace, array: Any, **keywords: Any) -> Node:
    return node_of(trace, array)


def _splits(function: Any) -> Callable[..., Any]:
    def split(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> list[TracedArray]:
        node, (arguments, keywords) = node_of(trace, array), known((arguments, keywords), trace)
        count = len(function(np.empty(node.shape, np.int8), *arguments, **keywords))

        def part(i: int) -> Node:
            return trace.graph.rearranged(node, lambda a: np.asarray(function(a, *arguments, **keywords)[i]))

        return [TracedArray(trace, part(i)) for i in range(count)]

    return split


FUNCTIONS |= {f: _splits(f) for f in (np.split, np.array_split, np.hsplit, np.vsplit)}


@implements(np.concatenate)
def _concatenate(trace: Trace, arrays: Any, axis: int | None = 0, **keywords: Any) -> Node:
    refuse_others(**keywords)
    graph, nodes = trace.graph, [node_of(trace, array) for array in arrays]
    if axis is None:
        nodes, axis = [graph.reshaped(node, (node.size,)) for node in nodes], 0
    result = np.concatenate([np.empty(node.shape, np.int8) for node in nodes], axis)
    axis = operator.index(axis) % result.ndim
    strides, parts, start = steps(result.shape), [], 0
    for node in nodes:
        if node.size:
            parts.append((Geometry(start * strides[axis], strides), node))
        start += node.shape[axis]
    together = graph.accumulated(parts, result.shape)
    if together.value is None:
        together.boolean = all([node.boolean for _, node in parts])
    return together


@implements(np.stack)
def _stack(trace: Trace, arrays: Any, axis: int = 0, **keywords: Any) -> Node:
    refuse_others(**keywords)
    nodes = [node_of(trace, array) for array in arrays]
    if len({node.shape for node in nodes}) > 1:
        raise ValueError("all input arrays must have the same shape")
    expanded = [trace.graph.rearranged(node, lambda a: np.expand_dims(a, axis)) for node in nodes]
    return _concatenate(trace, [TracedArray(trace, node) for node in expanded], axis)


def _stacks(at_least: Callable[[Any], Any], axis: Callable[[list[Node]], int]) -> Callable[..., Node]:
    def stack(trace: Trace, arrays: Any, **keywords: Any) -> Node:
        refuse_others(**keywords)
        nodes = [trace.graph.rearranged(node_of(trace, array), at_least) for array in arrays]
        return _concatenate(trace, [TracedArray(trace, node) for node in nodes], axis(nodes))

    return stack


implements(np.vstack)(_stacks(np.atleast_2d, lambda nodes: 0))
implements(np.hstack)(_stacks(np.atleast_1d, lambda nodes: 0 if len(nodes[0].shape) == 1 else 1))
implements(np.column_stack)(_stacks(lambda a: a if a.ndim > 1 else np.atleast_1d(a)[:, None], lambda nodes: 1))


@implements(np.append)
def _append(trace: Trace, array: Any, values: Any, axis: int | None = None) -> Node:
    return _concatenate(trace, [array, values], axis)


@implements(np.diff)
def diff(trace: Trace, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Node:
    refuse_others(prepend=prepend, append=append)
    node, graph = node_of(trace, a), trace.graph
    for _ in range(n):
        after = graph.rearranged(node, lambda v: np.moveaxis(np.moveaxis(v, axis, 0)[1:], 0, axis))
        before = graph.rearranged(node, lambda v: np.moveaxis(np.moveaxis(v, axis, 0)[:-1], 0, axis))
        node = graph("not_equal", after, before) if node.boolean else after - before  # as in NumPy
    return node


@implements(np.diag)
def _diag(trace: Trace, v: Any, k: int = 0) -> Node:
    node, graph = node_of(trace, v), trace.graph
    if not node.size:
        return graph.constant(np.diag(np.zeros(node.shape), k))
    if len(node.shape) == 2:
        return graph.rearranged(node, lambda a: np.diag(a, k))
    places = np.diag(np.arange(1, node.size + 1), k)  # 0 where there is none
    spread = graph.rearranged(node, lambda a: np.reshape(a[np.maximum(places - 1, 0)], places.shape))
    return graph("where", places > 0, spread, False if node.boolean else 0.0)


def _below(node: Node, k: int) -> Any:
    shape = node.shape if len(node.shape) > 1 else 2 * node.shape
    return np.tri(shape[-2], shape[-1], k, bool)


@implements(np.tril)
def _tril(trace: Trace, m: Any, k: int = 0) -> Node:
    node = node_of(trace, m)
    lower = _below(node, k)
    return trace.graph("where", lower, node, False if node.boolean else 0.0)


@implements(np.triu)
def _triu(trace: Trace, m: Any, k: int = 0) -> Node:
    node = node_of(trace, m)
    below = _below(node, k - 1)
    return trace.graph("where", below, False if node.boolean else 0.0, node)


def _likes(function: Any) -> Callable[..., Any]:
    def like(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> Any:
        arguments, keywords = known((arguments, keywords), trace)
        node = node_of(trace, array)
        keywords.setdefault("dtype", bool if node.boolean else float)
        return function(np.empty(node.shape), *arguments, **keywords)

    return like


def _size(trace: Trace, a: Any, axis: Any = None) -> int:
    return int(a.size if axis is None else a.shape[axis])


FUNCTIONS |= {f: _likes(f) for f in (np.zeros_like, np.ones_like, np.full_like, np.empty_like)}
FUNCTIONS |= {
    np.shape: lambda trace, a: a.shape,
    np.ndim: lambda trace, a: a.ndim,
    np.size: _size,
    np.iscomplexobj: lambda trace, a: False,
    np.isrealobj: lambda trace, a: True,
}
