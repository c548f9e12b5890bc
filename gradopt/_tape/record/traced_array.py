"""Traced arrays: what a function receives in place of arrays while it is traced; they record every operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry
from gradopt._tape.graph.graph import Copies, Graph
from gradopt._tape.graph.node import Node
from gradopt._tape.record.array_methods import ArrayMethods
from gradopt._tape.record.errors import refused

# The most traced elements that np.asarray puts into an array.
_ELEMENTS = 10_000

# Ufuncs that the graph has as elementwise operations under another name.
_ALIASES = {
    "true_divide": "divide",
    "abs": "absolute",
    "fabs": "absolute",
    "arctan2": "arctan2",
    "positive": "copy",
    "conjugate": "copy",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "not_equal",
    "invert": "logical_not",
}
_SAME = {
    *("add", "subtract", "multiply", "divide", "negative", "maximum", "minimum", "less", "less_equal", "greater"),
    *("greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not", "absolute", "sign", "floor"),
    *("ceil", "trunc", "rint", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "arcsin", "arccos"),
    *("arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "expit", "logaddexp", "erf", "remainder"),
    *("hypot", "floor_divide"),
}
_UFUNCS = {name: name for name in _SAME} | _ALIASES


class Trace:
    """A trace in progress: its graph, and the arguments whose numbers it has used.

    Parameters
    ----------
    n, limit, copies
        As for `Graph`.
    functions : dict
        NumPy's functions -> their versions for traced arrays: f(trace, *arguments, **keywords).
    """

    def __init__(self, n: int, limit: int, copies: Copies, functions: Mapping[Any, Callable[..., Any]]) -> None:
        self.graph, self.functions = Graph(n, limit, copies), functions
        self.frozen: set[Any] = set()  # the places of arguments whose numbers became part of the graph

    def value_of(self, node: Node) -> NDArray[Any]:
        """The numbers of a node that does not depend on x; from now on they are part of the graph."""
        assert node.value is not None
        below = [node]
        while below:
            one = below.pop()
            below += one.inputs
            if one.operation == "argument":
                self.frozen.add(one.extra)
        return node.value


def _operators(operation: str) -> Any:
    """The operator methods of an elementwise operation: with the traced array on the left, and on the right."""
    return (
        lambda self, other: self._binary(operation, other),
        lambda self, other: self._reflected(operation, other),
    )


def _of_numpy(ufunc: Any) -> Any:
    """The same for operators that NumPy's functions implement."""
    return lambda self, other: ufunc(self, other), lambda self, other: ufunc(other, self)


# For arrays of objects, such as np.array([x[0], x[1]]), NumPy calls a method of each element, named like the function.
_ELEMENT_METHODS = {
    name: lambda self, *others, name=name: getattr(np, name)(self, *others)
    for name in sorted({*_UFUNCS, "square", "reciprocal", "log2", "log10"})
    if hasattr(np, name)
}
_ElementMethods: Any = type("_ElementMethods", (), {"__slots__": (), **_ELEMENT_METHODS})


class TracedArray(_ElementMethods, ArrayMethods):  # type: ignore[misc]
    """An array whose numbers are not known yet, or are those of an argument."""

    __slots__ = ("_trace", "node")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: Trace, node: Node) -> None:
        self._trace, self.node = trace, node

    def __repr__(self) -> str:
        return f"<traced array of shape {self.node.shape}>"

    # Known while tracing.

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    @property
    def size(self) -> int:
        return self.node.size

    @property
    def dtype(self) -> Any:
        if self.node.value is not None:
            return self.node.value.dtype
        return np.dtype(bool if self.node.boolean else np.float64)

    def __len__(self) -> int:
        if not self.node.shape:
            raise TypeError("len() of unsized object")
        return self.node.shape[0]

    # Methods that need the numbers.

    def _numbers(self, what: str, remedy: str) -> NDArray[Any]:
        if self.node.value is None:
            raise refused(what, remedy)
        return self._trace.value_of(self.node)

    def __bool__(self) -> bool:
        remedy = "take np.where(condition, a, b), or another jac"
        return bool(self._numbers("a branch or loop on what depends on x", remedy))

    def __float__(self) -> float:
        remedy = "leave float() out, take np.sin in place of math.sin, np.stack in place of writing into an array"
        remedy += ", or another jac"
        return float(self._numbers("a number made of what depends on x", remedy))

    def __int__(self) -> int:
        return int(self._numbers("an integer made of what depends on x", "take another jac"))

    def __index__(self) -> int:
        return self._numbers("an index or a count that depends on x", "take another jac").__index__()

    def __complex__(self) -> complex:
        raise refused("a complex number", "take real arithmetic, or another jac")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        if self.node.value is not None:
            return np.array(self._trace.value_of(self.node), dtype)
        if dtype is not None and np.dtype(dtype) != np.dtype(object):
            raise refused(f"an array of {np.dtype(dtype)} made of what depends on x", "leave the dtype out")
        if self.node.size > _ELEMENTS:
            raise refused("np.asarray of what depends on x", "leave it out: x is an array already")
        elements = np.empty(self.node.shape, object)
        for index in np.ndindex(self.node.shape):
            elements[index] = self[index]
        return elements

    def astype(self, dtype: Any, **keywords: Any) -> Any:
        if np.dtype(dtype).kind == "f":  # everything is computed in the precision of x
            return self._made(self._trace.graph("real", self.node))
        if self.node.value is not None:
            return np.asarray(self).astype(dtype)
        raise refused(f"a change of dtype to {np.dtype(dtype)}", "leave it out, or take another jac")

    def __copy__(self) -> TracedArray:
        return self

    def __deepcopy__(self, memo: Any) -> TracedArray:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self.node.value is not None:
            return getattr(self._trace.value_of(self.node), name)
        raise refused(
            f"the attribute {name} of what depends on x", "take functions of NumPy that can be, or another jac"
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refused("assignment into an array", "put the parts together by np.stack, np.concatenate or np.where")

    def item(self, *index: int) -> Any:
        return float(self[index] if index else self)

    def tolist(self) -> Any:
        return list(self) if self.node.shape else self

    # Elements.

    def __getitem__(self, key: Any) -> Any:
        node = self.node
        if len(node.shape) == 1 and node.value is None:
            kind, length = type(key), node.shape[0]
            if kind is int:
                if not -length <= key < length:
                    raise IndexError(f"index {key} is out of bounds for axis 0 with size {length}")
                return self._element(key % length)
            if kind is slice:
                start, stop, step = key.indices(length)
                count = len(range(start, stop, step))
                if count:
                    return self._line(start, step, count)
        keys = tuple(_plain(k, self._trace) for k in key) if isinstance(key, tuple) else (_plain(key, self._trace),)
        if not any(k is Ellipsis for k in keys):
            keys = (*keys, Ellipsis)
        return self._made(self._trace.graph.rearranged(node, lambda array: array[keys]))

    def _element(self, i: int) -> TracedArray:
        return self._view(Geometry(i, ()), ())

    def _line(self, start: int, step: int, count: int) -> TracedArray:
        return self._view(Geometry(start, (step,)), (count,))

    def _view(self, geometry: Geometry, shape: tuple[int, ...]) -> TracedArray:
        node, graph = self.node, self._trace.graph
        if node.operation == "view":
            inner = node.extra
            if inner.positions is not None:
                return self._made(graph.rearranged(node, lambda array: _viewed(array, geometry, shape)))
            step = inner.strides[0]
            geometry = Geometry(inner.offset + geometry.offset * step, tuple(s * step for s in geometry.strides or ()))
            node = node.inputs[0]
        return self._made(graph.view(node, geometry, shape))

    def __iter__(self) -> Iterator[Any]:
        if not self.node.shape:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(self.node.shape[0])])

    # Operations.

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("subtract")
    __mul__, __rmul__ = _operators("multiply")
    __truediv__, __rtruediv__ = _operators("divide")
    __lt__, __gt__ = _operators("less")[0], _operators("greater")[0]
    __le__, __ge__ = _operators("less_equal")[0], _operators("greater_equal")[0]
    __eq__, __ne__ = _operators("equal")[0], _operators("not_equal")[0]
    __and__, __rand__ = _of_numpy(np.bitwise_and)
    __or__, __ror__ = _of_numpy(np.bitwise_or)
    __xor__, __rxor__ = _of_numpy(np.bitwise_xor)
    __mod__, __rmod__ = _of_numpy(np.mod)
    __floordiv__, __rfloordiv__ = _of_numpy(np.floor_divide)
    __lshift__, __rlshift__ = _of_numpy(np.left_shift)
    __rshift__, __rrshift__ = _of_numpy(np.right_shift)

    def _made(self, node: Node) -> TracedArray:
        return TracedArray(self._trace, node)

    def operand(self, value: Any) -> Node:
        """The other operand of an operation, as a node."""
        kind = type(value)
        if kind is TracedArray:
            return value.node  # type: ignore[no-any-return]
        if kind is float or kind is int:
            return self._trace.graph.constant(value)
        return node_of(self._trace, value)

    def _binary(self, name: str, other: Any) -> Any:
        if not _may_operate(other):
            return NotImplemented
        operand = self.operand(other)
        if name == "add" and all([i.boolean and i.elementwise and not i.shape for i in (self.node, operand)]):
            # NumPy gives True for a plain sum, but a count for np.array([x[0] > 0, x[1] > 0]).sum().
            raise refused("a sum of two truths", "take np.stack in place of np.array, or multiply them by 1.0")
        return TracedArray(self._trace, self._trace.graph(name, self.node, operand))

    def _reflected(self, name: str, other: Any) -> Any:
        if not _may_operate(other):
            return NotImplemented
        return TracedArray(self._trace, self._trace.graph(name, self.operand(other), self.node))

    def __pow__(self, other: Any) -> Any:
        return (
            self._made(self._trace.graph.power(self.node, self.operand(other)))
            if _may_operate(other)
            else NotImplemented
        )

    def __rpow__(self, other: Any) -> Any:
        return (
            self._made(self._trace.graph.power(self.operand(other), self.node))
            if _may_operate(other)
            else NotImplemented
        )

    def __neg__(self) -> TracedArray:
        return self._made(self._trace.graph("negative", self.node))

    def __pos__(self) -> TracedArray:
        return self

    def __abs__(self) -> TracedArray:
        return self._made(self._trace.graph("absolute", self.node))

    def __invert__(self) -> Any:
        return np.invert(self)

    def __matmul__(self, other: Any) -> Any:
        return np.matmul(self, other)  # type: ignore[call-overload]

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)  # type: ignore[call-overload]

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **keywords: Any) -> Any:
        name = ufunc.__name__
        elementwise = name in _SAME and method == "__call__" and not keywords
        if self._is_for_numpy((*inputs, out, *keywords.values()), elementwise):
            given = keywords if out is None else {**keywords, "out": out}
            return self._as_numpy_would(name, getattr(ufunc, method), inputs, given)
        keywords = {key: value for key, value in keywords.items() if key != "dtype" or value not in (float, np.float64)}
        if out is not None:
            raise refused(f"np.{name} with an array to put the result into", "write a = a + b in place of a += b")
        plain = method == "__call__" and keywords.pop("where", True) is True and not keywords
        if plain and name in _UFUNCS:
            if name.startswith(("logical", "bitwise", "invert")):
                self._require_logical(inputs)
            return self._made(self._trace.graph(_UFUNCS[name], *[self.operand(i) for i in inputs]))
        if plain and ufunc in self._trace.functions:
            return self._trace.functions[ufunc](self._trace, *inputs)
        if method == "reduce" and name in ("add", "multiply", "maximum", "minimum"):
            function = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}[name]
            keywords.setdefault("axis", 0)
            return self.__array_function__(function, (), inputs, keywords)
        shown = f"np.{name}" if hasattr(np, name) else name
        call_at = "" if method == "__call__" else f".{method}"
        return self._as_numpy_would(shown + call_at, getattr(ufunc, method), inputs, keywords)

    def _is_for_numpy(self, given: Any, elementwise: bool) -> bool:
        """Whether NumPy should do it: nothing depends on x, and it is about integers or writes to given arrays."""
        arrays = [item for item in _items(given) if isinstance(item, TracedArray)]
        if any(array.node.value is None for array in arrays):
            return False
        whole = all(array.node.value.dtype.kind in "biu" for array in arrays)  # type: ignore[union-attr]
        written = any(isinstance(item, np.ndarray) for item in _items(given)) and not elementwise
        return (whole and not elementwise) or written

    def _require_logical(self, inputs: Any) -> None:
        for i in inputs:
            if self.operand(i).size and not self.operand(i).boolean:
                raise refused(
                    "logic with numbers that are neither True nor False", "compare them first, or take another jac"
                )

    def __array_function__(self, function: Any, types: Any, inputs: Any, keywords: Any) -> Any:
        implementation, shown = self._trace.functions.get(function), f"{function.__module__}.{function.__name__}"
        shown = shown.replace("numpy.", "np.", 1)
        if implementation is None or self._is_for_numpy((*inputs, *keywords.values()), False):
            return self._as_numpy_would(shown, function, inputs, keywords)
        try:
            return implementation(self._trace, *inputs, **keywords)
        except _NotSupported as reason:
            return self._as_numpy_would(f"{shown} {reason}", function, inputs, keywords)

    def _as_numpy_would(self, what: str, function: Any, inputs: Any, keywords: Any) -> Any:
        """Call NumPy's own function; refused if anything depends on x."""
        inputs, keywords = _numbers_of((inputs, keywords), self._trace, what)
        return function(*inputs, **keywords)


def _items(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _items(value)
        else:
            yield value


class _NotSupported(Exception):
    """A way of calling one of NumPy's functions that is not supported here."""


def not_supported(how: str) -> Exception:
    return _NotSupported(how)


def _may_operate(other: Any) -> bool:
    return type(other) in _PLAIN or isinstance(other, (np.ndarray, np.generic, list, tuple))


_PLAIN = (float, int, TracedArray, bool)


def node_of(trace: Trace, value: Any) -> Node:
    """The node for a number, an array, or a sequence that contains traced numbers."""
    if isinstance(value, TracedArray):
        return value.node
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        raise refused(f"a {type(value).__name__}", "take plain arrays, or another jac")
    array = np.asarray(value)
    if array.dtype == object:
        return _together(trace, array)
    if array.dtype.kind not in "biuf":
        raise refused(f"an array of {array.dtype}", "take real numbers, or another jac")
    return trace.graph.constant(value if type(value) in (float, int, bool) else array)


def _together(trace: Trace, array: NDArray[Any]) -> Node:
    """The node for an array of objects, some of them traced numbers."""
    graph = trace.graph
    nodes = [node_of(trace, element) for element in array.reshape(-1)]
    if any(node.size != 1 for node in nodes):
        raise refused("an array of arrays", "put them together by np.stack or np.concatenate")
    if not array.ndim:
        return nodes[0]
    bases = {
        node.inputs[0].index if node.operation == "view" and node.extra.positions is None else -1 for node in nodes
    }
    if len(bases) == 1 and -1 not in bases:  # elements of one array
        offsets = [node.extra.offset for node in nodes]
        steps = {after - before for before, after in pairwise(offsets)}
        if len(steps) <= 1:
            step = steps.pop() if steps else 1
            line = graph.view(nodes[0].inputs[0], Geometry(offsets[0], (step,)), (len(nodes),))
            return graph.reshaped(line, array.shape)
    parts = [(Geometry(i, ()), graph.reshaped(node, ())) for i, node in enumerate(nodes)]
    line = graph.accumulated(parts, (len(nodes),))
    line.boolean = all([node.boolean for node in nodes])
    return graph.reshaped(line, array.shape)


def _viewed(array: NDArray[Any], geometry: Geometry, shape: tuple[int, ...]) -> NDArray[Any]:
    if not shape:
        return np.asarray(array[geometry.offset])
    step = geometry.strides[0]  # type: ignore[index]
    return array[np.arange(geometry.offset, geometry.offset + step * shape[0], step)]


def _plain(key: Any, trace: Trace) -> Any:
    """One item of an index, in a form that NumPy accepts."""
    if isinstance(key, TracedArray):
        if key.node.value is None:
            raise refused("an index that depends on x", "take np.where, or another jac")
        return trace.value_of(key.node)
    if isinstance(key, slice):
        return slice(*(None if part is None else part.__index__() for part in (key.start, key.stop, key.step)))
    return key


def _numbers_of(value: Any, trace: Trace, what: str) -> Any:
    if isinstance(value, TracedArray):
        if value.node.value is None:
            raise refused(what, "take functions that can be, or another jac")
        return trace.value_of(value.node)
    if isinstance(value, (tuple, list)):
        return type(value)([_numbers_of(item, trace, what) for item in value])
    if isinstance(value, dict):
        return {key: _numbers_of(item, trace, what) for key, item in value.items()}
    return value
