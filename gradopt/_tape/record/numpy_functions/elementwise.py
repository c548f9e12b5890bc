"""NumPy's elementwise functions that are composed of several operations of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, implements, refuse_others
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import array_of, node_of


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
        raise NotSupported("with one argument")
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


# What follows is composed of functions above, so it is written with them.


def _composed(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of traced arrays, which takes them itself."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        def function(trace: Trace, a: Any, *others: Any, **keywords: Any) -> Any:
            return implementation(array_of(trace, a), *others, **keywords)

        FUNCTIONS.update(dict.fromkeys(functions, function))
        return implementation

    return register


@_composed(np.cbrt)
def _cbrt(a: Any) -> Any:
    sign = np.where(a < 0.0, -1.0, 1.0)  # of zero too: its slope is infinite, not 0 times that
    return sign * (sign * a) ** (1.0 / 3.0)


@_composed(np.fmax)
def _fmax(a: Any, b: Any) -> Any:
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.maximum(a, b)))


@_composed(np.fmin)
def _fmin(a: Any, b: Any) -> Any:
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.minimum(a, b)))


@_composed(np.heaviside)
def _heaviside(a: Any, at_zero: Any) -> Any:
    return np.where(a < 0.0, 0.0, np.where(a > 0.0, 1.0, np.where(np.isnan(a), a, at_zero)))


@_composed(np.isinf)
def _isinf(a: Any) -> Any:
    return np.abs(a) == math.inf


@_composed(np.signbit)
def _signbit(a: Any) -> Any:
    return np.where(a == 0.0, 1.0 / a < 0.0, a < 0.0)


@_composed(np.copysign)
def _copysign(a: Any, b: Any) -> Any:
    return np.where(np.signbit(b), -np.abs(a), np.abs(a))


@_composed(np.fmod)
def _fmod(a: Any, b: Any) -> Any:
    return np.sign(a) * np.remainder(np.abs(a), np.abs(b))


@_composed(np.round, np.around)
def _round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    refuse_others(out=out)
    if decimals == 0:
        return np.rint(a)
    scale = 10.0 ** abs(decimals)
    return np.rint(a * scale) / scale if decimals > 0 else np.rint(a / scale) * scale


@_composed(np.logaddexp2)
def _logaddexp2(a: Any, b: Any) -> Any:
    two = math.log(2.0)
    return np.logaddexp(a * two, b * two) / two


@_composed(np.imag)
def _imag(a: Any) -> Any:
    return np.zeros_like(a)


@_composed(np.nan_to_num)
def _nan_to_num(a: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = np.finfo(float).max
    high, low = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    return np.where(np.isnan(a), nan, np.where(a == math.inf, high, np.where(a == -math.inf, low, a)))


@_composed(np.copyto)
def _copyto(a: Any, src: Any, casting: Any = None, where: Any = True) -> None:
    a[...] = src if where is True else np.where(where, src, a)


@_composed(np.putmask)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    if np.size(values) not in (1, a.size):
        raise NotSupported("with values of another size")
    a[...] = np.where(mask, np.reshape(values, a.shape) if np.size(values) == a.size else values, a)


@_composed(np.count_nonzero)
def _count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(a != 0.0, axis=axis, keepdims=keepdims)
