"""The special functions among the elementwise operations of a tape, with their derivatives.

The derivatives are those of the NIST Digital Library of Mathematical Functions (DLMF), in forms that lose few digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import scipy.special

from gradopt._numerics.special import wofz
from gradopt._tape.graph.node import Node
from gradopt._tape.graph.operations import OPERATIONS, Derivative, Operation

# The inputs without a derivative in closed form, by position.
_KNOWN: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("zeta", "jv", "yv", "iv", "kv", "gammainc", "gammaincc", "stdtr"), (0,)),
    "betainc": (0, 1),
}

_ROOT_OF_PI = math.sqrt(math.pi)
_ROOT_OF_2_PI = math.sqrt(2.0 * math.pi)


def needs_known(name: str, position: int) -> bool:
    """Whether an input of an operation must not depend on x: the derivative by it has no closed form."""
    return position in _KNOWN.get(name, ())


def is_flat(node: Node) -> bool:
    """Whether a node is known, or changes with x in jumps alone, as floor does."""
    below, seen = [node], set()
    while below:
        one = below.pop()
        if one.value is not None or one.index in seen:
            continue
        seen.add(one.index)
        if one.operation not in OPERATIONS:
            return False
        derivatives = OPERATIONS[one.operation].derivatives
        below += [i for i, derivative in zip(one.inputs, derivatives, strict=False) if derivative is not None]
    return True


def _special(name: str, numpy: Callable[..., Any], *derivatives: Derivative | None) -> None:
    OPERATIONS[name] = Operation(numpy, derivatives, expensive=True, boolean=False)


def _of(name: str) -> Callable[..., Node]:
    """An operation on nodes and numbers, the first of which is a node."""
    return lambda a, *others: a.graph(name, a, *others)


def _at_zero(a: Node, value: float, elsewhere: Callable[[Node], Node]) -> Node:
    """A function with a removable singularity at 0."""
    graph, zero = a.graph, a.graph("equal", a, 0.0)
    return graph("where", zero, value, elsewhere(graph("where", zero, 1.0, a)))


def _small_difference(a: Node, sign: float, near: Node) -> Node:
    """A difference that cancels for large a, by `near` up to 25, by its asymptotic series (DLMF 7.12.1) beyond."""
    graph = a.graph
    far = graph("greater", graph("absolute", a), 25.0)
    u = 0.5 / (graph("where", far, a, 1.0) ** 2.0)
    series = 1.0 + u * (3.0 * sign + u * (15.0 + u * (105.0 * sign + u * (945.0 + u * 10395.0 * sign))))
    return graph("where", far, -u * series, near)


psi, zeta, exp, log = _of("psi"), _of("zeta"), _of("exp"), _of("log")

_special("gammaln", scipy.special.gammaln, lambda d, result, a: d * psi(a))
_special("loggamma", scipy.special.loggamma, lambda d, result, a: d * psi(a))
_special("gamma", scipy.special.gamma, lambda d, result, a: d * result * psi(a))
_special("psi", scipy.special.psi, lambda d, result, a: d * a.graph("zeta", 2.0, a))
_special("zeta", scipy.special.zeta, None, lambda d, result, s, a: d * (-s * a.graph("zeta", s + 1.0, a)))
_special(
    "betaln",
    scipy.special.betaln,
    lambda d, result, a, b: d * (psi(a) - psi(a + b)),
    lambda d, result, a, b: d * (psi(b) - psi(a + b)),
)
_special(
    "beta",
    scipy.special.beta,
    lambda d, result, a, b: d * result * (psi(a) - psi(a + b)),
    lambda d, result, a, b: d * result * (psi(b) - psi(a + b)),
)

# The error function and the normal distribution (DLMF 7.10).
_special("erfc", scipy.special.erfc, lambda d, result, a: d * (-2.0 / _ROOT_OF_PI * exp(-(a * a))))
_special(
    "erfcx",
    scipy.special.erfcx,
    lambda d, result, a: d * (2.0 / _ROOT_OF_PI * _small_difference(a, -1.0, _ROOT_OF_PI * a * result - 1.0)),
)
_special("erfinv", scipy.special.erfinv, lambda d, result, a: d * (0.5 * _ROOT_OF_PI * exp(result * result)))
_special("erfcinv", scipy.special.erfcinv, lambda d, result, a: d * (-0.5 * _ROOT_OF_PI * exp(result * result)))
_special("dawsn", scipy.special.dawsn, lambda d, result, a: d * _small_difference(a, 1.0, 1.0 - 2.0 * a * result))
_special("ndtr", scipy.special.ndtr, lambda d, result, a: d * (exp(-0.5 * (a * a)) / _ROOT_OF_2_PI))
_special(
    "log_ndtr",
    scipy.special.log_ndtr,
    lambda d, result, a: d * (math.sqrt(2.0 / math.pi) / a.graph("erfcx", a * -math.sqrt(0.5))),
)
_special("ndtri", scipy.special.ndtri, lambda d, result, a: d * (_ROOT_OF_2_PI * exp(0.5 * (result * result))))
# w(a + b i), with w' = 2 i / sqrt(pi) - 2 z w (DLMF 7.10.2).
_special(
    "wofz_real",
    lambda a, b: wofz(a, b).real,
    lambda d, result, a, b: d * (2.0 * (b * a.graph("wofz_imag", a, b) - a * result)),
    lambda d, result, a, b: d * (2.0 * (a * a.graph("wofz_imag", a, b) + b * result) - 2.0 / _ROOT_OF_PI),
)
_special(
    "wofz_imag",
    lambda a, b: wofz(a, b).imag,
    lambda d, result, a, b: d * (2.0 / _ROOT_OF_PI - 2.0 * (a * result + b * a.graph("wofz_real", a, b))),
    lambda d, result, a, b: d * (2.0 * (b * result - a * a.graph("wofz_real", a, b))),
)

# Entropies and logistic functions. A factor of 0 makes the product 0, so there is nothing to differentiate.
_special("logit", scipy.special.logit, lambda d, result, a: d / (a * (1.0 - a)))
_special(
    "xlogy",
    scipy.special.xlogy,
    lambda d, result, a, b: d * log(b),
    lambda d, result, a, b: d * a.graph("where", a, a / b, 0.0),
)
_special(
    "xlog1py",
    scipy.special.xlog1py,
    lambda d, result, a, b: d * b.graph("log1p", b),
    lambda d, result, a, b: d * a.graph("where", a, a / (1.0 + b), 0.0),
)
_special(
    "entr", scipy.special.entr, lambda d, result, a: d * a.graph("where", a.graph("less", a, 0.0), 0.0, -1.0 - log(a))
)
_special(
    "rel_entr",
    scipy.special.rel_entr,
    lambda d, result, a, b: d * (log(a / b) + 1.0),
    lambda d, result, a, b: -(d * a / b),
)
_special(
    "kl_div",
    scipy.special.kl_div,
    lambda d, result, a, b: d * log(a / b),
    lambda d, result, a, b: d * (1.0 - a / b),
)

# Exponential integrals and the dilogarithm (DLMF 6.2, 25.12).
_special("exp1", scipy.special.exp1, lambda d, result, a: -(d * exp(-a) / a))
_special("expi", scipy.special.expi, lambda d, result, a: d * exp(a) / a)
_special(
    "spence",
    scipy.special.spence,
    lambda d, result, a: d * _at_zero(a - 1.0, -1.0, lambda b: -(a.graph("log1p", b) / b)),
)

# Bessel functions (DLMF 10.6, 10.29).
i0, i1, i0e, i1e = _of("i0"), _of("i1"), _of("i0e"), _of("i1e")
j0, j1, y0, y1 = _of("j0"), _of("j1"), _of("y0"), _of("y1")
k0, k1, k0e, k1e = _of("k0"), _of("k1"), _of("k0e"), _of("k1e")
_special("i0", scipy.special.i0, lambda d, result, a: d * i1(a))
_special("i1", scipy.special.i1, lambda d, result, a: d * (i0(a) - _at_zero(a, 0.5, lambda b: i1(b) / b)))
_special("i0e", scipy.special.i0e, lambda d, result, a: d * (i1e(a) - a.graph("sign", a) * result))
_special(
    "i1e",
    scipy.special.i1e,
    lambda d, result, a: d * (i0e(a) - a.graph("sign", a) * result - _at_zero(a, 0.5, lambda b: i1e(b) / b)),
)
_special("j0", scipy.special.j0, lambda d, result, a: -(d * j1(a)))
_special("j1", scipy.special.j1, lambda d, result, a: d * (j0(a) - _at_zero(a, 0.5, lambda b: j1(b) / b)))
_special("y0", scipy.special.y0, lambda d, result, a: -(d * y1(a)))
_special("y1", scipy.special.y1, lambda d, result, a: d * (y0(a) - result / a))
_special("k0", scipy.special.k0, lambda d, result, a: -(d * k1(a)))
_special("k1", scipy.special.k1, lambda d, result, a: -(d * (k0(a) + result / a)))
_special("k0e", scipy.special.k0e, lambda d, result, a: d * (result - k1e(a)))
_special("k1e", scipy.special.k1e, lambda d, result, a: d * (result - k0e(a) - result / a))
for _name, _first, _second in (("jv", 0.5, -0.5), ("yv", 0.5, -0.5), ("iv", 0.5, 0.5), ("kv", -0.5, -0.5)):

    def _by_neighbours(
        d: Node, result: Node, order: Node, a: Node, name: str = _name, first: float = _first, second: float = _second
    ) -> Node:
        return d * (first * a.graph(name, order - 1.0, a) + second * a.graph(name, order + 1.0, a))

    _special(_name, getattr(scipy.special, _name), None, _by_neighbours)


# Incomplete integrals, differentiated by their upper limit (DLMF 8.8.13, 8.17.23).


def _gamma_density(a: Node, b: Node) -> Node:
    return exp(b.graph("xlogy", a - 1.0, b) - b - a.graph("gammaln", a))


def _t_density(df: Node, t: Node) -> Node:
    half, graph = 0.5 * df, t.graph
    constant = graph("gammaln", half + 0.5) - graph("gammaln", half) - 0.5 * log(math.pi * df)
    return exp(constant - (half + 0.5) * graph("log1p", t * t / df))


def _beta_density(a: Node, b: Node, x: Node) -> Node:
    graph = x.graph
    return exp(graph("xlogy", a - 1.0, x) + graph("xlog1py", b - 1.0, -x) - graph("betaln", a, b))


_special("gammainc", scipy.special.gammainc, None, lambda d, result, a, b: d * _gamma_density(a, b))
_special("gammaincc", scipy.special.gammaincc, None, lambda d, result, a, b: -(d * _gamma_density(a, b)))
_special("betainc", scipy.special.betainc, None, None, lambda d, result, a, b, x: d * _beta_density(a, b, x))
_special("stdtr", scipy.special.stdtr, None, lambda d, result, df, t: d * _t_density(df, t))
