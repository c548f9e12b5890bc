"""NumPy's ufuncs for traced arrays: calls, with out= and where=, and their methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from gradopt._tape.graph.geometry import Geometry, Positions, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.special import is_flat, needs_known
from gradopt._tape.record.errors import refused
from gradopt._tape.record.numpy_functions.calls import as_numpy_would, is_for_numpy
from gradopt._tape.record.numpy_functions.complex_numbers import call_with_complex, reduced_complex
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, known
from gradopt._tape.record.numpy_functions.special import logsumexp
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import (
    SAME,
    TRACED,
    UFUNCS,
    TracedArray,
    array_of,
    is_complex,
    node_of,
)

# Ufuncs whose reductions are functions of their own.
_REDUCTIONS = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.fmax: np.nanmax,
    np.fmin: np.nanmin,
    np.logical_or: np.any,
    np.logical_and: np.all,
}
_RUNNING = {np.add: np.cumsum, np.multiply: np.cumprod}
# Keywords that change nothing where everything is a real number.
_WITHOUT_EFFECT = ("casting", "order", "subok", "signature")


def call_ufunc(trace: Trace, ufunc: Any, method: str, inputs: Any, keywords: dict[str, Any]) -> Any:
    """What `__array_ufunc__` does: the ufunc, or a method of it, with something traced among its arguments."""
    out = keywords.pop("out", None)
    if out is ... or (isinstance(out, tuple) and out[0] is ...):
        out = None
    if is_complex(inputs):
        given = {name: value for name, value in keywords.items() if name not in (*_WITHOUT_EFFECT, "dtype")}
        result = _call_complex(trace, ufunc, method, inputs, given)
        return result if out is None else written(out, result)
    elementwise = method == "__call__" and ufunc.__name__ in SAME and out is None and not keywords
    target = out[0] if isinstance(out, tuple) else inputs[0] if method == "at" else out
    if not elementwise and is_for_numpy((*inputs, *keywords.values()), target):
        given = keywords if out is None else {**keywords, "out": out}
        return as_numpy_would(trace, ufunc.__name__, getattr(ufunc, method), inputs, given)
    keywords = {name: value for name, value in keywords.items() if name not in _WITHOUT_EFFECT}
    if keywords.get("dtype") is not None and np.dtype(keywords["dtype"]).kind == "f":
        del keywords["dtype"]
    if method == "__call__":
        result = _call(trace, ufunc, inputs, keywords, out)
    elif method in _METHODS:
        result = _METHODS[method](trace, ufunc, *inputs, **keywords)
    else:
        return as_numpy_would(trace, _name(ufunc, method), getattr(ufunc, method), inputs, keywords)
    return result if out is None else written(out, result)


def _call_complex(trace: Trace, ufunc: Any, method: str, inputs: Any, keywords: dict[str, Any]) -> Any:
    if method != "__call__":
        return reduced_complex(trace, ufunc, method, inputs, keywords)
    try:
        return call_with_complex(trace, ufunc, inputs, keywords)
    except NotSupported as reason:
        return as_numpy_would(trace, f"{_name(ufunc)} {reason}", ufunc, inputs, keywords)


def _name(ufunc: Any, method: str = "__call__") -> str:
    name = f"np.{ufunc.__name__}" if hasattr(np, ufunc.__name__) else ufunc.__name__
    return name if method == "__call__" else f"{name}.{method}"


def written(out: Any, result: Any) -> Any:
    """An array into which a result was written."""
    (target,) = out if isinstance(out, tuple) else (out,)
    if type(target) not in TRACED:
        raise refused(
            f"what depends on x, written into a {type(target).__name__} that the trace does not know,",
            "make the array in the function, by np.zeros or another function of NumPy",
        )
    target[...] = result
    return target


def _call(trace: Trace, ufunc: Any, inputs: Any, keywords: dict[str, Any], out: Any) -> Any:
    where = keywords.pop("where", True)
    if keywords:
        return as_numpy_would(trace, f"{_name(ufunc)} with {next(iter(keywords))}", ufunc, inputs, keywords)
    name = UFUNCS.get(ufunc.__name__) or _special_name(ufunc)
    if name is not None:
        for position, i in enumerate(inputs):
            if needs_known(name, position) and not is_flat(node_of(trace, i)):
                what = f"argument {position + 1} of {ufunc.__name__} that depends on x"
                raise refused(what, "its derivative has no closed form: make it a constant, or take another jac")
        if ufunc.__name__.startswith(("logical", "bitwise", "invert")):
            _require_logical(trace, inputs)
        result: Any = TracedArray(trace, trace.graph(name, *[node_of(trace, i) for i in inputs]))
    elif ufunc in FUNCTIONS:
        result = FUNCTIONS[ufunc](trace, *inputs)
    else:
        return as_numpy_would(trace, _name(ufunc), ufunc, inputs, {})
    if where is True:
        return result
    if out is None:
        raise refused(f"{_name(ufunc)} with where= and no out=", "give it an array for the other elements")
    (target,) = out if isinstance(out, tuple) else (out,)
    return FUNCTIONS[np.where](trace, where, result, target)


def _special_name(ufunc: Any) -> str | None:
    """The name of one of scipy's ufuncs that the graph has as an operation; a user's may have the same name."""
    name = ufunc.__name__
    return name if name in OPERATIONS and getattr(scipy.special, name, None) is ufunc else None


def _require_logical(trace: Trace, inputs: Any) -> None:
    for i in inputs:
        node = node_of(trace, i)
        if node.size and not node.boolean:
            raise refused(
                "logic with numbers that are neither True nor False", "compare them first, or take another jac"
            )


def _reduce(trace: Trace, ufunc: Any, array: Any, axis: Any = 0, **keywords: Any) -> Any:
    whole = array_of(trace, array)
    if not whole.shape:
        axis = None
    if ufunc in _REDUCTIONS:
        return whole.__array_function__(_REDUCTIONS[ufunc], (), (whole, axis), keywords)
    if ufunc is np.logaddexp and not set(keywords) - {"keepdims"}:
        return logsumexp(trace, whole, axis, keepdims=bool(keywords.get("keepdims")))
    if axis is None or isinstance(axis, tuple) or keywords:
        return as_numpy_would(trace, _name(ufunc, "reduce"), ufunc.reduce, (array, axis), keywords)
    *_, last = _running(ufunc, np.moveaxis(whole, axis, 0))  # type: ignore[call-overload]
    return last


def _accumulate(trace: Trace, ufunc: Any, array: Any, axis: int = 0, **keywords: Any) -> Any:
    if ufunc in _RUNNING and ufunc is np.add:
        return FUNCTIONS[np.cumsum](trace, array, axis=axis, **keywords)
    if keywords:
        raise NotSupported("with " + ", ".join(keywords))
    lines = np.moveaxis(array_of(trace, array), axis, 0)  # type: ignore[call-overload]
    return np.stack(_running(ufunc, lines), axis=axis)


def _running(ufunc: Any, lines: Any) -> list[Any]:
    results = [lines[0]]
    for line in lines[1:]:
        results.append(ufunc(results[-1], line))
    return results


def _outer(trace: Trace, ufunc: Any, a: Any, b: Any, **keywords: Any) -> Any:
    left, right = array_of(trace, a), array_of(trace, b)
    return ufunc(left.reshape(left.shape + (1,) * right.ndim), right, **keywords)


def _at(trace: Trace, ufunc: Any, array: Any, places: Any, values: Any = None) -> None:
    """ufunc.at for sums: each value counts, also where a place occurs more than once."""
    if ufunc not in (np.add, np.subtract) or not isinstance(array, TracedArray):
        as_numpy_would(trace, _name(ufunc, "at"), ufunc.at, (array, places, values), {})
        return
    numbers = np.asarray(np.arange(array.size).reshape(array.shape)[known(places, trace)])
    node = trace.graph.stretched(trace.graph.real(node_of(trace, values)), numbers.shape)
    node = node if ufunc is np.add else -node
    parts: list[tuple[Geometry, Node]] = [(Geometry(0, steps(array.shape)), array.node)]
    if numbers.size:
        parts.append((Geometry(0, None, Positions(numbers)), node))
    array[...] = TracedArray(trace, trace.graph.accumulated(parts, array.shape))


_METHODS: dict[str, Callable[..., Any]] = {"reduce": _reduce, "accumulate": _accumulate, "outer": _outer, "at": _at}
FUNCTIONS["__array_ufunc__"] = call_ufunc
FUNCTIONS[np.cumprod] = lambda trace, a, axis=None, **keywords: _accumulate(
    trace, np.multiply, array_of(trace, a).ravel() if axis is None else a, axis or 0, **keywords
)
