"""Traced arrays: what a function receives in place of arrays while it is traced; they record every operation."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph.geometry import Geometry, steps
from gradopt._tape.graph.node import Node
from gradopt._tape.record.array_methods import ArrayMethods
from gradopt._tape.record.errors import refused
from gradopt._tape.record.memory import Memory
from gradopt._tape.record.trace import Trace

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
SAME = {
    *("add", "subtract", "multiply", "divide", "negative", "maximum", "minimum", "less", "less_equal", "greater"),
    *("greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not", "absolute", "sign", "floor"),
    *("ceil", "trunc", "rint", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "arcsin", "arccos"),
    *("arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "expit", "logaddexp", "erf", "remainder"),
    *("hypot", "floor_divide"),
}
UFUNCS = {name: name for name in SAME} | _ALIASES


def _operators(operation: str) -> Any:
    """The operator methods of an elementwise operation: with the traced array on the left, and on the right."""
    return (
        lambda self, other: self._binary(operation, other),
        lambda self, other: self._reflected(operation, other),
    )


def _in_place(operation: Callable[[Any, Any], Any]) -> Any:
    """The operator that writes its result into the array on the left; numbers are replaced, not written."""

    def operate(self: TracedArray, other: Any) -> Any:
        result = operation(self, other)
        if not self.shape and self.memory is None:
            return result
        if result.shape != self.shape:
            raise ValueError(f"an array of shape {self.shape} can't hold the result, of shape {result.shape}")
        self[...] = result
        return self

    return operate


def _of_numpy(ufunc: Any) -> Any:
    """The same for operators that NumPy's functions implement."""
    return lambda self, other: ufunc(self, other), lambda self, other: ufunc(other, self)


# For arrays of objects, such as np.array([x[0], x[1]]), NumPy calls a method of each element, named like the function.
_ELEMENT_METHODS = {
    name: lambda self, *others, name=name: getattr(np, name)(self, *others)
    for name in sorted({*UFUNCS, "square", "reciprocal", "log2", "log10"})
    if hasattr(np, name)
}
_ElementMethods: Any = type("_ElementMethods", (), {"__slots__": (), **_ELEMENT_METHODS})


class TracedArray(_ElementMethods, ArrayMethods):  # type: ignore[misc]
    """An array whose numbers are not known yet, or are those of an argument."""

    __slots__ = ("_trace", "latest", "memory")
    __array_priority__ = 1000.0
    __pandas_priority__ = 10_000

    def __init__(self, trace: Trace, node: Node, memory: Memory | None = None) -> None:
        self._trace, self.latest, self.memory = trace, node, memory

    @property
    def node(self) -> Node:
        """The node of what the array holds now."""
        if self.memory is not None:
            self.memory.refresh(self)
        return self.latest

    def __repr__(self) -> str:
        return f"<traced array of shape {self.node.shape}>"

    # Known while tracing.

    @property
    def shape(self) -> tuple[int, ...]:
        memory = self.memory
        return self.latest.shape if memory is None or memory.ids is None else memory.ids.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        if self.memory is not None:
            self.memory.own(self)
            self.memory.ids.shape = shape  # type: ignore[union-attr]
            self.memory.seen = -1
        self.latest = self._trace.graph.rearranged(self.latest, lambda array: array.reshape(shape))

    @property
    def parts(self) -> tuple[TracedArray, ...]:
        """The arrays of real numbers of which this one is made: itself."""
        return (self,)

    @property
    def flags(self) -> Any:
        return np.empty(self.shape, np.int8).flags

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> Any:
        if self.memory is not None and self.memory.owner is not None:
            return self.memory.owner.dtype
        if self.node.value is not None:
            return self.node.value.dtype
        return np.dtype(bool if self.node.boolean else np.float64)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    # Methods that need the numbers.

    def _numbers(self, what: str, remedy: str) -> NDArray[Any]:
        if self.node.value is None:
            raise refused(what, remedy)
        return self._trace.value_of(self.node)

    def __bool__(self) -> bool:
        if self.node.value is not None:
            return bool(self._trace.value_of(self.node))
        if self.size != 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
            )
        graph = self._trace.graph
        number = graph.reshaped(self.node, ())
        remedy = "take np.where(condition, a, b), or another jac"
        return bool(self._outcome(number if number.boolean else graph("not_equal", number, 0.0), "a branch", remedy))

    def _outcome(self, number: Node, what: str, remedy: str) -> float:
        """The number that a condition, an index or a count is where the function is traced; it becomes a guard."""
        if self._trace.choices is None:
            raise refused(f"{what} that depends on x", remedy)
        return self._trace.choices.of(number)

    def __float__(self) -> float:
        remedy = "take functions of NumPy, arrays that the function makes, or another jac"
        return float(self._numbers("a plain number made of what depends on x", remedy))

    def __int__(self) -> int:
        if self.node.value is not None or self.size != 1:
            return int(self._numbers("an integer made of what depends on x", "take another jac"))
        graph = self._trace.graph
        whole = graph("trunc", graph.real(graph.reshaped(self.node, ())))
        return int(self._outcome(whole, "an integer", "take another jac"))

    def __index__(self) -> int:
        if self.node.value is not None or self.size != 1:
            return self._numbers("an index or a count that depends on x", "take another jac").__index__()
        outcome = self._outcome(self._trace.graph.real(self.node), "an index or a count", "take another jac")
        if outcome != math.trunc(outcome):
            raise TypeError("only integers can be used as an index or a count")
        return int(outcome)

    def __hash__(self) -> int:
        """The hash of a whole number, which is one way of the function; NumPy's arrays have none."""
        if self.node.value is not None and not self.shape:
            return hash(self._trace.value_of(self.node)[()])
        if self.shape or self.node.operation not in ("trunc", "floor", "ceil", "rint"):
            raise refused("a key, or an item of a set, that depends on x", "take int(x), or another jac")
        return hash(int(self))

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
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self if self.node.boolean else self != 0.0
        if dtype.kind == "f":  # everything is computed in the precision of x
            if keywords.get("copy", True) is False and self.dtype.kind == "f":
                return self
            return self._made(self._trace.graph("real", self.node))
        if dtype.kind == "c":
            return self._trace.functions["complex"](self._trace, self)
        if self.node.value is not None:
            return np.asarray(self).astype(dtype)
        raise refused(f"a change of dtype to {np.dtype(dtype)}", "leave it out, or take another jac")

    def __copy__(self) -> TracedArray:
        return self._made(self.node)

    def __deepcopy__(self, memo: Any) -> TracedArray:
        return self._made(self.node)

    def __format__(self, how: str) -> str:
        return format(self._trace.value_of(self.node)[()], how) if self.node.value is not None else repr(self)

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)  # type: ignore[call-overload]

    def __trunc__(self) -> Any:
        return np.trunc(self)  # type: ignore[call-overload]

    def __floor__(self) -> Any:
        return np.floor(self)  # type: ignore[call-overload]

    def __ceil__(self) -> Any:
        return np.ceil(self)  # type: ignore[call-overload]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self.node.value is not None:
            return getattr(self._trace.value_of(self.node), name)
        raise refused(
            f"the attribute {name} of what depends on x", "take functions of NumPy that can be, or another jac"
        )

    def item(self, *index: Any) -> Any:
        """The number as itself, so that it stays traced."""
        if len(index) == 1 and not isinstance(index[0], tuple):
            return self.reshape(-1)[index[0]]
        if index:
            return self[index[0] if isinstance(index[0], tuple) else index]
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._made(self._trace.graph.reshaped(self.node, ()))

    def tolist(self) -> Any:
        return [row.tolist() if isinstance(row, TracedArray) else row for row in self] if self.shape else self

    # Elements.

    def __getitem__(self, key: Any) -> Any:
        memory = self.memory
        if memory is not None:
            memory.settle()
            if memory.ids is not None:
                return self._read(memory, key)
        node = self.latest
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
                    return self._derived(self._line(start, step, count), lambda ids: ids[key])
        if type(key) is TracedArray and key.node.value is None and len(node.shape) == 1 and not key.node.boolean:
            return self._trace.functions["at_places"](self, key)
        key = self._key(key)
        if node.fixed:
            found = node.value[key]  # type: ignore[index]
            if not isinstance(found, np.ndarray):
                return found
        keys = key if isinstance(key, tuple) else (key,)
        if not any(k is Ellipsis for k in keys):
            keys = (*keys, Ellipsis)
        part = self._trace.graph.rearranged(node, lambda array: array[keys])
        is_number = not part.shape and not any(k is Ellipsis for k in (key if isinstance(key, tuple) else (key,)))
        return self._made(part) if is_number else self._derived(part, lambda ids: ids[key])

    def _key(self, key: Any) -> Any:
        """An index in a form that NumPy accepts."""
        return tuple(_plain(k, self._trace) for k in key) if isinstance(key, tuple) else _plain(key, self._trace)

    def _read(self, memory: Memory, key: Any) -> Any:
        """An element or a part of a written array."""
        if type(key) is TracedArray and key.node.value is None and self.ndim == 1 and not key.node.boolean:
            return self._trace.functions["at_places"](self, key)
        ids = memory.ids[key if type(key) is int else self._key(key)]  # type: ignore[index]
        if not isinstance(ids, np.ndarray):
            return self._made(self._trace.elements.element(int(ids)))
        return self._shown(ids, memory)

    def _shown(self, ids: Any, memory: Memory) -> TracedArray:
        """The array of these elements: a view if they share the memory of a written array."""
        elements = self._trace.elements
        if np.may_share_memory(ids, memory.ids):  # type: ignore[arg-type]
            return TracedArray(self._trace, None, Memory(elements, ids=ids, owner=memory.owner))  # type: ignore[arg-type]
        return self._made(elements.node(ids))

    def _derived(self, node: Node, move: Callable[[Any], Any]) -> TracedArray:
        """A part of this array, which may be a view of it."""
        return TracedArray(self._trace, node, Memory(self._trace.elements, self, move))

    def moved(self, move: Callable[[Any], Any]) -> TracedArray:
        """The array after one of NumPy's functions that only put elements elsewhere."""
        memory = self.memory
        if memory is not None:
            memory.settle()
            if memory.ids is not None:
                return self._shown(np.asarray(move(memory.ids)), memory)
        return self._derived(self._trace.graph.rearranged(self.latest, move), move)

    def _element(self, i: int) -> TracedArray:
        return self._made(self._view(Geometry(i, ()), ()))

    def _line(self, start: int, step: int, count: int) -> Node:
        return self._view(Geometry(start, (step,)), (count,))

    def _view(self, geometry: Geometry, shape: tuple[int, ...]) -> Node:
        node, graph = self.latest, self._trace.graph
        if node.operation == "view":
            inner = node.extra
            if inner.positions is not None:
                return graph.rearranged(node, lambda array: _viewed(array, geometry, shape))
            step = inner.strides[0]
            geometry = Geometry(inner.offset + geometry.offset * step, tuple(s * step for s in geometry.strides or ()))
            node = node.inputs[0]
        return graph.view(node, geometry, shape)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is TracedArray and key.node.value is None and key.node.boolean and key.shape == self.shape:
            if np.ndim(value):
                raise refused("as many values as a mask that depends on x has places", "take np.where")
            key, value = ..., np.where(key, value, self)  # type: ignore[call-overload]
        if self.memory is None:
            self.memory = Memory(self._trace.elements)
        self.memory.own(self)
        memory, node = self.memory, self._as_stored(self.operand(value))
        memory.ids[key if type(key) is int else self._key(key)] = self._trace.elements.ids(node)  # type: ignore[index]
        memory.owner.writes += 1  # type: ignore[union-attr]

    def _as_stored(self, node: Node) -> Node:
        """A value in the kind of numbers that this array holds."""
        kind = self.dtype.kind
        if kind == "f":
            return self._trace.graph.widened(node)
        if (kind == "b") != node.boolean or (node.value is None and kind != "b"):
            what = f"another kind of number written into an array of {self.dtype}"
            raise refused(what, "make the array one of floats")
        return node

    @property
    def flat(self) -> TracedArray:
        return self.reshape(-1)  # type: ignore[no-any-return]

    def view(self, *kinds: Any) -> TracedArray:
        return self.moved(lambda array: array.view())

    def fill(self, value: Any) -> None:
        self[...] = value

    # Operations.

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("subtract")
    __mul__, __rmul__ = _operators("multiply")
    __truediv__, __rtruediv__ = _operators("divide")
    __iadd__, __isub__ = _in_place(operator.add), _in_place(operator.sub)
    __imul__, __itruediv__ = _in_place(operator.mul), _in_place(operator.truediv)
    __ipow__, __imod__, __ifloordiv__ = map(_in_place, (operator.pow, operator.mod, operator.floordiv))
    __imatmul__, __iand__ = _in_place(operator.matmul), _in_place(operator.and_)
    __ior__, __ixor__ = _in_place(operator.or_), _in_place(operator.xor)
    __lt__, __gt__ = _operators("less")[0], _operators("greater")[0]
    __le__, __ge__ = _operators("less_equal")[0], _operators("greater_equal")[0]
    __eq__, __ne__ = _operators("equal")[0], _operators("not_equal")[0]
    __and__, __rand__ = _of_numpy(np.bitwise_and)
    __or__, __ror__ = _of_numpy(np.bitwise_or)
    __xor__, __rxor__ = _of_numpy(np.bitwise_xor)
    __mod__, __rmod__ = _of_numpy(np.mod)
    __floordiv__, __rfloordiv__ = _of_numpy(np.floor_divide)
    __divmod__, __rdivmod__ = _of_numpy(lambda a, b: (np.floor_divide(a, b), np.mod(a, b)))
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
        if type(other) not in _PLAIN:
            if is_complex(other):
                return getattr(np, name)(self, other)
            if not _may_operate(other):
                return NotImplemented
        operand = self.operand(other)
        if name == "add" and all([i.boolean and i.elementwise and not i.shape for i in (self.node, operand)]):
            # NumPy gives True for a plain sum, but a count for np.array([x[0] > 0, x[1] > 0]).sum().
            raise refused("a sum of two truths", "take np.stack in place of np.array, or multiply them by 1.0")
        return TracedArray(self._trace, self._trace.graph(name, self.node, operand))

    def _reflected(self, name: str, other: Any) -> Any:
        if type(other) not in _PLAIN:
            if is_complex(other):
                return getattr(np, name)(other, self)
            if not _may_operate(other):
                return NotImplemented
        return TracedArray(self._trace, self._trace.graph(name, self.operand(other), self.node))

    def __pow__(self, other: Any) -> Any:
        if type(other) not in _PLAIN:
            if is_complex(other):
                return np.power(self, other)  # type: ignore[call-overload]
            if not _may_operate(other):
                return NotImplemented
        return self._made(self._trace.graph.power(self.node, self.operand(other)))

    def __rpow__(self, other: Any) -> Any:
        if type(other) not in _PLAIN:
            if is_complex(other):
                return np.power(other, self)  # type: ignore[call-overload]
            if not _may_operate(other):
                return NotImplemented
        return self._made(self._trace.graph.power(self.operand(other), self.node))

    def __neg__(self) -> TracedArray:
        return self._made(self._trace.graph("negative", self.node))

    def __pos__(self) -> TracedArray:
        return self._made(self.node)

    def __abs__(self) -> TracedArray:
        return self._made(self._trace.graph("absolute", self.node))

    def __invert__(self) -> Any:
        return np.invert(self)

    def __matmul__(self, other: Any) -> Any:
        if not _may_operate(other):
            return NotImplemented
        return np.matmul(self, other)  # type: ignore[call-overload]

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)  # type: ignore[call-overload]

    # NumPy's protocols.

    def __array_wrap__(self, array: Any, *others: Any) -> Any:
        return array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return self._trace.functions["__array_ufunc__"](self._trace, ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, inputs: Any, keywords: Any) -> Any:
        return self._trace.functions["__array_function__"](self._trace, function, inputs, keywords)


def depends_on_x(value: Any) -> bool:
    """Whether a value, or one in a container, is traced and not known."""
    if type(value) in TRACED:
        return any(part.node.value is None for part in value.parts)
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, (list, tuple)) and any([depends_on_x(item) for item in value])


def is_complex(value: Any) -> bool:
    """Whether a value is complex, traced or not, or a list or tuple in which something is."""
    kind = type(value)
    if kind is TracedArray or kind is float or kind is int:
        return False
    if kind is list or kind is tuple:
        return any([is_complex(item) for item in value])
    return kind is complex or getattr(getattr(value, "dtype", None), "kind", "") == "c"


def _may_operate(other: Any) -> bool:
    if type(other) in _PLAIN or isinstance(other, (np.ndarray, np.generic, list, tuple)):
        return True
    return type(other).__module__.startswith("pandas") and hasattr(other, "to_numpy")


_PLAIN = (float, int, TracedArray, bool)
# The classes of what is traced; complex arrays add theirs.
TRACED: set[type] = {TracedArray}


def array_of(trace: Trace, value: Any) -> TracedArray:
    """The value as a traced array; one that is traced already is itself."""
    return value if isinstance(value, TracedArray) else TracedArray(trace, node_of(trace, value))


def node_of(trace: Trace, value: Any) -> Node:
    """The node for a number, an array, or a sequence that contains traced numbers or arrays."""
    if isinstance(value, TracedArray):
        return value.node  # type: ignore[no-any-return]
    if type(value) in TRACED:
        raise refused("a complex number in place of a real one", "take its real part, or np.abs")
    if isinstance(value, (list, tuple)) and has_traced(value):
        return _together(trace, [node_of(trace, item) for item in value])
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        raise refused(f"a {type(value).__name__}", "take plain arrays, or another jac")
    array = np.asarray(value)
    if array.dtype == object:
        if not array.ndim:
            inner: Any = array.item()
            return node_of(trace, inner) if isinstance(inner, TracedArray) else _not_real(array)
        nodes = [node_of(trace, element) for element in array.reshape(-1)]
        if any(node.size != 1 for node in nodes):
            raise refused("an array of arrays", "put them together by np.stack or np.concatenate")
        return trace.graph.reshaped(_together(trace, nodes), array.shape)
    if array.dtype.kind not in "biuf":
        return _not_real(array)
    return trace.graph.constant(value if type(value) in (float, int, bool) else array)


def _not_real(array: NDArray[Any]) -> Node:
    raise refused(f"an array of {array.dtype}", "take real numbers, or another jac")


def has_traced(value: Any) -> bool:
    """Whether a value is traced, or a list or tuple that contains something traced."""
    kind = type(value)
    if kind is list or kind is tuple:
        return any([has_traced(item) for item in value])
    return kind in TRACED


def _together(trace: Trace, nodes: list[Node]) -> Node:
    """The nodes, all of one shape, as the rows of a new one."""
    graph, shape = trace.graph, nodes[0].shape
    if any([node.shape != shape for node in nodes]):
        raise ValueError("setting an array element with a sequence: its parts have different shapes")
    if any([node.boolean for node in nodes]) and not all([node.boolean for node in nodes]):
        nodes = [graph.real(node) for node in nodes]
    if not shape:
        bases = {n.inputs[0].index if n.operation == "view" and n.extra.positions is None else -1 for n in nodes}
        if len(bases) == 1 and -1 not in bases:  # elements of one array
            offsets = [node.extra.offset for node in nodes]
            steps_between = {after - before for before, after in pairwise(offsets)}
            if len(steps_between) <= 1:
                step = steps_between.pop() if steps_between else 1
                return graph.view(nodes[0].inputs[0], Geometry(offsets[0], (step,)), (len(nodes),))
    whole, size = (len(nodes), *shape), nodes[0].size
    if not size:
        return graph.constant(np.zeros(whole))
    together = graph.accumulated([(Geometry(i * size, steps(shape)), node) for i, node in enumerate(nodes)], whole)
    if together.value is None:
        together.boolean = all([node.boolean for node in nodes])
    return together


def _viewed(array: NDArray[Any], geometry: Geometry, shape: tuple[int, ...]) -> NDArray[Any]:
    if not shape:
        return np.asarray(array[geometry.offset])
    step = geometry.strides[0]  # type: ignore[index]
    return array[np.arange(geometry.offset, geometry.offset + step * shape[0], step)]


def _plain(key: Any, trace: Trace) -> Any:
    """One item of an index, in a form that NumPy accepts."""
    if isinstance(key, TracedArray):
        if key.node.value is None:
            if key.shape == () and not key.node.boolean:
                return key.__index__()
            raise refused("an index that depends on x", "take np.where, or another jac")
        return trace.value_of(key.node)
    if type(key) is list and has_traced(key):
        return [_plain(k, trace) for k in key]
    if isinstance(key, slice):
        return slice(*(None if part is None else part.__index__() for part in (key.start, key.stop, key.step)))
    return key
