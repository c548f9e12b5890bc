"""Functions with gradients for the loop, made from a user's functions.

Each maker returns evaluate(data, grad, work, x) -> f(x), which writes the gradient: a Python function that runs as it
is or compiled. `unpack(data)` returns the user's other arguments and what the maker lists.

    work : float array (n,), written; the copy of x passed to the user's function
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._numerics.vectors import copy, epsilon

# The steps, relative to max(1, abs(x)), that balance rounding and truncation errors (as in scipy).
_TWO_POINT, _THREE_POINT = 1 / 2, 1 / 3  # powers of the dtype's eps


def given(fun: Any, jac: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient from a function for it; unpack(data) = (args,)."""

    def evaluate(data, grad, work, x):
        (args,) = unpack(data)
        copy(work, x)
        value = fun(work, *args)
        copy(work, x)
        answer = jac(work, *args)
        if answer.size != grad.size:
            raise ValueError("the gradient must have the shape of x at every x")
        copy(grad, answer)
        return np.float64(value)

    return evaluate


def together(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient from a function that returns (value, gradient); unpack(data) = (args,)."""

    def evaluate(data, grad, work, x):
        (args,) = unpack(data)
        copy(work, x)
        value, answer = fun(work, *args)
        if answer.size != grad.size:
            raise ValueError("the gradient must have the shape of x at every x")
        copy(grad, answer)
        return np.float64(value)

    return evaluate


def two_point(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by forward differences, or backward next to an upper bound; unpack(data) = (args, low, high)."""

    def evaluate(data, grad, work, x):
        args, low, high = unpack(data)
        copy(work, x)
        value = np.float64(fun(work, *args))
        relative = epsilon(x) ** _TWO_POINT
        for j in range(x.size):
            h, up, down = relative * max(1.0, abs(x[j])), high[j] - x[j], x[j] - low[j]
            if up < h:
                h = -min(h, down) if down > up else up
            copy(work, x)
            work[j] += x.dtype.type(h)
            h = np.float64(work[j]) - np.float64(x[j])
            grad[j] = (np.float64(fun(work, *args)) - value) / h if h != 0.0 else 0.0
        return value

    return evaluate


def three_point(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by central differences, or one-sided ones of the same order next to a bound.

    unpack(data) = (args, low, high)
    """

    def evaluate(data, grad, work, x):
        args, low, high = unpack(data)
        copy(work, x)
        value = np.float64(fun(work, *args))
        relative = epsilon(x) ** _THREE_POINT
        for j in range(x.size):
            h, up, down = relative * max(1.0, abs(x[j])), high[j] - x[j], x[j] - low[j]
            first, second = h, -h
            if min(up, down) < h:
                h = min(h, 0.5 * max(up, down))
                first, second = (h, 2.0 * h) if up >= down else (-h, -2.0 * h)
            copy(work, x)
            work[j] += x.dtype.type(first)
            a = np.float64(work[j]) - np.float64(x[j])
            if a == 0.0:  # a fixed parameter
                grad[j] = 0.0
                continue
            change_a = np.float64(fun(work, *args)) - value
            copy(work, x)
            work[j] += x.dtype.type(second)
            b = np.float64(work[j]) - np.float64(x[j])
            change_b = np.float64(fun(work, *args)) - value
            grad[j] = (change_a * (b / a) - change_b * (a / b)) / (b - a)
        return value

    return evaluate


def complex_step(fun: Any, complex_fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by the complex step; unpack(data) = (args, a complex array (n,), written).

    f'(x) is the imaginary part of f(x + ih) over h, without a difference and its rounding: W. Squire and G. Trapp, SIAM
    Review 40 (1998).
    """

    def evaluate(data, grad, work, x):
        args, z = unpack(data)
        h = 1e-15 if x.itemsize == 4 else 1e-50
        copy(work, x)
        value = np.float64(fun(work, *args))
        for j in range(x.size):
            for i in range(x.size):
                z[i] = x[i]
            z[j] += 1j * h
            grad[j] = complex_fun(z, *args).imag / h
        return value

    return evaluate
