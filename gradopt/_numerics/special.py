"""Special functions of single numbers: scipy's own machine code, called from kernels; in Python, scipy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from numba.extending import overload
from scipy.special import cython_special

from gradopt._compiler import of_complex, of_numbers


def _of_one(name: str) -> Callable[..., Any]:
    ufunc, external = getattr(scipy.special, name), of_numbers(cython_special, name, 1)

    def function(a: Any) -> Any:
        return ufunc(a)

    @overload(function)
    def _(a):
        return lambda a: external(a, 0)

    return function


def _of_two(name: str) -> Callable[..., Any]:
    ufunc, external = getattr(scipy.special, name), of_numbers(cython_special, name, 2)

    def function(a: Any, b: Any) -> Any:
        return ufunc(a, b)

    @overload(function)
    def _(a, b):
        return lambda a, b: external(a, b, 0)

    return function


def _of_three(name: str) -> Callable[..., Any]:
    ufunc, external = getattr(scipy.special, name), of_numbers(cython_special, name, 3)

    def function(a: Any, b: Any, c: Any) -> Any:
        return ufunc(a, b, c)

    @overload(function)
    def _(a, b, c):
        return lambda a, b, c: external(a, b, c, 0)

    return function


gammaln, loggamma, psi, gamma = map(_of_one, ("gammaln", "loggamma", "psi", "gamma"))
erfc, erfcx, erfinv, erfcinv, dawsn = map(_of_one, ("erfc", "erfcx", "erfinv", "erfcinv", "dawsn"))
ndtr, log_ndtr, ndtri, logit, entr = map(_of_one, ("ndtr", "log_ndtr", "ndtri", "logit", "entr"))
exp1, expi, spence = map(_of_one, ("exp1", "expi", "spence"))
i0, i1, i0e, i1e, j0, j1 = map(_of_one, ("i0", "i1", "i0e", "i1e", "j0", "j1"))
y0, y1, k0, k1, k0e, k1e = map(_of_one, ("y0", "y1", "k0", "k1", "k0e", "k1e"))
betaln, beta, xlogy, xlog1py = map(_of_two, ("betaln", "beta", "xlogy", "xlog1py"))
rel_entr, kl_div, gammainc, gammaincc = map(_of_two, ("rel_entr", "kl_div", "gammainc", "gammaincc"))
jv, yv, iv, kv, stdtr = map(_of_two, ("jv", "yv", "iv", "kv", "stdtr"))
betainc = _of_three("betainc")

_wofz = of_complex(cython_special, "wofz")


def wofz(a: Any, b: Any) -> Any:
    """The Faddeeva function of a + b i, complex; in Python of arrays too."""
    z = np.empty(np.broadcast_shapes(np.shape(a), np.shape(b)), complex)
    z.real, z.imag = a, b  # 1j times infinity would be NaN
    return scipy.special.wofz(z)


@overload(wofz)
def _(a, b):
    return lambda a, b: _wofz(float(a), float(b))


# Numbers B_2j / (2 j)! of the Euler-Maclaurin sum.
_BERNOULLI = (
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600),
    *(-3617 / 10670622842880000, 43867 / 5109094217170944000),
)


def zeta(s: Any, a: Any) -> Any:
    """Hurwitz's zeta function, the sum of (a + k)**-s over k = 0, 1, ..., for s > 1.

    Its first terms, and Euler and Maclaurin's sum for the others (NIST DLMF, 25.11.28).
    """
    return scipy.special.zeta(s, a)


@overload(zeta)
def _(s, a):
    def euler_maclaurin(s, a):
        if s != s or a != a or s <= 1.0:
            return math.inf if s == 1.0 else math.nan
        if a <= 0.0:
            if a == math.floor(a):
                return math.inf
            if s != math.floor(s):
                return math.nan
        if a < -1e6:  # the sum would take too long
            return math.nan
        if a == math.inf:
            return 0.0
        power, total, q = a**-s, 0.0, a
        while q < 10.0 + s or q < a + 1.0:
            total += power
            if power <= 1e-17 * total and q > 0.0:
                return total
            q += 1.0
            power = q**-s
        total += power * q / (s - 1.0) + 0.5 * power
        term, k = s * power / q, 1.0
        for number in _BERNOULLI:
            total += number * term
            term *= (s + k) * (s + k + 1.0) / (q * q)
            k += 2.0
        return total

    return euler_maclaurin
