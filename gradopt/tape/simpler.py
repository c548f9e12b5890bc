"""Simpler nodes for what gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradopt.tape.geometry import Shape

if TYPE_CHECKING:
    from gradopt.tape.graph import Graph
    from gradopt.tape.node import Node

_WHOLE_POWERS = 4
_POWERS_OF_TWO = (0.25, 0.5, 1.0, 2.0, 4.0)


def _is(node: Node, number: float) -> bool:
    return node.literal is not None and node.literal == number


def _factor(node: Node) -> float | None:
    """The number by which a node multiplies, if it does, and if that may become another power of two."""
    if node.operation != "multiply" or node.inputs[0].literal is None or node.value is not None:
        return None
    number = float(node.inputs[0].literal)
    return number if 1e-30 < abs(number) < 1e30 else None


def _scaled(factor: float, number: Node) -> Node:
    """A known number times a power of two, which loses no digit."""
    return number.graph("multiply", factor, number)


def simplified(graph: Graph, name: str, nodes: tuple[Node, ...], shape: Shape) -> Node | None:
    """A node that is the same number for number, if there is a simpler one."""
    a = nodes[0]
    if name == "add":
        b = nodes[1]
        if _is(a, 0.0) and b.shape == shape:
            return b
        if _is(b, 0.0) and a.shape == shape:
            return a
        if a is b:
            return 2.0 * a
        if b.operation == "negative":
            return a - b.inputs[0]
        if a.operation == "negative":
            return b - a.inputs[0]
    elif name == "subtract":
        b = nodes[1]
        if _is(b, 0.0) and a.shape == shape:
            return a
        if b.operation == "negative":
            return a + b.inputs[0]
    elif name == "multiply":
        b = nodes[1]
        if b.fixed and not a.fixed:
            return b * a  # numbers first
        if a.literal is None:
            return None
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
        same = {"copy": a.operation != "view", "real": not a.logical, "absolute": a.logical}
        if same.get(name, False):
            return a
    return None


def power(a: Node, b: Node) -> Node:
    """a**b, by multiplications where b is a small whole number."""
    a, b = a.graph.real(a), a.graph.real(b)
    if b.literal is not None and a.value is None:
        exponent = float(b.literal)
        if exponent == 0.5:
            return a.graph("sqrt", a)
        if exponent == int(exponent) if np.isfinite(exponent) else False:
            count = int(abs(exponent))
            if 1 <= count <= _WHOLE_POWERS:
                square = a if count == 1 else a * a
                result = {1: a, 2: square, 3: square, 4: square}[count]
                if count == 3:
                    result = square * a
                elif count == 4:
                    result = square * square
                return result if exponent > 0 else 1.0 / result
    return a.graph("power", a, b)
