"""The methods of arrays that are functions of NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt.tape.errors import refused
from gradopt.tape.traced_array import TracedArray


def method(name: str, function: Any) -> None:
    """Give traced arrays a method that is a function of NumPy's."""
    setattr(TracedArray, name, lambda self, *arguments, **keywords: function(self, *arguments, **keywords))


for _name in (
    *("sum", "prod", "mean", "var", "std", "max", "min", "cumsum", "ravel", "swapaxes", "squeeze", "repeat", "take"),
    *("diagonal", "trace", "clip"),
):
    method(_name, getattr(np, _name))
method("dot", np.dot)
method("flatten", np.ravel)


def _reshape_method(self: TracedArray, *shape: Any, order: str = "C") -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]


def _copy_method(self: TracedArray, order: str = "C") -> Any:
    return self if self.node.value is None else np.array(self)  # which may be written to


def _transpose_method(self: TracedArray, *axes: Any) -> Any:
    return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[call-overload]


def _astype_method(self: TracedArray, dtype: Any, **keywords: Any) -> TracedArray:
    graph = self._trace.graph
    if np.dtype(dtype).kind == "f":  # all is computed in the precision of x
        return TracedArray(self._trace, graph("real", self.node))
    if self.node.value is not None:
        return np.asarray(self).astype(dtype)  # type: ignore[return-value]
    raise refused(f"a change of dtype to {np.dtype(dtype)}", "leave it out, or take another jac")


TracedArray.reshape = _reshape_method  # type: ignore[attr-defined]
TracedArray.copy = _copy_method  # type: ignore[attr-defined]
TracedArray.transpose = _transpose_method  # type: ignore[attr-defined]
TracedArray.astype = _astype_method  # type: ignore[attr-defined]
TracedArray.T = property(np.transpose)  # type: ignore[attr-defined]
