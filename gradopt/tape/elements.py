"""The elementwise operations as machine code: of numbers, and of pieces of arrays.

out : float array (m,), C order, written; does not overlap the others
a, b, c : float arrays (m,), C order, read
"""

from __future__ import annotations

import math

import numpy as np

from gradopt import elementary
from gradopt.compiler import borrowed, elementwise, kernel
from gradopt.tape.operations import OPERATIONS
from gradopt.tape.program import FROM, MINUS, OVER, PLUS, TIMES

(
    _COPY,
    _ADD,
    _SUBTRACT,
    _MULTIPLY,
    _DIVIDE,
    _NEGATIVE,
    _MAXIMUM,
    _MINIMUM,
    _SHARE,
    _WHERE,
    _ABSOLUTE,
    _SIGN,
    _FLOOR,
    _CEIL,
    _TRUNC,
    _RINT,
    _SQRT,
    _LESS,
    _LESS_EQUAL,
    _GREATER,
    _GREATER_EQUAL,
    _EQUAL,
    _NOT_EQUAL,
    _AND,
    _OR,
    _NOT,
    _POWER,
    _EXP,
    _EXPM1,
    _LOG,
    _LOG1P,
    _SIN,
    _COS,
    _TAN,
    _ARCSIN,
    _ARCCOS,
    _ARCTAN,
    _ARCTAN2,
    _SINH,
    _COSH,
    _TANH,
    _ARCSINH,
    _ARCCOSH,
    _ARCTANH,
    _EXPIT,
    _LOGADDEXP,
    _ERF,
    _REMAINDER,
    _FLOOR_DIVIDE,
    _HYPOT,
) = sorted({operation.number for operation in OPERATIONS.values()})

DEAR = _POWER  # from here on operations are dear


@elementwise(inline=True)
def _logaddexp(a, b):
    zero = a - a if a == b else abs(a - b)
    larger = a if a > b else b
    return larger + elementary.softplus(-zero) if zero == zero else (larger if a == b else a + b)


@kernel(inline=True)
def _floor_divide(a, b):
    # By the remainder: a / b may be rounded up to the next whole number.
    if math.isinf(b) and a != 0 and (a < 0) != (b < 0):
        return -(a / a)
    if math.isinf(b) or b == 0:
        return a / b
    return np.rint((a - np.remainder(a, b)) / b)


@kernel(inline=True)
def of_number(operation, a, b, c, zero, half, one):
    """An elementwise operation on numbers."""
    if operation == _ADD:
        return a + b
    if operation == _MULTIPLY:
        return a * b
    if operation == _SUBTRACT:
        return a - b
    if operation == _NEGATIVE:
        return -a
    if operation == _DIVIDE:
        return a / b
    if operation == _COPY:
        return a
    if operation == _MAXIMUM:
        return a if a >= b or a != a else b
    if operation == _MINIMUM:
        return a if a <= b or a != a else b
    if operation == _SHARE:
        return one if a > b else (half if a == b else zero)
    if operation == _WHERE:
        return b if a != zero else c
    if operation == _ABSOLUTE:
        return abs(a)
    if operation == _SIGN:
        return one if a > zero else (-one if a < zero else a)
    if operation == _FLOOR:
        return np.floor(a)
    if operation == _CEIL:
        return np.ceil(a)
    if operation == _TRUNC:
        return np.trunc(a)
    if operation == _RINT:
        return np.rint(a)
    if operation == _SQRT:
        return np.sqrt(a)
    if operation == _LESS:
        return one if a < b else zero
    if operation == _LESS_EQUAL:
        return one if a <= b else zero
    if operation == _GREATER:
        return one if a > b else zero
    if operation == _GREATER_EQUAL:
        return one if a >= b else zero
    if operation == _EQUAL:
        return one if a == b else zero
    if operation == _NOT_EQUAL:
        return one if a != b else zero
    if operation == _AND:
        return one if a != zero and b != zero else zero
    if operation == _OR:
        return one if a != zero or b != zero else zero
    if operation == _NOT:
        return one if a == zero else zero
    return _dear(operation, a, b)


@kernel(separate=True, like="a")
def _dear(operation, a, b):
    if operation == _EXP:
        return elementary.exp(a)
    if operation == _LOG:
        return elementary.log(a)
    if operation == _LOG1P:
        return elementary.log1p(a)
    if operation == _TANH:
        return elementary.tanh(a)
    if operation == _EXPIT:
        return elementary.sigmoid(a)
    if operation == _LOGADDEXP:
        return _logaddexp(a, b)
    if operation == _POWER:
        return a**b
    if operation == _SIN:
        return np.sin(a)
    if operation == _COS:
        return np.cos(a)
    if operation == _TAN:
        return np.tan(a)
    if operation == _EXPM1:
        return np.expm1(a)
    if operation == _ARCSIN:
        return np.arcsin(a)
    if operation == _ARCCOS:
        return np.arccos(a)
    if operation == _ARCTAN:
        return np.arctan(a)
    if operation == _ARCTAN2:
        return np.arctan2(a, b)
    if operation == _SINH:
        return np.sinh(a)
    if operation == _COSH:
        return np.cosh(a)
    if operation == _ARCSINH:
        return np.arcsinh(a)
    if operation == _ARCCOSH:
        return np.arccosh(a)
    if operation == _ARCTANH:
        return np.arctanh(a)
    if operation == _REMAINDER:
        return np.remainder(a, b)
    if operation == _FLOOR_DIVIDE:
        return _floor_divide(a, b)
    if operation == _HYPOT:
        return np.hypot(a, b)
    return math.erf(a)


@kernel(separate=True)
def cheaply(operation, out, a, b, c) -> None:
    """An elementwise operation with its own loop, in vector registers; out does not overlap the inputs."""
    out, a, b, c = borrowed(out), borrowed(a), borrowed(b), borrowed(c)
    real = out.dtype.type
    zero, half, one = real(0.0), real(0.5), real(1.0)
    if operation == _ADD:
        for i in range(out.size):
            out[i] = a[i] + b[i]
    elif operation == _MULTIPLY:
        for i in range(out.size):
            out[i] = a[i] * b[i]
    elif operation == _SUBTRACT:
        for i in range(out.size):
            out[i] = a[i] - b[i]
    elif operation == _DIVIDE:
        for i in range(out.size):
            out[i] = a[i] / b[i]
    elif operation == _NEGATIVE:
        for i in range(out.size):
            out[i] = -a[i]
    elif operation == _COPY:
        for i in range(out.size):
            out[i] = a[i]
    elif operation == _SQRT:
        for i in range(out.size):
            out[i] = np.sqrt(a[i])
    elif operation == _ABSOLUTE:
        for i in range(out.size):
            out[i] = abs(a[i])
    elif operation == _WHERE:
        for i in range(out.size):
            out[i] = b[i] if a[i] != zero else c[i]
    elif operation == _MAXIMUM:
        for i in range(out.size):
            out[i] = a[i] if a[i] >= b[i] or a[i] != a[i] else b[i]
    elif operation == _GREATER:
        for i in range(out.size):
            out[i] = one if a[i] > b[i] else zero
    elif operation == _LESS:
        for i in range(out.size):
            out[i] = one if a[i] < b[i] else zero
    else:
        for i in range(out.size):
            out[i] = of_number(operation, a[i], b[i], c[i], zero, half, one)


@kernel(separate=True)
def with_number(operation, out, a, number) -> None:
    """An operation of each element and a number; out does not overlap a."""
    out, a = borrowed(out), borrowed(a)
    if operation == PLUS:
        for i in range(out.size):
            out[i] = a[i] + number
    elif operation == TIMES:
        for i in range(out.size):
            out[i] = a[i] * number
    elif operation == MINUS:
        for i in range(out.size):
            out[i] = a[i] - number
    elif operation == FROM:
        for i in range(out.size):
            out[i] = number - a[i]
    elif operation == OVER:
        for i in range(out.size):
            out[i] = a[i] / number
    else:
        for i in range(out.size):
            out[i] = number / a[i]


@elementwise
def _exp(out, a) -> None:
    for i in range(out.size):
        out[i] = elementary.exp(a[i])


@elementwise
def _log(out, a) -> None:
    for i in range(out.size):
        out[i] = elementary.log(a[i])


@elementwise
def _log1p(out, a) -> None:
    for i in range(out.size):
        out[i] = elementary.log1p(a[i])


@elementwise
def _tanh(out, a) -> None:
    for i in range(out.size):
        out[i] = elementary.tanh(a[i])


@elementwise
def _expit(out, a) -> None:
    for i in range(out.size):
        out[i] = elementary.sigmoid(a[i])


@elementwise
def _logaddexps(out, a, b) -> None:
    for i in range(out.size):
        out[i] = _logaddexp(a[i], b[i])


@kernel(inline=True)
def dearly(operation, out, a, b):
    if operation == _EXP:
        _exp(out, a)
    elif operation == _LOG:
        _log(out, a)
    elif operation == _LOG1P:
        _log1p(out, a)
    elif operation == _TANH:
        _tanh(out, a)
    elif operation == _EXPIT:
        _expit(out, a)
    elif operation == _LOGADDEXP:
        _logaddexps(out, a, b)
    else:
        for i in range(out.size):
            out[i] = _dear(operation, a[i], b[i])
