"""NumPy's functions that move elements: reshaping, stacking, splitting and the like."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.geometry import Geometry, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, implements, known, refuse_others
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of, depends_on_x, node_of

_MOVES = (
    *(np.transpose, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to, np.flip, np.fliplr),
    *(np.flipud, np.roll, np.rot90, np.take, np.repeat, np.tile, np.diagonal, np.delete, np.ravel),
    *(np.rollaxis, np.resize, np.lib.stride_tricks.sliding_window_view),
)


def moved(trace: Trace, array: Any, move: Callable[[Any], Any]) -> TracedArray:
    """The array, or what NumPy makes an array of, after a function that only puts elements elsewhere."""
    return array_of(trace, array).moved(move)


def _moves(function: Any) -> Callable[..., TracedArray]:
    def move(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> TracedArray:
        arguments, keywords = known((arguments, keywords), trace)
        return moved(trace, array, lambda a: np.asarray(function(a, *arguments, **keywords)))

    return move


FUNCTIONS |= {function: _moves(function) for function in _MOVES}


def _at_least(function: Any) -> Callable[..., Any]:
    def at_least(trace: Trace, *arrays: Any) -> Any:
        made = [moved(trace, array, function) for array in arrays]
        return made[0] if len(made) == 1 else tuple(made)

    return at_least


FUNCTIONS |= {f: _at_least(f) for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d)}


@implements(np.compress)
def _compress(trace: Trace, condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Node:
    refuse_others(out=out)
    chosen = known(condition, trace)
    return trace.graph.rearranged(node_of(trace, a), lambda v: np.compress(chosen, v, axis))


@implements(np.extract)
def _extract(trace: Trace, condition: Any, arr: Any) -> Node:
    chosen = known(condition, trace)
    return trace.graph.rearranged(node_of(trace, arr), lambda v: np.extract(chosen, v))


def _reshape(trace: Trace, array: Any, shape: Any, order: Any = "C", copy: Any = None) -> TracedArray:
    shape = known(shape, trace)
    return moved(trace, array, lambda a: a.reshape(shape, order=order))


FUNCTIONS[np.reshape] = _reshape


@implements(np.copy)
def _copy(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> Node:
    return node_of(trace, array)


def _itself(trace: Trace, array: Any, **keywords: Any) -> TracedArray:
    return array_of(trace, array)


FUNCTIONS |= dict.fromkeys((np.ascontiguousarray, np.real, np.real_if_close), _itself)


def _splits(function: Any) -> Callable[..., Any]:
    def split(trace: Trace, array: Any, *arguments: Any, **keywords: Any) -> list[TracedArray]:
        whole, (arguments, keywords) = array_of(trace, array), known((arguments, keywords), trace)
        count = len(function(np.empty(whole.shape, np.int8), *arguments, **keywords))

        def part(i: int) -> TracedArray:
            return whole.moved(lambda a: np.asarray(function(a, *arguments, **keywords)[i]))

        return [part(i) for i in range(count)]

    return split


FUNCTIONS |= {f: _splits(f) for f in (np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit)}


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
    prepend, append = (None if one is np._NoValue else one for one in (prepend, append))  # type: ignore[attr-defined]
    if prepend is not None or append is not None:
        raise NotSupported("with prepend or append")  # NumPy's own code does it
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


def _full_like(trace: Trace, a: Any, fill_value: Any, **keywords: Any) -> Any:
    if not depends_on_x(fill_value):
        return _likes(np.full_like)(trace, a, fill_value, **keywords)
    refuse_others(**keywords)
    return TracedArray(trace, trace.graph.stretched(node_of(trace, fill_value), node_of(trace, a).shape))


FUNCTIONS |= {f: _likes(f) for f in (np.zeros_like, np.ones_like, np.empty_like)}
FUNCTIONS[np.full_like] = _full_like
FUNCTIONS |= {
    np.shape: lambda trace, a: a.shape,
    np.ndim: lambda trace, a: a.ndim,
    np.size: _size,
    np.iscomplexobj: lambda trace, a: False,
    np.isrealobj: lambda trace, a: True,
}


def _result_type(trace: Trace, *given: Any) -> Any:
    return np.result_type(*[np.empty(0, one.dtype) if isinstance(one, TracedArray) else one for one in given])


def _fill_diagonal(trace: Trace, a: Any, val: Any, wrap: bool = False) -> None:
    places = np.zeros(a.shape, bool)
    np.fill_diagonal(places, True, wrap)
    count = int(places.sum())
    values = array_of(trace, val)
    a[places] = np.resize(values, count) if values.ndim else values


def _put_along_axis(trace: Trace, arr: Any, indices: Any, values: Any, axis: Any) -> None:
    indices = known(indices, trace)
    numbers = np.arange(arr.size).reshape(arr.shape)
    line = np.take_along_axis(numbers, indices, axis)
    arr[np.unravel_index(line, arr.shape)] = array_of(trace, values)


def _place(trace: Trace, arr: Any, mask: Any, vals: Any) -> None:
    mask = known(mask, trace)
    arr[mask] = np.resize(array_of(trace, vals), int(np.sum(mask)))


def _put(trace: Trace, a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    places = np.asarray(known(ind, trace))
    a[np.unravel_index(places % a.size if mode == "wrap" else places, a.shape)] = np.resize(
        array_of(trace, v), places.shape
    )


def _linspace(
    trace: Trace,
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    **rest: Any,
) -> Any:
    refuse_others(dtype=dtype if dtype is not None and np.dtype(dtype).kind != "f" else None, **rest)
    count = operator.index(num)
    first, last = array_of(trace, start) * 1.0, array_of(trace, stop) * 1.0
    parts = max(count - 1 if endpoint else count, 1)
    step = (last - first) / parts
    ndim = len(np.broadcast_shapes(first.shape, last.shape))
    places = np.arange(float(count)).reshape((-1,) + (1,) * ndim)
    line = first + step * places
    if endpoint and count > 1:
        line = np.concatenate([line[:-1], np.broadcast_to(last, line.shape[1:])[None]])
    line = np.moveaxis(line, 0, axis)
    return (line, step) if retstep else line


def _broadcast_arrays(trace: Trace, *arrays: Any, subok: bool = False) -> tuple[TracedArray, ...]:
    made = [array_of(trace, array) for array in arrays]
    shape = np.broadcast_shapes(*[array.shape for array in made])
    return tuple([array.moved(lambda a: np.broadcast_to(a, shape)) for array in made])


def _piecewise(trace: Trace, x: Any, condlist: Any, funclist: Any, *arguments: Any, **keywords: Any) -> Any:
    """The functions of all elements, each where its condition is the last that holds."""
    array = array_of(trace, x)
    single = not isinstance(condlist, (list, tuple)) or (np.ndim(condlist[0]) == 0 and array.ndim > 0)
    conditions = [condlist] if single else list(condlist)
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        others = functions.pop()
        functions.insert(0, others)
        conditions.insert(0, True)
    if len(functions) != len(conditions):
        raise ValueError(f"with {len(conditions)} conditions, as many functions, or one more, are expected")
    result: Any = np.zeros(array.shape)
    for condition, function in zip(conditions, functions, strict=True):
        values = function(array, *arguments, **keywords) if callable(function) else function
        result = FUNCTIONS[np.where](trace, condition, values, result)
    return result


FUNCTIONS |= {
    np.result_type: _result_type,
    np.broadcast_arrays: _broadcast_arrays,
    np.piecewise: _piecewise,
    np.fill_diagonal: _fill_diagonal,
    np.put_along_axis: _put_along_axis,
    np.place: _place,
    np.put: _put,
    np.linspace: _linspace,
}
