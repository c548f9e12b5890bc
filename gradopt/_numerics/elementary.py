"""Exponential functions and logarithms of one number, written so that loops over arrays become vector code.

All use the same reduction (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). With k the
integer nearest to x / log 2 and r = x - k log 2, exp(x) = 2**k exp(r), where abs(r) <= log(2) / 2, so that Taylor's
series is short. exp(r) - 1 is kept separate from the 1, so that nothing cancels near x = 0.

The results are within 4 units in the last place of the exact ones, in both precisions and for all x; numbers below the
smallest normal one are 0. NaN gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradopt._compiler import by_precision, elementwise, reinterpreted


def _exponentials(real: Any, integer: Any, digits: int, log_2: tuple[float, float], degree: int) -> tuple[Any, ...]:
    """exp, exp for x <= 0 only, tanh and sigmoid, for one precision.

    real, integer : the types of x and of its bits
    digits : the digits of the mantissa, as stored
    log_2 : log 2 as a sum of two parts; the first has so few digits that its product with k is exact
    degree : the degree of the polynomial
    """
    shifter = real(1.5 * 2.0**digits)  # adding it to a number leaves the rounded number in the last bits of the sum
    per_log_2, high, low = real(1.0 / math.log(2.0)), real(log_2[0]), real(log_2[1])
    lowest = real(math.ceil(math.log(np.finfo(real).tiny)))
    shift, bits_of_one = integer(digits), integer(real(1.0).view(integer))
    zero, one, two = real(0.0), real(1.0), real(2.0)
    exp_first, *rest = (real(1.0 / math.factorial(i)) for i in range(degree, 0, -1))
    exp_rest = tuple(rest)
    one_half, highest = real(0.5), real(0.5 * math.log(float(np.finfo(real).max)) + 1.0)

    @elementwise(inline=True)
    def parts(x):
        """(s, p) with exp(x) = s + s p, s a normal power of 2; any x below `lowest` counts as `lowest`."""
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
    def exp(x):
        # exp(x / 2)**2, since s = 2**k may be too large where exp(x) is not.
        half = x * one_half
        s, p = parts(half if half < highest else highest)
        root = s + s * p
        y = root * root
        return y if x > lowest else (zero if x <= lowest else x)

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

    return exp, exp_of_negative, tanh, sigmoid


def _logarithms(
    real: Any, integer: Any, digits: int, log_2: tuple[float, float], degree: int, exp_of_negative: Any
) -> tuple[Any, ...]:
    """softplus, log and log1p for one precision; parameters as in `_exponentials`."""
    high, low, log_of_2 = real(log_2[0]), real(log_2[1]), real(math.log(2.0))
    zero, one, two, infinity, nan = (real(value) for value in (0.0, 1.0, 2.0, np.inf, np.nan))
    log_first, *rest = (real(2.0 / i) for i in range(degree, 0, -2))
    log_rest, split = tuple(rest), real(math.sqrt(2.0) - 1.0)
    shift, bits_of_root = integer(digits), integer(real(math.sqrt(0.5)).view(integer))
    tiny, scale, scale_digits = real(np.finfo(real).tiny), real(2.0 ** (digits + 2)), real(digits + 2)

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

    @elementwise(inline=True)
    def log(x):
        # With m in [sqrt(1/2), sqrt(2)) and x = 2**k m, log(m) = 2 artanh(q), abs(q) < 0.172.
        y = x * scale if x < tiny else x
        bits = reinterpreted(y)
        k = integer(integer(bits - bits_of_root) >> shift)
        m = reinterpreted(integer(bits - integer(k << shift)))
        q = (m - one) / (m + one)
        square, series = q * q, log_first
        for coefficient in log_rest:
            series = series * square + coefficient
        exponent = real(k) - (scale_digits if x < tiny else zero)
        result = exponent * high + (exponent * low + series * q)
        return result if zero < x < infinity else (-infinity if x == zero else (x if x > zero else nan))

    @elementwise(inline=True)
    def log1p(x):
        # log(u), corrected to first order for the rounding error of u = 1 + x.
        u = one + x
        result = log(u) + (x - (u - one)) / u
        return result if -one < x < infinity else (-infinity if x == -one else (x if x > zero else nan))

    return softplus, log, log1p


def _functions(
    real: Any, integer: Any, digits: int, log_2: tuple[float, float], exp_degree: int, log_degree: int
) -> tuple[Any, ...]:
    """The functions of this module for one precision."""
    exp, exp_of_negative, tanh, sigmoid = _exponentials(real, integer, digits, log_2, exp_degree)
    softplus, log, log1p = _logarithms(real, integer, digits, log_2, log_degree, exp_of_negative)
    return exp, exp_of_negative, log, log1p, tanh, sigmoid, softplus


_single = _functions(np.float32, np.int32, 23, (0.693359375, -2.12194440054690583e-4), 7, 11)
_double = _functions(np.float64, np.int64, 52, (0.69314718036912382, 1.90821492927058770e-10), 13, 21)

# exp(x), and for x <= 0 only; log(x), log(1 + x); tanh(x); 1 / (1 + exp(-x)); log(1 + exp(x)).
exp, exp_of_negative, log, log1p, tanh, sigmoid, softplus = map(by_precision, _single, _double)
