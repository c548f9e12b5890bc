"""Simpler nodes that give exactly the same numbers."""

from __future__ import annotations

import numpy as np

from gradopt._tape.graph.geometry import Shape
from gradopt._tape.graph.node import Arithmetic, Node

_WHOLE_POWERS = 4
_POWERS_OF_TWO = (0.25, 0.5, 1.0, 2.0, 4.0)


def _is(node: Node, number: float) -> bool:
    return node.literal is not None and node.literal == number


def _is_all_ones(node: Node) -> bool:
    """Whether a node is a constant array of ones."""
    if not node.fixed or not node.size:
        return False
    value = node.value
    return bool(value.flat[0] == 1.0 and (value == 1.0).all())  # type: ignore[union-attr]


def _factor(node: Node) -> float | None:
    """The factor of a multiplication by a constant, if it can take a power of two without overflow; else None."""
    if node.operation != "multiply" or node.inputs[0].literal is None or node.value is not None:
        return None
    number = float(node.inputs[0].literal)
    return number if 1e-30 < abs(number) < 1e30 else None


def _scaled(factor: float, number: Node) -> Node:
    """A known scalar times a power of two, which is exact."""
    return number.graph("multiply", factor, number)


def _is_negated(node: Node) -> bool:
    """Whether a node is the negative of a real number; that of an unsigned or the lowest integer is another number."""
    return node.operation == "negative" and (node.value is None or node.value.dtype.kind == "f")


def simplified(graph: Arithmetic, name: str, nodes: tuple[Node, ...], shape: Shape) -> Node | None:
    """A simpler node with exactly the same numbers; None if there is none."""
    a = nodes[0]
    if name == "add":
        b = nodes[1]
        if _is(a, 0.0) and b.shape == shape:
            return b
        if _is(b, 0.0) and a.shape == shape:
            return a
        if a is b:
            return 2.0 * a
        if _is_negated(b):
            return a - b.inputs[0]
        if _is_negated(a):
            return b - a.inputs[0]
    elif name == "subtract":
        b = nodes[1]
        if _is(b, 0.0) and a.shape == shape:
            return a
        if _is_negated(b):
            return a + b.inputs[0]
    elif name == "multiply":
        b = nodes[1]
        if a is b and a.operation == "absolute" and a.value is None:
            return a.inputs[0] * a.inputs[0]  # which has second derivatives at 0
        if b.fixed and not a.fixed:
            return b * a  # constants first
        if a.literal is None:
            return b if a.shape == shape == b.shape and _is_all_ones(a) else None
        factor = float(a.literal)
        if factor == 1.0 and b.shape == shape:
            return b
        if abs(factor) in _POWERS_OF_TWO and b.operation == "multiply" and b.shape == shape:
            inner, outer = b.inputs
            if _factor(b) is not None:
                return graph("multiply", _scaled(factor, inner), outer)
            for one, other in ((inner, outer), (outer, inner)):
                if _factor(one) is not None and one.shape == shape:
                    return graph("multiply", graph("multiply", _scaled(factor, one.inputs[0]), one.inputs[1]), other)
        if factor == -1.0 and b.shape == shape:
            return -b
    elif name == "divide":
        if _is(nodes[1], 1.0) and a.shape == shape:
            return a
    elif name == "negative":
        if a.operation == "negative":
            return a.inputs[0]
        if _factor(a) is not None:
            return graph("multiply", _scaled(-1.0, a.inputs[0]), a.inputs[1])
    else:
        same = {"copy": a.operation != "view", "real": not a.boolean, "absolute": a.boolean}
        if same.get(name, False):
            return a
    return None


def power(base: Node, exponent: Node) -> Node:
    """base**exponent, by multiplications if the exponent is a small integer; neither may be boolean."""
    graph = base.graph
    if exponent.literal is not None and base.value is None:
        number = float(exponent.literal)
        if number == 0.5:
            return graph("sqrt", base)
        if np.isfinite(number) and number == int(number) and 1 <= abs(number) <= _WHOLE_POWERS:
            product = _repeated_product(base, int(abs(number)))
            return product if number > 0 else 1.0 / product
    return graph("power", base, exponent)


def _repeated_product(base: Node, count: int) -> Node:
    if count == 1:
        return base
    square = base * base
    if count == 2:
        return square
    return square * (base if count == 3 else square)
