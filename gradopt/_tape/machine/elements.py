"""The elementwise operations as machine code, for scalars and for pieces of arrays.

out : float array (m,), C order, written; does not overlap the others
a, b, c : float arrays (m,), C order, read
"""

from __future__ import annotations

import math

import numpy as np

from gradopt._compiler import borrowed, elementwise, kernel
from gradopt._numerics import elementary, special
from gradopt._tape.machine import opcodes as op


@elementwise(inline=True)
def _logaddexp(a, b):
    zero = a - a if a == b else abs(a - b)
    larger = a if a > b else b
    return larger + elementary.softplus(-zero) if zero == zero else (larger if a == b else a + b)


@kernel(inline=True)
def _floor_divide(a, b):
    # From the remainder, since a / b may be rounded up to the next whole number.
    if math.isinf(b) and a != 0 and (a < 0) != (b < 0):
        return -(a / a)
    if math.isinf(b) or b == 0:
        return a / b
    return np.rint((a - np.remainder(a, b)) / b)


@kernel(inline=True)
def of_scalar(operation, a, b, c, zero, half, one):
    """The result of an elementwise operation on scalars."""
    if operation == op.ADD:
        return a + b
    if operation == op.MULTIPLY:
        return a * b
    if operation == op.SUBTRACT:
        return a - b
    if operation == op.NEGATIVE:
        return -a
    if operation == op.DIVIDE:
        return a / b
    if operation == op.COPY:
        return a
    if operation == op.MAXIMUM:
        return a if a >= b or a != a else b
    if operation == op.MINIMUM:
        return a if a <= b or a != a else b
    if operation == op.SHARE:
        return one if a > b else (half if a == b else zero)
    if operation == op.WHERE:
        return b if a != zero else c
    if operation == op.ABSOLUTE:
        return abs(a)
    if operation == op.SIGN:
        return one if a > zero else (-one if a < zero else a)
    if operation == op.FLOOR:
        return np.floor(a)
    if operation == op.CEIL:
        return np.ceil(a)
    if operation == op.TRUNC:
        return np.trunc(a)
    if operation == op.RINT:
        return np.rint(a)
    if operation == op.SQRT:
        return np.sqrt(a)
    if operation == op.LESS:
        return one if a < b else zero
    if operation == op.LESS_EQUAL:
        return one if a <= b else zero
    if operation == op.GREATER:
        return one if a > b else zero
    if operation == op.GREATER_EQUAL:
        return one if a >= b else zero
    if operation == op.EQUAL:
        return one if a == b else zero
    if operation == op.NOT_EQUAL:
        return one if a != b else zero
    if operation == op.LOGICAL_AND:
        return one if a != zero and b != zero else zero
    if operation == op.LOGICAL_OR:
        return one if a != zero or b != zero else zero
    if operation == op.LOGICAL_NOT:
        return one if a == zero else zero
    if operation >= op.FIRST_SPECIAL:
        return _special(operation, a, b, c)
    return _expensive(operation, a, b)


@kernel(late_bound=True, like="a")
def _expensive(operation, a, b):
    if operation == op.EXP:
        return elementary.exp(a)
    if operation == op.LOG:
        return elementary.log(a)
    if operation == op.LOG1P:
        return elementary.log1p(a)
    if operation == op.TANH:
        return elementary.tanh(a)
    if operation == op.EXPIT:
        return elementary.sigmoid(a)
    if operation == op.LOGADDEXP:
        return _logaddexp(a, b)
    if operation == op.POWER:
        return a**b
    if operation == op.SIN:
        return np.sin(a)
    if operation == op.COS:
        return np.cos(a)
    if operation == op.TAN:
        return np.tan(a)
    if operation == op.EXPM1:
        return np.expm1(a)
    if operation == op.ARCSIN:
        return np.arcsin(a)
    if operation == op.ARCCOS:
        return np.arccos(a)
    if operation == op.ARCTAN:
        return np.arctan(a)
    if operation == op.ARCTAN2:
        return np.arctan2(a, b)
    if operation == op.SINH:
        return np.sinh(a)
    if operation == op.COSH:
        return np.cosh(a)
    if operation == op.ARCSINH:
        return np.arcsinh(a)
    if operation == op.ARCCOSH:
        return np.arccosh(a)
    if operation == op.ARCTANH:
        return np.arctanh(a)
    if operation == op.REMAINDER:
        return np.remainder(a, b)
    if operation == op.FLOOR_DIVIDE:
        return _floor_divide(a, b)
    if operation == op.HYPOT:
        return np.hypot(a, b)
    return math.erf(a)


@kernel(late_bound=True, like="a")
def _special(operation, a, b, c):
    real = type(a)
    if operation == op.GAMMALN:
        return real(special.gammaln(a))
    if operation == op.LOGGAMMA:
        return real(special.loggamma(a))
    if operation == op.GAMMA:
        return real(special.gamma(a))
    if operation == op.PSI:
        return real(special.psi(a))
    if operation == op.ERFC:
        return real(special.erfc(a))
    if operation == op.ERFCX:
        return real(special.erfcx(a))
    if operation == op.ERFINV:
        return real(special.erfinv(a))
    if operation == op.ERFCINV:
        return real(special.erfcinv(a))
    if operation == op.DAWSN:
        return real(special.dawsn(a))
    if operation == op.NDTR:
        return real(special.ndtr(a))
    if operation == op.LOG_NDTR:
        return real(special.log_ndtr(a))
    if operation == op.NDTRI:
        return real(special.ndtri(a))
    if operation == op.LOGIT:
        return real(special.logit(a))
    if operation == op.ENTR:
        return real(special.entr(a))
    if operation == op.EXP1:
        return real(special.exp1(a))
    if operation == op.EXPI:
        return real(special.expi(a))
    if operation == op.SPENCE:
        return real(special.spence(a))
    if operation == op.I0:
        return real(special.i0(a))
    if operation == op.I1:
        return real(special.i1(a))
    if operation == op.I0E:
        return real(special.i0e(a))
    if operation == op.I1E:
        return real(special.i1e(a))
    if operation == op.J0:
        return real(special.j0(a))
    if operation == op.J1:
        return real(special.j1(a))
    if operation == op.Y0:
        return real(special.y0(a))
    if operation == op.Y1:
        return real(special.y1(a))
    if operation == op.K0:
        return real(special.k0(a))
    if operation == op.K1:
        return real(special.k1(a))
    if operation == op.K0E:
        return real(special.k0e(a))
    if operation == op.K1E:
        return real(special.k1e(a))
    if operation == op.ZETA:
        return real(special.zeta(a, b))
    if operation == op.BETALN:
        return real(special.betaln(a, b))
    if operation == op.BETA:
        return real(special.beta(a, b))
    if operation == op.XLOGY:
        return real(special.xlogy(a, b))
    if operation == op.XLOG1PY:
        return real(special.xlog1py(a, b))
    if operation == op.REL_ENTR:
        return real(special.rel_entr(a, b))
    if operation == op.KL_DIV:
        return real(special.kl_div(a, b))
    if operation == op.JV:
        return real(special.jv(a, b))
    if operation == op.YV:
        return real(special.yv(a, b))
    if operation == op.IV:
        return real(special.iv(a, b))
    if operation == op.KV:
        return real(special.kv(a, b))
    if operation == op.GAMMAINC:
        return real(special.gammainc(a, b))
    if operation == op.GAMMAINCC:
        return real(special.gammaincc(a, b))
    if operation == op.STDTR:
        return real(special.stdtr(a, b))
    if operation == op.WOFZ_REAL:
        return real(special.wofz(a, b).real)
    if operation == op.WOFZ_IMAG:
        return real(special.wofz(a, b).imag)
    return real(special.betainc(a, b, c))


@kernel(late_bound=True)
def cheap(operation, out, a, b, c) -> None:
    """Apply a cheap operation to pieces in a loop of its own, in vector registers; out does not overlap the inputs."""
    out, a, b, c = borrowed(out), borrowed(a), borrowed(b), borrowed(c)
    real = out.dtype.type
    zero, half, one = real(0.0), real(0.5), real(1.0)
    if operation == op.ADD:
        for i in range(out.size):
            out[i] = a[i] + b[i]
    elif operation == op.MULTIPLY:
        for i in range(out.size):
            out[i] = a[i] * b[i]
    elif operation == op.SUBTRACT:
        for i in range(out.size):
            out[i] = a[i] - b[i]
    elif operation == op.DIVIDE:
        for i in range(out.size):
            out[i] = a[i] / b[i]
    elif operation == op.NEGATIVE:
        for i in range(out.size):
            out[i] = -a[i]
    elif operation == op.COPY:
        for i in range(out.size):
            out[i] = a[i]
    elif operation == op.SQRT:
        for i in range(out.size):
            out[i] = np.sqrt(a[i])
    elif operation == op.ABSOLUTE:
        for i in range(out.size):
            out[i] = abs(a[i])
    elif operation == op.WHERE:
        for i in range(out.size):
            out[i] = b[i] if a[i] != zero else c[i]
    elif operation == op.MAXIMUM:
        for i in range(out.size):
            out[i] = a[i] if a[i] >= b[i] or a[i] != a[i] else b[i]
    elif operation == op.GREATER:
        for i in range(out.size):
            out[i] = one if a[i] > b[i] else zero
    elif operation == op.LESS:
        for i in range(out.size):
            out[i] = one if a[i] < b[i] else zero
    else:
        for i in range(out.size):
            out[i] = of_scalar(operation, a[i], b[i], c[i], zero, half, one)


@kernel(late_bound=True)
def with_scalar(operation, out, a, number) -> None:
    """Apply an operation to each element and a scalar; out does not overlap a."""
    out, a = borrowed(out), borrowed(a)
    if operation == op.PLUS:
        for i in range(out.size):
            out[i] = a[i] + number
    elif operation == op.TIMES:
        for i in range(out.size):
            out[i] = a[i] * number
    elif operation == op.MINUS:
        for i in range(out.size):
            out[i] = a[i] - number
    elif operation == op.FROM:
        for i in range(out.size):
            out[i] = number - a[i]
    elif operation == op.OVER:
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


@kernel(late_bound=True)
def specials(operation, out, a, b, c) -> None:
    """Apply a special function to each element of pieces."""
    for i in range(out.size):
        out[i] = _special(operation, a[i], b[i], c[i])


@kernel(inline=True)
def expensive(operation, out, a, b):
    if operation == op.EXP:
        _exp(out, a)
    elif operation == op.LOG:
        _log(out, a)
    elif operation == op.LOG1P:
        _log1p(out, a)
    elif operation == op.TANH:
        _tanh(out, a)
    elif operation == op.EXPIT:
        _expit(out, a)
    elif operation == op.LOGADDEXP:
        _logaddexps(out, a, b)
    else:
        for i in range(out.size):
            out[i] = _expensive(operation, a[i], b[i])
