"""The graph that a trace records: which array is computed from which, each of them once.

A node is an array that an operation computes from other nodes. Besides the elementwise operations there are

- `x`, and nodes with a value, which are known before x: constants, arguments, and everything computed from these alone;
- `view`: elements of a node in another shape or order, by strides or by positions (slices, transposes, broadcasting);
- `accumulate`: a new array into which other nodes are added, or multiplied, or of which they give the maximum or
  minimum. A concatenation is one with disjoint parts, a sum one with strides of 0. The adjoint of a view is an
  accumulation of the same geometry, and vice versa;
- `matmul`, `cumsum` and `other_products` (for each element, the product of the others in its line);
- factorisations of matrices and solutions of their equations (`matrices`);
- `order` (for each line of a matrix, the places of its elements in ascending order), `taken` (from each line, the
  elements at places which are known only when the tape runs) and its adjoint `put_back`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._tape.graph import special as special
from gradopt._tape.graph.evaluate import evaluate
from gradopt._tape.graph.geometry import Geometry, Positions, Shape, contiguous, places_of, steps
from gradopt._tape.graph.matrices import MATRICES
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.simplify import power, simplified

# What sums, products and extrema of booleans become.
_OF_TRUTH = {"add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and"}

# Operations that Python's operators do for plain numbers.
_OF_NUMBERS: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "negative": operator.neg,
}

# Arrays of up to this size are recognised by their contents, larger ones by identity.
_SMALL = 4096


def given(operation: str, node: Node, value: Any, in_double: bool) -> Any:
    """The value that an operation receives for a known node.

    Python's numbers take the type of the arrays beside them. With `in_double`, everything is computed in double
    precision; a view only moves elements and needs no copy.
    """
    if node.literal is not None and not node.strong and operation in OPERATIONS:
        return node.literal
    return np.asarray(value, np.float64) if in_double and not node.boolean and operation != "view" else value


class Copies:
    """Copies of large arrays, one of each until its owner changes it."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy of the array as it is now."""
        source, copy = self._copies.get(id(array), (None, None))
        if source is not array or not np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):  # type: ignore[arg-type]
            copy = array.copy()
            self._copies[id(array)] = array, copy
        assert copy is not None
        return copy


class Graph:
    """Nodes in the order in which they were made.

    Calling the graph applies an elementwise operation: graph("add", node, 1.0). An operation that is there already is
    not repeated, one on known values is evaluated at once, and one without effect is left out.

    Parameters
    ----------
    n : int
        The length of x.
    limit : int
        The largest number of nodes; one more raises `TooLong`.
    copies : Copies, optional
        The copies of large constants that an earlier trace made.
    first_index : int
        The index of x; those of other nodes follow.

    Attributes
    ----------
    in_double : bool
        Whether known values are computed in double precision. A function's own values have the precision that NumPy
        gives them; the gradient must not be rounded to the precision of the arguments.
    guards : set of int
        The nodes, by index, that keep a slope which may be infinite out of the gradient where its adjoint is 0.
    """

    def __init__(self, n: int, limit: int, copies: Copies | None = None, first_index: int = 0) -> None:
        self.nodes: list[Node] = []
        self.first_index = first_index
        self.limit, self.in_double = limit, False
        self.guards: set[int] = set()
        self._known: dict[Any, Node] = {}
        self._memories: dict[int, NDArray[np.int8]] = {}
        self._copies = copies or Copies()
        self.x = Node(self, "x", (), None, (n,))

    def same_as(self, other: Graph) -> bool:
        """Whether the other graph consists of the same operations on the same numbers."""
        if len(self.nodes) != len(other.nodes):
            return False
        if list(self._known) == list(other._known):  # if not, large arrays may still be different objects, but equal
            return True
        for mine, its in zip(self.nodes, other.nodes, strict=True):
            if mine.operation != its.operation or mine.shape != its.shape or mine.extra != its.extra:
                return False
            if [i.index for i in mine.inputs] != [i.index for i in its.inputs]:
                return False
            if mine.operation == "constant" and mine.value is not its.value:
                real = mine.value.dtype.kind == "f"  # type: ignore[union-attr]
                if not np.array_equal(mine.value, its.value, equal_nan=real):  # type: ignore[arg-type]
                    return False
        return True

    # Known values.

    def constant(self, value: Any) -> Node:
        """A number or an array that never changes."""
        kind = type(value)
        if kind is int and not -(2**63) <= value < 2**63:
            kind, value = float, float(value)  # as NumPy does beside real numbers
        if kind is float or kind is int or kind is bool:
            key: Any = (kind, value) if value else (kind, str(value))  # 0.0 and -0.0 differ
            node = self._known.get(key)
            if node is None:
                node = self._known[key] = Node(self, "constant", (), None, ())
                node.value, node.boolean, node.fixed, node.literal = np.asarray(value), kind is bool, True, value
            return node
        array = np.asarray(value)
        if array.size > _SMALL:
            array = self._copies.of(array)
            key = ("constant", id(array))
        else:
            array = array.copy()
            key = ("constant", array.shape, array.dtype, array.tobytes())
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self._with_value("constant", array, None)
            node.fixed = True
            if not array.ndim:
                node.literal, node.strong = array[()].item(), True
        return node

    def copy_of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as it is now; its owner may change it."""
        return self._copies.of(array) if array.size > _SMALL else array.copy()

    def forget_sources(self) -> None:
        """Let go of the arrays of which the graph holds copies."""
        self._copies = Copies()

    def argument(self, place: Any, array: NDArray[Any]) -> Node:
        """An array that another one may replace later; there is one for each place."""
        node = self._known.get(("argument", place))
        if node is None:
            node = self._known["argument", place] = self._with_value("argument", array, place)
        return node

    def _with_value(self, operation: str, value: NDArray[Any], extra: Any, inputs: tuple[Node, ...] = ()) -> Node:
        node = Node(self, operation, inputs, extra, value.shape)
        node.value, node.boolean = value, value.dtype.kind == "b"
        node.fixed, node.in_double = bool(inputs) and all(i.fixed for i in inputs), self.in_double
        return node

    def widened(self, node: Node) -> Node:
        """The node in double precision, if it is boolean or a known value of another dtype."""
        narrow = node.value is not None and node.value.dtype != np.float64
        return self("real", node) if narrow or node.boolean else node

    def real(self, node: Node) -> Node:
        """The node as real numbers, if it is boolean: sums of booleans are not boolean."""
        return self("real", node) if node.boolean else node

    # Computed nodes.

    def __call__(self, name: str, *inputs: Any) -> Node:
        nodes: tuple[Node, ...]
        key: Any
        if len(inputs) == 2:  # most operations, so not by the loops below
            a, b = inputs
            a, b = a if type(a) is Node else self.constant(a), b if type(b) is Node else self.constant(b)
            nodes, key, known = (a, b), (name, a.index, b.index), a.value is not None and b.value is not None
        else:
            nodes = tuple([i if type(i) is Node else self.constant(i) for i in inputs])
            key, known = (name, *[i.index for i in nodes]), all([i.value is not None for i in nodes])
        if known and self.in_double:
            key = ("wide", *key)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self._elementwise(name, nodes)
        return node

    def power(self, base: Any, exponent: Any) -> Node:
        """base**exponent of nodes or numbers."""
        a, b = (self.real(i if type(i) is Node else self.constant(i)) for i in (base, exponent))
        return power(a, b)

    def _elementwise(self, name: str, nodes: tuple[Node, ...]) -> Node:
        if nodes[0].boolean and name in _OF_TRUTH and nodes[1].boolean:
            return self(_OF_TRUTH[name], *nodes)  # as in NumPy: True + True is True
        shape = nodes[0].shape
        for node in nodes[1:]:
            if node.shape != shape and node.shape != ():
                shape = np.broadcast_shapes(*[i.shape for i in nodes]) if shape != () else node.shape
        if all([i.value is not None for i in nodes]):
            return self._folded(name, nodes)
        simpler = simplified(self, name, nodes, shape)
        if simpler is not None:  # 1.0 times a boolean is a real number
            return simpler if OPERATIONS[name].boolean or name in ("copy", "absolute") else self.real(simpler)
        fitting = nodes
        if shape != ():
            if 0 in shape:
                return self.constant(np.zeros(shape))
            # A scalar stands for all elements; other shapes are stretched by a view.
            fitting = tuple([i if i.size == 1 or i.shape == shape else self.stretched(i, shape) for i in nodes])
        made = Node(self, name, fitting, None, shape)
        made.boolean, made.elementwise = OPERATIONS[name].boolean, True
        if name == "where":
            made.boolean = fitting[1].boolean and fitting[2].boolean
        return made

    def _folded(self, name: str, nodes: tuple[Node, ...]) -> Node:
        if name in _OF_NUMBERS and type(nodes[0].literal) is type(nodes[-1].literal) is float:
            return self.constant(_OF_NUMBERS[name](*[i.literal for i in nodes]))
        with np.errstate(all="ignore"):
            # Python's numbers take the type of the arrays beside them.
            value = np.asarray(OPERATIONS[name].numpy(*[given(name, i, i.value, self.in_double) for i in nodes]))
        if all([i.fixed for i in nodes]):
            weak = not value.ndim and not any([i.strong for i in nodes])
            return self.constant(value[()].item() if weak else value)
        return self._with_value(name, value, None, nodes)

    def other(self, operation: str, inputs: tuple[Node, ...], extra: Any, shape: Shape) -> Node:
        """A node of an operation that is not elementwise."""
        key = (operation, *[i.index for i in inputs], extra, shape)
        if self.in_double and operation != "view" and all([i.value is not None for i in inputs]):
            key = ("wide", *key)
        node = self._known.get(key)
        if node is None:
            if 0 in shape:
                node = self.constant(np.zeros(shape))
            elif inputs and all([i.value is not None for i in inputs]):
                value = evaluate(
                    operation, extra, shape, *[given(operation, i, i.value, self.in_double) for i in inputs]
                )
                if all([i.fixed for i in inputs]) and not (operation == "view" and value.size > _SMALL):
                    node = self.constant(value if value.ndim else value[()].item())
                else:
                    node = self._with_value(operation, value, extra, inputs)
            else:
                node = Node(self, operation, inputs, extra, shape)
            self._known[key] = node
        return node

    # Views.

    def stretched(self, node: Node, shape: Shape) -> Node:
        """The node, broadcast to a shape as NumPy does it."""
        if node.shape == shape:
            return node
        return self.rearranged(node, lambda array: np.broadcast_to(array, shape))

    def view(self, base: Node, geometry: Geometry, shape: Shape) -> Node:
        """A view of a node; a base that is itself a view, and not in C order, is copied first."""
        whole = base.shape == shape and geometry.positions is None and geometry.offset == 0
        if whole and contiguous(geometry.strides, shape):
            return base
        if base.operation == "view":
            inner = base.extra
            if inner.positions is not None or not contiguous(inner.strides, base.shape):
                base = self("copy", base)
            else:
                return self.view(base.inputs[0], geometry.shifted(inner.offset), shape)
        node = self.other("view", (base,), geometry, shape)
        node.boolean = base.boolean
        return node

    def rearranged(self, node: Node, move: Callable[[NDArray[Any]], NDArray[Any]]) -> Node:
        """The node after `move`, one of NumPy's functions that only put elements elsewhere.

        `move` is applied to a placeholder array of the same shape, to see where the elements go.
        """
        if node.fixed and node.size <= _SMALL:
            return self.constant(move(node.value))  # type: ignore[arg-type]
        base = node.inputs[0] if node.operation == "view" else node
        geometry = Geometry(0, steps(node.shape)) if base is node else node.extra
        if geometry.positions is None and node.size:
            memory = self._memory(base)
            result = move(np.ndarray(node.shape, np.int8, memory, geometry.offset, geometry.strides))
            offset = result.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
            if 0 <= offset < base.size and result.size:
                return self.view(base, Geometry(offset, result.strides), result.shape)
        places = np.asarray(move(places_of(geometry, node.shape)))
        if places.dtype != np.int64 or (places.size and not 0 <= places.min() <= places.max() < base.size):
            raise TypeError("elements are not only moved, but made of something else")
        return self.view(base, Geometry(0, None, Positions(places)), places.shape)

    def _memory(self, base: Node) -> NDArray[np.int8]:
        memory = self._memories.get(base.index)
        if memory is None:
            memory = self._memories[base.index] = np.empty(max(base.size, 1), np.int8)
        return memory

    def accumulated(self, parts: list[tuple[Geometry, Node]], shape: Shape, how: str = "add") -> Node:
        """A new array that combines each part where its geometry says: by sum, product, maximum or minimum."""
        if len(parts) == 1:
            (geometry, part) = parts[0]
            if part.size == math.prod(shape) and geometry.offset == 0 and contiguous(geometry.strides, part.shape):
                return self.reshaped(part, shape)
        return self.other("accumulate", tuple([p for _, p in parts]), (how, tuple([g for g, _ in parts])), shape)

    def product(self, a: Node, b: Node) -> Node:
        """The product of matrices (m, k) and (k, n), or of the matrices of two stacks (count, m, k), (count, k, n)."""
        (*stack, m, k), (*others, inner, n) = a.shape, b.shape
        if k != inner or stack != others or len(stack) > 1:
            raise ValueError(f"matrices of shapes {a.shape} and {b.shape} have no product")
        if stack == [1]:
            one = self.product(self.reshaped(a, (m, k)), self.reshaped(b, (k, n)))
            return self.reshaped(one, (1, m, n))
        if k == 1 and m * n > 1:
            return a * b
        if k == 0:
            return self.constant(np.zeros((*stack, m, n)))
        return self.other("matmul", (self._matrix(a), self._matrix(b)), None, (*stack, m, n))

    def _matrix(self, node: Node) -> Node:
        """The node if its matrices are in C order, or transposed ones that are, else a copy in C order."""
        if node.operation != "view":
            return node
        strides, shape = node.extra.strides, node.shape
        if strides is None:
            return self("copy", node)
        turned = (*strides[:-2], strides[-1], strides[-2]), (*shape[:-2], shape[-1], shape[-2])
        return node if contiguous(strides, shape) or contiguous(*turned) else self("copy", node)

    def of_matrices(self, operation: str, *inputs: Node, extra: Any = None) -> Node:
        """An operation on stacks of matrices (see `matrices`)."""
        shape = MATRICES[operation].shape(extra, *[i.shape for i in inputs])
        return self.other(operation, tuple([self._in_order(i) for i in inputs]), extra, shape)

    def _in_order(self, node: Node) -> Node:
        """The node if its elements lie in C order, else a copy."""
        in_order = node.operation != "view" or contiguous(node.extra.strides, node.shape)
        return node if in_order else self("copy", node)

    def along_lines(self, operation: str, node: Node) -> Node:
        """`cumsum`, `other_products` or `order` along the last axis."""
        return self.other(operation, (self._lines(node),), None, node.shape)

    def taken(self, node: Node, places: Node) -> Node:
        """The elements of each line of a matrix at the places in the same line of another."""
        return self.other("taken", (self._lines(node), self._lines(places)), None, places.shape)

    def put_back(self, node: Node, places: Node, length: int) -> Node:
        """The adjoint of `taken`: lines of this length into which elements are added at their places."""
        lines = (self._lines(node), self._lines(places))
        return self.other("put_back", lines, length, (node.shape[0], length))

    def _lines(self, node: Node) -> Node:
        if node.operation == "view":
            strides = node.extra.strides
            if strides is None or (len(strides) > 2 and not contiguous(strides, node.shape)):
                return self("copy", node)
        return node

    def total(self, node: Node) -> Node:
        """The sum of all elements."""
        if node.size == 1:
            return self.reshaped(node, ())
        return self.accumulated([(Geometry(0, (0,) * len(node.shape)), node)], ())

    def reshaped(self, node: Node, shape: Shape) -> Node:
        return node if node.shape == shape else self.rearranged(node, lambda array: array.reshape(shape))
