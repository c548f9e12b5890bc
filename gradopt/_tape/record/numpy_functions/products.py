"""Products of vectors and matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import NotSupported, implements, refuse_others
from gradopt._tape.record.numpy_functions.sums import axes_of, reduced, root
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, node_of


def _over_truth(product: Callable[..., Node]) -> Callable[..., Node]:
    """Wrap a product of arrays: for two boolean arrays the result is, as in NumPy, whether any term is true."""

    @functools.wraps(product)
    def function(trace: Trace, a: Any, b: Any, *rest: Any, **keywords: Any) -> Node:
        nodes = node_of(trace, a), node_of(trace, b)
        real = [TracedArray(trace, trace.graph.real(node)) for node in nodes]
        result = product(trace, *real, *rest, **keywords)
        return trace.graph("greater", result, 0.0) if nodes[0].boolean and nodes[1].boolean else result

    return function


@implements(np.matmul)
@_over_truth
def _matmul(trace: Trace, a: Any, b: Any, **keywords: Any) -> Node:
    refuse_others(**keywords)
    left, right, graph = node_of(trace, a), node_of(trace, b), trace.graph
    if not left.shape or not right.shape:
        raise ValueError("matmul: an operand has no dimension")
    if len(left.shape) == 1 and len(right.shape) == 1:
        if left.shape != right.shape:
            raise ValueError(f"shapes {left.shape} and {right.shape} do not fit in a product")
        return graph.total(left * right)
    if len(left.shape) > 2 or len(right.shape) > 2:
        return _batches(trace, left, right)
    rows = () if len(left.shape) == 1 else (left.shape[0],)
    columns = () if len(right.shape) == 1 else (right.shape[1],)
    matrix = left if rows else graph.reshaped(left, (1, left.size))
    other = right if columns else graph.reshaped(right, (right.size, 1))
    return graph.reshaped(graph.product(matrix, other), (*rows, *columns))


def _batches(trace: Trace, left: Node, right: Node) -> Node:
    graph = trace.graph
    if len(left.shape) == 1:
        left, squeezed = graph.reshaped(left, (1, left.size)), -2
    elif len(right.shape) == 1:
        right, squeezed = graph.reshaped(right, (right.size, 1)), -1
    else:
        squeezed = 0
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"shapes {left.shape} and {right.shape} do not fit in a product")
    products = graph.rearranged(left, lambda a: a[..., :, :, None]) * graph.rearranged(
        right, lambda a: a[..., None, :, :]
    )
    result = reduced(trace, products, -2, None, "add")
    return graph.rearranged(result, lambda a: np.squeeze(a, squeezed)) if squeezed else result


@implements(np.dot)
@_over_truth
def _dot(trace: Trace, a: Any, b: Any, out: Any = None) -> Node:
    refuse_others(out=out)
    left, right = node_of(trace, a), node_of(trace, b)
    if not left.shape or not right.shape:
        return left * right
    if len(right.shape) > 2 or (len(left.shape) > 2 and len(right.shape) > 1):
        return _tensordot(trace, a, b, (len(left.shape) - 1, len(right.shape) - 2))
    if len(left.shape) > 2:
        return _tensordot(trace, a, b, 1)
    return _matmul(trace, a, b)


@implements(np.inner)
@_over_truth
def _inner(trace: Trace, a: Any, b: Any) -> Node:
    left, right = node_of(trace, a), node_of(trace, b)
    return left * right if not left.shape or not right.shape else _tensordot(trace, a, b, (-1, -1))


@implements(np.vdot)
@_over_truth
def _vdot(trace: Trace, a: Any, b: Any) -> Node:
    left, right = node_of(trace, a), node_of(trace, b)
    if left.size != right.size:
        raise ValueError("cannot reshape: different sizes")
    return trace.graph.total(trace.graph.reshaped(left, (left.size,)) * trace.graph.reshaped(right, (left.size,)))


@implements(np.outer)
def _outer(trace: Trace, a: Any, b: Any, out: Any = None) -> Node:
    refuse_others(out=out)
    left, right = node_of(trace, a), node_of(trace, b)
    return trace.graph.reshaped(left, (left.size, 1)) * trace.graph.reshaped(right, (1, right.size))


@implements(np.tensordot)
@_over_truth
def _tensordot(trace: Trace, a: Any, b: Any, axes: Any = 2) -> Node:
    left, right = node_of(trace, a), node_of(trace, b)
    if isinstance(axes, int):
        axes = list(range(len(left.shape) - axes, len(left.shape))), list(range(axes))
    mine, its = ([one] if isinstance(one, int) else list(one) for one in axes)
    mine, its = [i % len(left.shape) for i in mine], [i % len(right.shape) for i in its]
    if [left.shape[i] for i in mine] != [right.shape[i] for i in its]:
        raise ValueError("shape-mismatch for sum")
    rest = [i for i in range(len(left.shape)) if i not in mine], [i for i in range(len(right.shape)) if i not in its]
    shape = tuple(left.shape[i] for i in rest[0]) + tuple(right.shape[i] for i in rest[1])
    summed = math.prod(left.shape[i] for i in mine)
    graph = trace.graph
    matrix = graph.rearranged(left, lambda v: v.transpose([*rest[0], *mine]).reshape(-1, summed))
    other = graph.rearranged(right, lambda v: v.transpose([*its, *rest[1]]).reshape(summed, -1))
    return graph.reshaped(graph.product(matrix, other), shape)


@implements(np.trace)
def _trace(trace: Trace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, **rest: Any) -> Node:
    refuse_others(**rest)
    diagonal = trace.graph.rearranged(node_of(trace, a), lambda v: np.diagonal(v, offset, axis1, axis2))
    return reduced(trace, diagonal, -1, None, "add")


@implements(np.linalg.norm)
def _norm(trace: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Node:
    graph = trace.graph
    node = graph.widened(node_of(trace, x))
    axes = axes_of(node, axis)
    vector = len(axes) == 1 or (ord is None and axis is None)
    if (ord in (None, 2) and vector) or (ord in (None, "fro") and len(axes) == 2):
        return root(reduced(trace, node * node, axis, keepdims, "add"))
    size = graph("absolute", node)
    if not vector:
        raise NotSupported(f"of a matrix with ord={ord!r}")
    if ord in (math.inf, -math.inf):
        return reduced(trace, size, axis, keepdims, "maximum" if ord > 0 else "minimum")
    if ord == 1:
        return reduced(trace, size, axis, keepdims, "add")
    if not isinstance(ord, (int, float)) or ord <= 0:
        raise NotSupported(f"with ord={ord!r}")
    total = reduced(trace, graph.power(size, ord), axis, keepdims, "add")
    some = graph("greater", total, 0.0)  # as in `root`: slope 0 where all elements are 0
    return graph("where", some, graph.power(graph("where", some, total, 1.0), 1.0 / ord), total)


@implements(np.einsum)
def _einsum(trace: Trace, subscripts: Any, *operands: Any, **rest: Any) -> Node:
    rest.pop("optimize", None)
    refuse_others(**rest)
    if not isinstance(subscripts, str) or "." in subscripts:
        raise NotSupported("without subscripts, or with an ellipsis")
    text = subscripts.replace(" ", "")
    given, arrow, wanted = text.partition("->")
    terms = given.split(",")
    if not arrow:
        wanted = "".join(sorted(c for c in set(given) if given.count(c) == 1 and c != ","))
    nodes = [node_of(trace, operand) for operand in operands]
    truth = all([node.boolean for node in nodes])
    nodes = [trace.graph.widened(node) for node in nodes]
    _require_fitting(terms, nodes, wanted)
    pairs = [_one_each(trace, term, node) for term, node in zip(terms, nodes, strict=True)]
    labels, node = pairs[0]
    for position, (others, factor) in enumerate(pairs[1:], 2):
        later = set(wanted).union(*[term for term, _ in pairs[position:]])
        labels, node = _contracted(trace, labels, node, others, factor, later)
    summed = tuple(i for i, label in enumerate(labels) if label not in wanted)
    node = reduced(trace, node, summed, None, "add") if summed else node
    labels = "".join(label for label in labels if label in wanted)
    result = trace.graph.rearranged(node, lambda a: a.transpose([labels.index(label) for label in wanted]))
    return trace.graph("greater", result, 0.0) if truth else result


def _require_fitting(terms: list[str], nodes: list[Node], wanted: str) -> None:
    """Raise a ValueError if subscripts and operands do not fit together."""
    lengths: dict[str, int] = {}
    if len(terms) != len(nodes) or not set(wanted) <= set("".join(terms)) or len(set(wanted)) < len(wanted):
        raise ValueError(f"einsum: {','.join(terms)}->{wanted} does not fit {len(nodes)} operands")
    for term, node in zip(terms, nodes, strict=True):
        if len(term) != len(node.shape):
            raise ValueError(f"einsum: {term} does not fit an operand of shape {node.shape}")
        for label, length in zip(term, node.shape, strict=True):
            if lengths.setdefault(label, length) != length:
                if 1 in (length, lengths[label]):
                    raise NotSupported("with lengths of 1 that are stretched")
                raise ValueError(f"einsum: {label} is {lengths[label]} and {length}")


def _one_each(trace: Trace, labels: str, node: Node) -> tuple[str, Node]:
    """The operand's diagonal over repeated labels, and its labels without repeats."""
    if len(set(labels)) < len(labels):
        once = "".join(dict.fromkeys(labels))
        return once, trace.graph.rearranged(node, lambda a: np.einsum(f"{labels}->{once}", a))
    return labels, node


def _contracted(trace: Trace, first: str, a: Node, second: str, b: Node, later: set[str]) -> tuple[str, Node]:
    """The product of two operands, summed over the labels that are not needed later."""
    graph = trace.graph
    shared = [label for label in first if label in second]
    if all(label not in later for label in shared) and shared:
        axes = [first.index(label) for label in shared], [second.index(label) for label in shared]
        node = _tensordot(trace, TracedArray(trace, a), TracedArray(trace, b), axes)
        return "".join(label for label in first + second if label not in shared), node
    together = "".join(dict.fromkeys(first + second))

    def spread(labels: str, node: Node) -> Node:
        order = sorted(labels, key=together.index)
        index = tuple(slice(None) if label in labels else None for label in together)
        return graph.rearranged(node, lambda v: v.transpose([labels.index(label) for label in order])[index])

    node = spread(first, a) * spread(second, b)
    summed = tuple(i for i, label in enumerate(together) if label not in later)
    node = reduced(trace, node, summed, None, "add") if summed else node
    return "".join(label for label in together if label in later), node
