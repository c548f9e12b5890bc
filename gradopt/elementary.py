"""Exponential functions of one number, written so that loops over arrays become vector code.

All rest on one reduction (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). With k the
integer next to x / log 2 and r = x - k log 2, exp(x) = 2**k exp(r), where abs(r) <= log(2) / 2, so that Taylor's series
is short. exp(r) - 1 is kept apart from the 1: nothing cancels near x = 0.

The results are within 4 units in the last place of the right ones, in both precisions and for all x; numbers below the
smallest normal one are 0. NaN goes through.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradopt.compiler import by_precision, elementwise, reinterpreted


def _functions(
    real: Any, integer: Any, digits: int, log_2: tuple[float, float], exp_degree: int, log_degree: int
) -> tuple[Any, ...]:
    """The functions of this module for one precision.

    real, integer : the types of x and of its bits
    digits : of the mantissa, as stored
    log_2 : log 2 as a sum, the first part with so few digits that its product with k is exact
    exp_degree, log_degree : of the polynomials
    """
    shifter = real(1.5 * 2.0**digits)  # added to a number, leaves it as an integer in the last bits of the sum
    per_log_2, high, low = real(1.0 / math.log(2.0)), real(log_2[0]), real(log_2[1])
    lowest = real(math.ceil(math.log(np.finfo(real).tiny)))
    shift, bits_of_one = integer(digits), integer(real(1.0).view(integer))
    zero, one, two = real(0.0), real(1.0), real(2.0)
    exp_first, *rest = (real(1.0 / math.factorial(i)) for i in range(exp_degree, 0, -1))
    exp_rest = tuple(rest)
    log_first, *rest = (real(2.0 / i) for i in range(log_degree, 0, -2))
    log_rest = tuple(rest)
    split, log_of_2 = real(math.sqrt(2.0) - 1.0), real(math.log(2.0))

    @elementwise(inline=True)
    def parts(x):
        """(s, p) with exp(x) = s + s p, s a power of 2, for x <= 0; at the least x with a normal exponential beyond."""
        x = x if x > lowest else lowest
        shifted = x * per_log_2 + shifter
        k = shifted - shifter
        r = (x - k * high) - k * low
        p = exp_first
        for coefficient in exp_rest:
            p = p * r + coefficient
        return reinterpreted(integer((reinterpreted(shifted) << shift) + bits_of_one)), p * r

    @elementwise(inline=True)
    def exp_of_negative(x):
        s, p = parts(x)
        return s + s * p if x > lowest else (zero if x <= lowest else x)

    @elementwise(inline=True)
    def tanh(x):
        s, p = parts(-two * abs(x))
        exp_minus_1 = s * p + (s - one)
        y = -exp_minus_1 / (two + exp_minus_1)
        return y if x > zero else (-y if x <= zero else x)

    @elementwise(inline=True)
    def sigmoid(x):
        e = exp_of_negative(-abs(x))
        return (one if x >= zero else e) / (one + e)

    @elementwise(inline=True)
    def softplus(x):
        # log(1 + e) = log(c) + 2 artanh(q) with c = 1 or 2 and q = (1 + e - c) / (1 + e + c), abs(q) < 0.172.
        e = exp_of_negative(-abs(x))
        c = two if e > split else one
        q = (e - (c - one)) / (e + (c + one))
        square, series = q * q, log_first
        for coefficient in log_rest:
            series = series * square + coefficient
        return (x if x > zero else zero) + ((c - one) * log_of_2 + series * q)

    return exp_of_negative, tanh, sigmoid, softplus


_single = _functions(np.float32, np.int32, 23, (0.693359375, -2.12194440054690583e-4), 7, 11)
_double = _functions(np.float64, np.int64, 52, (0.69314718036912382, 1.90821492927058770e-10), 13, 21)

# exp(x) for x <= 0; tanh(x); 1 / (1 + exp(-x)); log(1 + exp(x)).
exp_of_negative, tanh, sigmoid, softplus = map(by_precision, _single, _double)
