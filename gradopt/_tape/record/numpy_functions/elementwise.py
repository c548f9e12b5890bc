"""NumPy's elementwise functions that are composed of several operations of a graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import implements, refuse_others
from gradopt._tape.record.traced_array import Trace, node_of, not_supported


@implements(np.square)
def _square(trace: Trace, a: Any) -> Node:
    node = trace.graph.real(node_of(trace, a))
    return node * node


@implements(np.reciprocal)
def _reciprocal(trace: Trace, a: Any) -> Node:
    return 1.0 / node_of(trace, a)  # type: ignore[operator]


@implements(np.power, np.float_power)
def _power(trace: Trace, a: Any, b: Any) -> Node:
    return trace.graph.power(node_of(trace, a), node_of(trace, b))


@implements(np.log2)
def _log2(trace: Trace, a: Any) -> Node:
    return trace.graph("log", node_of(trace, a)) / math.log(2.0)


@implements(np.log10)
def _log10(trace: Trace, a: Any) -> Node:
    return trace.graph("log", node_of(trace, a)) / math.log(10.0)


@implements(np.exp2)
def _exp2(trace: Trace, a: Any) -> Node:
    return trace.graph("power", 2.0, node_of(trace, a))


@implements(np.deg2rad, np.radians)
def _deg2rad(trace: Trace, a: Any) -> Node:
    return node_of(trace, a) * (math.pi / 180.0)


@implements(np.rad2deg, np.degrees)
def _rad2deg(trace: Trace, a: Any) -> Node:
    return node_of(trace, a) * (180.0 / math.pi)


@implements(np.logical_xor)
def _xor(trace: Trace, a: Any, b: Any) -> Node:
    return trace.graph("not_equal", *[_truth(trace, node_of(trace, one)) for one in (a, b)])


def _truth(trace: Trace, node: Node) -> Node:
    return node if node.boolean else trace.graph("not_equal", node, 0.0)


@implements(np.isnan)
def _isnan(trace: Trace, a: Any) -> Node:
    node = node_of(trace, a)
    return trace.graph("not_equal", node, node)


@implements(np.isfinite)
def _isfinite(trace: Trace, a: Any) -> Node:
    return trace.graph("less", trace.graph("absolute", node_of(trace, a)), math.inf)


@implements(np.where)
def _where(trace: Trace, condition: Any, *branches: Any) -> Node:
    if len(branches) != 2:
        raise not_supported("with one argument")
    return trace.graph("where", _truth(trace, node_of(trace, condition)), *[node_of(trace, b) for b in branches])


@implements(np.clip)
def _clip(trace: Trace, a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **keywords: Any) -> Node:
    low, high = keywords.pop("min", a_min), keywords.pop("max", a_max)
    refuse_others(out=out, **keywords)
    node = node_of(trace, a)
    if low is not None and low is not np._NoValue:  # type: ignore[attr-defined]
        node = trace.graph("maximum", node, node_of(trace, low))
    if high is not None and high is not np._NoValue:  # type: ignore[attr-defined]
        node = trace.graph("minimum", node, node_of(trace, high))
    return node


@implements(np.polyval)
def _polyval(trace: Trace, p: Any, x: Any) -> Node:
    coefficients, at = node_of(trace, p), node_of(trace, x)
    result = trace.graph.constant(0.0)
    for i in range(coefficients.size):
        result = result * at + trace.graph.rearranged(coefficients, lambda a, i=i: np.asarray(a)[i, ...])  # type: ignore[misc]
    return result
