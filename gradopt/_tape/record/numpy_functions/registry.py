"""The registry of NumPy's functions for traced arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node
from gradopt._tape.record.errors import refused
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray


class NotSupported(Exception):
    """A way of calling one of NumPy's functions that is not supported here."""


# NumPy's functions -> their versions for traced arrays.
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def implements(*functions: Any) -> Callable[[Callable[..., Node]], Callable[..., Node]]:
    """Register an implementation: it takes a trace and the NumPy function's arguments and returns the result's node."""

    def register(implementation: Callable[..., Node]) -> Callable[..., Node]:
        def function(trace: Trace, *arguments: Any, **keywords: Any) -> TracedArray:
            return TracedArray(trace, implementation(trace, *arguments, **keywords))

        FUNCTIONS.update(dict.fromkeys(functions, function))
        return implementation

    return register


def refuse_others(**keywords: Any) -> None:
    """Refuse keywords that are not at their default: None, False or np._NoValue."""
    for name, value in keywords.items():
        if value is not None and value is not False and value is not np._NoValue:  # type: ignore[attr-defined]
            raise NotSupported(f"with {name}")


def require_real(dtype: Any) -> None:
    """Refuse a dtype that is neither None nor a floating-point one."""
    if dtype is not None and np.dtype(dtype).kind != "f":
        raise NotSupported(f"with dtype {np.dtype(dtype)}")


def known(value: Any, trace: Trace) -> Any:
    """The value with traced arrays replaced by their numbers, also inside containers; refused if they depend on x."""
    if isinstance(value, TracedArray):
        if value.node.value is None:
            raise refused("an index or a count that depends on x", "take np.where, or another jac")
        return trace.value_of(value.node)
    if isinstance(value, (tuple, list)):
        return type(value)([known(item, trace) for item in value])
    return {key: known(item, trace) for key, item in value.items()} if isinstance(value, dict) else value
