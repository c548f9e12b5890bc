"""Calls of NumPy's functions with something traced among their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

import numpy as np

from gradopt._tape.record.errors import refused
from gradopt._tape.record.numpy_functions.complex_numbers import call_with_complex
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TRACED, TracedArray, depends_on_x, is_complex
from gradopt._tape.record.traced_complex import TracedComplex

# Functions that write into their first argument.
_WRITERS = (np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis)


def call_function(trace: Trace, function: Any, inputs: Any, keywords: Any) -> Any:
    """What `__array_function__` does."""
    shown = f"{function.__module__}.{function.__name__}".replace("numpy.", "np.", 1)
    if is_complex((*inputs, *keywords.values())):
        try:
            return call_with_complex(trace, function, inputs, keywords)
        except NotSupported as reason:
            return as_numpy_would(trace, f"{shown} {reason}", function, inputs, keywords)
    implementation = FUNCTIONS.get(function)
    target = inputs[0] if function in _WRITERS else keywords.get("out")
    if implementation is None or is_for_numpy((*inputs, *keywords.values()), target):
        return as_numpy_would(trace, shown, function, inputs, keywords)
    out = keywords.pop("out", None) if isinstance(keywords.get("out"), TracedArray) else None
    try:
        result = implementation(trace, *inputs, **keywords)
        if out is None:
            return result
        out[...] = result
        return out
    except NotSupported as reason:
        return as_numpy_would(trace, f"{shown} {reason}", function, inputs, keywords)


def as_numpy_would(trace: Trace, what: str, function: Any, inputs: Any, keywords: Any) -> Any:
    """Call NumPy's own function with numbers, or, if anything depends on x, its own code with traced arrays."""
    plain = getattr(function, "__wrapped__", None)
    may_run = trace.again is not None and isinstance(plain, FunctionType) and function not in trace.running
    if may_run and depends_on_x((inputs, keywords)):
        trace.running.append(function)  # its own code may end here again
        try:
            return trace.again(plain)(*inputs, **keywords)  # type: ignore[misc]
        finally:
            trace.running.pop()
    inputs, keywords = _numbers_of((inputs, keywords), trace, what)
    return function(*inputs, **keywords)


def is_for_numpy(given: Any, target: Any = None) -> bool:
    """Whether NumPy should do it: nothing depends on x, and all is about integers, or is written to a given array.

    target : the array to write into, if there is one
    """
    arrays = [item for item in _items(given) if isinstance(item, TracedArray)]
    if isinstance(target, TracedArray) or any(array.node.value is None for array in arrays):
        return False
    whole = all(array.node.value.dtype.kind in "biu" for array in arrays)  # type: ignore[union-attr]
    return whole or isinstance(target, np.ndarray)


def _items(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _items(value)
        else:
            yield value


def _numbers_of(value: Any, trace: Trace, what: str) -> Any:
    if type(value) in TRACED and depends_on_x(value):
        raise refused(what, "take functions that can be, or another jac")
    if isinstance(value, TracedComplex):
        return np.asarray(value)[()]
    if isinstance(value, TracedArray):
        return trace.value_of(value.node)
    if isinstance(value, (tuple, list)):
        return type(value)([_numbers_of(item, trace, what) for item in value])
    if isinstance(value, dict):
        return {key: _numbers_of(item, trace, what) for key, item in value.items()}
    return value


FUNCTIONS["__array_function__"] = call_function
