"""The elementwise operations of a tape: the name of each, its NumPy function, and its derivatives.

The derivative for an input is a function (d, result, *inputs) that computes the adjoint of that input from the adjoint
d of the result, all of them nodes of a graph; it is None where the derivative is zero.

At kinks: abs has slope 0 at 0, maximum and minimum split their slope evenly at a tie, and the comparisons, sign, floor,
ceil, trunc and rint have slope 0 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradopt._tape.graph.node import Node

Derivative = Callable[..., Node]


class Operation(NamedTuple):
    """An elementwise operation.

    Attributes
    ----------
    numpy : callable
        The operation on NumPy's arrays.
    derivatives : tuple
        One per input, or empty if all are zero.
    expensive : bool
        Whether keeping a result is cheaper than computing it again.
    boolean : bool
        Whether the result is boolean, as 1 and 0.
    """

    numpy: Callable[..., Any]
    derivatives: tuple[Derivative | None, ...]
    expensive: bool
    boolean: bool


OPERATIONS: dict[str, Operation] = {}


def _cheap(name: str, numpy: Callable[..., Any], *derivatives: Derivative | None) -> None:
    OPERATIONS[name] = Operation(numpy, derivatives, expensive=False, boolean=False)


def _expensive(name: str, numpy: Callable[..., Any], *derivatives: Derivative | None) -> None:
    OPERATIONS[name] = Operation(numpy, derivatives, expensive=True, boolean=False)


def _boolean(name: str, numpy: Callable[..., Any]) -> None:
    OPERATIONS[name] = Operation(numpy, (), expensive=False, boolean=True)


def _share(a: Any, b: Any) -> Any:
    """The derivative of max(a, b) with respect to a: 1 if a is larger, a half at a tie, else 0."""
    return np.greater(a, b) + 0.5 * np.equal(a, b)


def _expit(a: Any) -> Any:
    e = np.exp(-np.abs(a))  # no overflow on either side
    return np.where(np.greater_equal(a, 0), 1.0, e) / (1.0 + e)


def _or_one(length: Node) -> Node:
    """A length to divide by, 1 in place of 0: the numerators are 0 there too, and so is the slope."""
    return length.graph("where", length.graph("greater", length, 0.0), length, 1.0)


def _power_by_base(d: Node, result: Node, a: Node, b: Node) -> Node:
    if b.fixed and b.value.all():  # type: ignore[union-attr]
        return d * (b * a ** (b - 1.0))
    # a**0 is 1 for all a, 0 included, where a**-1 is infinite.
    some = b.graph("not_equal", b, 0.0)
    return d * (b * a ** b.graph("where", some, b - 1.0, 1.0))


def _power_by_exponent(d: Node, result: Node, a: Node, b: Node) -> Node:
    # For b > 0, a**b log(a) goes to 0 with a. For negative a the power is real only for whole b, and has no slope.
    positive = a.graph("greater", a, 0.0)
    return d * result * a.graph("log", a.graph("where", positive, a, 1.0))


_cheap("copy", np.copy, lambda d, result, a: d)
_cheap("held", np.copy)  # a copy without a slope
_cheap("add", np.add, lambda d, result, a, b: d, lambda d, result, a, b: d)
_cheap("subtract", np.subtract, lambda d, result, a, b: d, lambda d, result, a, b: -d)
_cheap("multiply", np.multiply, lambda d, result, a, b: d * b, lambda d, result, a, b: d * a)
_cheap("divide", np.divide, lambda d, result, a, b: d / b, lambda d, result, a, b: -(d / b * result))
_cheap("negative", np.negative, lambda d, result, a: -d)
_cheap(
    "maximum",
    np.maximum,
    lambda d, result, a, b: d * a.graph("share", a, b),
    lambda d, result, a, b: d * a.graph("share", b, a),
)
_cheap(
    "minimum",
    np.minimum,
    lambda d, result, a, b: d * a.graph("share", b, a),
    lambda d, result, a, b: d * a.graph("share", a, b),
)
_cheap("share", _share)
_cheap(
    "where",
    np.where,
    None,
    lambda d, result, condition, a, b: d.graph("where", condition, d, 0.0),
    lambda d, result, condition, a, b: d.graph("where", condition, 0.0, d),
)
_cheap("absolute", np.absolute, lambda d, result, a: d * a.graph("sign", a))
_cheap("sign", np.sign)
_cheap("floor", np.floor)
_cheap("ceil", np.ceil)
_cheap("trunc", np.trunc)
_cheap("rint", np.rint)
_cheap("sqrt", np.sqrt, lambda d, result, a: d / (2.0 * result))

_boolean("less", np.less)
_boolean("less_equal", np.less_equal)
_boolean("greater", np.greater)
_boolean("greater_equal", np.greater_equal)
_boolean("equal", np.equal)
_boolean("not_equal", np.not_equal)
_boolean("logical_and", np.logical_and)
_boolean("logical_or", np.logical_or)
_boolean("logical_not", np.logical_not)

_expensive("power", np.power, _power_by_base, _power_by_exponent)
_expensive("exp", np.exp, lambda d, result, a: d * result)
_expensive("expm1", np.expm1, lambda d, result, a: d * (result + 1.0))
_expensive("log", np.log, lambda d, result, a: d / a)
_expensive("log1p", np.log1p, lambda d, result, a: d / (1.0 + a))
_expensive("sin", np.sin, lambda d, result, a: d * a.graph("cos", a))
_expensive("cos", np.cos, lambda d, result, a: -(d * a.graph("sin", a)))
_expensive("tan", np.tan, lambda d, result, a: d * (1.0 + result * result))
_expensive("arcsin", np.arcsin, lambda d, result, a: d / a.graph("sqrt", 1.0 - a * a))
_expensive("arccos", np.arccos, lambda d, result, a: -(d / a.graph("sqrt", 1.0 - a * a)))
_expensive("arctan", np.arctan, lambda d, result, a: d / (1.0 + a * a))
_expensive(
    "arctan2",
    np.arctan2,
    lambda d, result, a, b: d * b / (a * a + b * b),
    lambda d, result, a, b: -(d * a / (a * a + b * b)),
)
_expensive("sinh", np.sinh, lambda d, result, a: d * a.graph("cosh", a))
_expensive("cosh", np.cosh, lambda d, result, a: d * a.graph("sinh", a))
_expensive("tanh", np.tanh, lambda d, result, a: d * (1.0 - result * result))
_expensive("arcsinh", np.arcsinh, lambda d, result, a: d / a.graph("sqrt", 1.0 + a * a))
_expensive("arccosh", np.arccosh, lambda d, result, a: d / (a.graph("sqrt", a - 1.0) * a.graph("sqrt", a + 1.0)))
_expensive("arctanh", np.arctanh, lambda d, result, a: d / (1.0 - a * a))
_expensive("expit", _expit, lambda d, result, a: d * (result * (1.0 - result)))
_expensive(
    "logaddexp",
    np.logaddexp,
    lambda d, result, a, b: d * a.graph("expit", a - b),
    lambda d, result, a, b: d * a.graph("expit", b - a),
)
_expensive(
    "erf",
    np.vectorize(math.erf, otypes=[float]),
    lambda d, result, a: d * (2.0 / math.sqrt(math.pi) * a.graph("exp", -(a * a))),
)
_expensive(
    "remainder",
    np.remainder,
    lambda d, result, a, b: d,
    lambda d, result, a, b: -(d * a.graph("floor_divide", a, b)),
)
_expensive("floor_divide", np.floor_divide)
_expensive(
    "hypot",
    np.hypot,
    lambda d, result, a, b: d * a / _or_one(result),
    lambda d, result, a, b: d * b / _or_one(result),
)

# Converts booleans, integers and narrow floats to real numbers; for the machine, which knows only these, a copy.
OPERATIONS["real"] = OPERATIONS["copy"]._replace(numpy=lambda a: np.asarray(a, np.float64))
