"""The functions of scipy.special that are composed of several operations of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from gradopt._tape.record.errors import refused
from gradopt._tape.record.numpy_functions.complex_numbers import call_with_complex
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of, depends_on_x, node_of


def _composed(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of traced arrays, all of whose positional arguments are made arrays."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        def function(trace: Trace, *arguments: Any, **keywords: Any) -> Any:
            return implementation(*[array_of(trace, a) for a in arguments], **keywords)

        FUNCTIONS.update(dict.fromkeys(functions, function))
        return implementation

    return register


@_composed(scipy.special.log_expit)
def _log_expit(a: Any) -> Any:
    return -np.logaddexp(0.0, -a)


@_composed(scipy.special.huber)
def _huber(delta: Any, r: Any) -> Any:
    size = np.abs(r)
    loss = np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return np.where(delta < 0.0, math.inf, loss)


@_composed(scipy.special.pseudo_huber)
def _pseudo_huber(delta: Any, r: Any) -> Any:
    u = r / np.where(delta == 0.0, 1.0, delta)
    return np.where(delta < 0.0, math.inf, delta * delta * np.expm1(0.5 * np.log1p(u * u)))


@_composed(scipy.special.cbrt)
def _cbrt(a: Any) -> Any:
    return np.cbrt(a)


@_composed(scipy.special.exp2)
def _exp2(a: Any) -> Any:
    return np.exp2(a)


@_composed(scipy.special.exp10)
def _exp10(a: Any) -> Any:
    return np.power(10.0, a)


@_composed(scipy.special.cosm1)
def _cosm1(a: Any) -> Any:
    half = np.sin(0.5 * a)
    return -2.0 * half * half


@_composed(scipy.special.voigt_profile)
def _voigt_profile(x: Any, sigma: Any, gamma: Any) -> Any:
    width = sigma * math.sqrt(2.0)
    return scipy.special.wofz(x / width + 1j * (gamma / width)).real / (sigma * math.sqrt(2.0 * math.pi))


def _wofz(trace: Trace, a: Any) -> Any:
    return call_with_complex(trace, scipy.special.wofz, (a + 0j,), {})


FUNCTIONS[scipy.special.wofz] = _wofz


@_composed(scipy.special.factorial)
def _factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    if exact or extend != "zero":
        raise NotSupported("with exact or extend")
    return np.where(n < 0.0, 0.0, scipy.special.gamma(n + 1.0))


def _order(trace: Trace, n: Any, what: str) -> Any:
    if depends_on_x(n):
        raise refused(f"{what} that depends on x", "make it a constant, or take another jac")
    order = np.asarray(n if not isinstance(n, TracedArray) else trace.value_of(n.node))
    if order.size != 1 or order.item() != int(order.item()) or order.item() < 0:
        raise NotSupported("with an order that is not one number 0, 1, 2, ...")
    return int(order.item())


def _polygamma(trace: Trace, n: Any, x: Any) -> Any:
    order, array = _order(trace, n, "an order of polygamma"), array_of(trace, x)
    if order == 0:
        return scipy.special.psi(array)
    node = trace.graph("zeta", order + 1.0, array.node)
    return TracedArray(trace, (-1.0) ** (order + 1) * math.factorial(order) * node)


FUNCTIONS[scipy.special.polygamma] = _polygamma


def _zeta(trace: Trace, x: Any, q: Any = None, out: Any = None) -> Any:
    if out is not None:
        raise NotSupported("with out")
    if depends_on_x(x):
        raise refused("zeta of an exponent that depends on x", "make it a constant, or take another jac")
    return TracedArray(trace, trace.graph("zeta", node_of(trace, x), node_of(trace, 1.0 if q is None else q)))


FUNCTIONS[scipy.special.zeta] = _zeta


# Sums of exponentials.


def logsumexp(
    trace: Trace, a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """log(sum(b exp(a))), from the largest element on; -inf where all are -inf."""
    if return_sign:
        raise NotSupported("with return_sign")
    array: Any = array_of(trace, a)
    weights: Any = None if b is None else array_of(trace, b)
    if weights is not None:
        array, weights = np.broadcast_arrays(array, weights)
        array = np.where(weights == 0.0, -math.inf, array)
    largest = np.max(array, axis=axis, keepdims=True)
    shift = _held(np.where(np.isfinite(largest), largest, 0.0))
    terms = np.exp(array - shift)
    total = np.sum(terms if weights is None else terms * weights, axis=axis, keepdims=True)
    result = np.log(total) + shift
    return result if keepdims else np.squeeze(result, axis=axis)


def _held(array: Any) -> TracedArray:
    """The array without its slope, for a shift on which the result does not depend."""
    return TracedArray(array._trace, array._trace.graph("held", array.node))


FUNCTIONS[scipy.special.logsumexp] = logsumexp


def _log_softmax(trace: Trace, x: Any, axis: Any = None) -> Any:
    array = array_of(trace, x)
    shifted = array - _held(np.max(array, axis=axis, keepdims=True))
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _softmax(trace: Trace, x: Any, axis: Any = None) -> Any:
    array = array_of(trace, x)
    terms = np.exp(array - _held(np.max(array, axis=axis, keepdims=True)))
    return terms / np.sum(terms, axis=axis, keepdims=True)


FUNCTIONS[scipy.special.log_softmax] = _log_softmax
FUNCTIONS[scipy.special.softmax] = _softmax
