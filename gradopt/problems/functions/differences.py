"""Functions with gradients for the loop, made from a user's functions.

Each maker returns evaluate(data, grad, work, x) -> f(x), which writes the gradient: a Python function that runs as it
is or compiled. `unpack(data)` returns what the maker lists. Compiled or not, a user's function is called as
fun(its data from outside, x, *args).

    work : float array (2 n + 2,), written: a copy of x for the user's function; the scales of the parameters; the
        number of evaluations; the number of calls made to find scales

The step for a parameter is relative to its scale: the largest absolute value at this point and at the run's iterates.
Where that is 0, a probe finds the scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._compiler import portable
from gradopt._numerics.vectors import copy, epsilon

# The steps, relative to the scale, that balance rounding and truncation errors (as in scipy).
_TWO_POINT, _THREE_POINT = 1 / 2, 1 / 3  # powers of the dtype's eps

# The relative changes of the objective between which a probe puts its step.
_LITTLE, _MUCH = 1e-8, 1e-3
_FACTOR, _PROBES = 10.0, 24


def workspace(n: int, dtype: Any) -> Any:
    """The array `work` for n parameters."""
    return np.zeros(2 * n + 2, dtype)


def given(fun: Any, jac: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient from a function for it; unpack(data) = ((data of fun, data of jac), args)."""

    def evaluate(data, grad, work, x):
        (outside, outside_jac), args = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        copy(at, x)
        value = fun(outside, at, *args)
        copy(at, x)
        answer = jac(outside_jac, at, *args)
        if answer.size != grad.size:
            raise ValueError("the gradient must have the shape of x at every x")
        copy(grad, answer)
        return np.float64(value)

    return evaluate


def alone(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The value, and zeros in place of the gradient; unpack(data) = ((data of fun,), args, low, high)."""

    def evaluate(data, grad, work, x):
        (outside,), args, _, _ = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        copy(at, x)
        grad[:] = 0.0
        return np.float64(fun(outside, at, *args))

    return evaluate


def together(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient from a function that returns (value, gradient); unpack(data) = ((data of fun,), args)."""

    def evaluate(data, grad, work, x):
        (outside,), args = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        copy(at, x)
        value, answer = fun(outside, at, *args)
        if answer.size != grad.size:
            raise ValueError("the gradient must have the shape of x at every x")
        copy(grad, answer)
        return np.float64(value)

    return evaluate


def two_point(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by forward differences, or backward next to an upper bound.

    unpack(data) = ((data of fun,), args, low, high)
    """

    def evaluate(data, grad, work, x):
        (outside,), args, low, high = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        copy(at, x)
        value = np.float64(fun(outside, at, *args))
        relative = epsilon(x) ** _TWO_POINT
        for j in range(x.size):
            up, down = high[j] - x[j], x[j] - low[j]
            h = relative * _scale(fun, outside, args, work, x, j, up, down, value, relative)
            if up < h:
                h = -min(h, down) if down > up else up
            copy(at, x)
            at[j] += x.dtype.type(h)
            h = np.float64(at[j]) - np.float64(x[j])
            grad[j] = (np.float64(fun(outside, at, *args)) - value) / h if h != 0.0 else 0.0
        return value

    return evaluate


def three_point(fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by central differences, or one-sided ones of the same order next to a bound.

    unpack(data) = ((data of fun,), args, low, high)
    """

    def evaluate(data, grad, work, x):
        (outside,), args, low, high = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        copy(at, x)
        value = np.float64(fun(outside, at, *args))
        relative = epsilon(x) ** _THREE_POINT
        for j in range(x.size):
            up, down = high[j] - x[j], x[j] - low[j]
            h = relative * _scale(fun, outside, args, work, x, j, up, down, value, relative)
            first, second = h, -h
            if min(up, down) < h:
                h = min(h, 0.5 * max(up, down))
                first, second = (h, 2.0 * h) if up >= down else (-h, -2.0 * h)
            copy(at, x)
            at[j] += x.dtype.type(first)
            a = np.float64(at[j]) - np.float64(x[j])
            if a == 0.0:  # a fixed parameter
                grad[j] = 0.0
                continue
            change_a = np.float64(fun(outside, at, *args)) - value
            copy(at, x)
            at[j] += x.dtype.type(second)
            b = np.float64(at[j]) - np.float64(x[j])
            change_b = np.float64(fun(outside, at, *args)) - value
            grad[j] = (change_a * (b / a) - change_b * (a / b)) / (b - a)
        return value

    return evaluate


@portable
def _scale(fun, outside, args, work, x, j, up, down, value, relative):
    """The scale of a parameter; a new one is kept in `work`. The arguments are those of `probed_scale`."""
    n = x.size
    scale = max(np.float64(work[n + j]), abs(np.float64(x[j])))
    if scale == 0.0:
        scale, calls = probed_scale(fun, outside, args, work[:n], x, j, up, down, value, relative)
        work[n + j], work[2 * n + 1] = scale, work[2 * n + 1] + calls
    return scale


@portable
def probed_scale(fun, outside, args, at, x, j, up, down, value, relative):
    """The scale of a parameter that is 0: a step of relative * scale changes the objective a little, but measurably.

    at : float array (n,), written
    up, down : the distances of x[j] to its bounds
    value : the objective at x
    relative : the step in units of the scale

    Returns (scale, the calls made). The scale is 1 where no step does that.
    """
    limit, sign = (up, 1.0) if up >= down else (down, -1.0)
    if not 0.0 < abs(value) < np.inf or limit == 0.0:
        return 1.0, 0
    limit = min(limit, 1.0)  # farther away the function may not be defined
    little, much = _LITTLE * abs(value), _MUCH * abs(value)
    h = min(relative, limit)
    change, calls = _change(fun, outside, args, at, x, j, sign * h, value), 1
    while change < little and h < limit:
        larger = min(h * _FACTOR, limit)
        change, calls = _change(fun, outside, args, at, x, j, sign * larger, value), calls + 1
        if not change <= much:
            return h / relative, calls
        h = larger
    if change < little:
        return 1.0, calls
    while not change <= much and calls < _PROBES:
        smaller = h / _FACTOR
        last, change, calls = change, _change(fun, outside, args, at, x, j, sign * smaller, value), calls + 1
        if 0.5 * last < change < np.inf:  # rounding, or a jump
            break
        h = smaller
    return h / relative, calls


@portable
def _change(fun, outside, args, at, x, j, step, value):
    copy(at, x)
    at[j] += x.dtype.type(step)
    return abs(np.float64(fun(outside, at, *args)) - value)


def complex_step(fun: Any, complex_fun: Any, unpack: Any) -> Callable[..., Any]:
    """The gradient by the complex step; unpack(data) = ((data of fun, the same), args, a complex array (n,), written).

    f'(x) is the imaginary part of f(x + ih) over h, without a difference and its rounding: W. Squire and G. Trapp, SIAM
    Review 40 (1998).
    """

    def evaluate(data, grad, work, x):
        (outside, outside_complex), args, z = unpack(data)
        at = work[: x.size]
        work[2 * x.size] += 1
        h = 1e-15 if x.itemsize == 4 else 1e-50
        copy(at, x)
        value = np.float64(fun(outside, at, *args))
        for j in range(x.size):
            for i in range(x.size):
                z[i] = x[i]
            z[j] += 1j * h
            grad[j] = complex_fun(outside_complex, z, *args).imag / h
        return value

    return evaluate
