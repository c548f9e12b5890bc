"""Calls of a user's functions in Python, with checks of their results."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate

# The names of the ways to find a gradient from values alone.
SOURCES = {"2-point": "2-point differences", "3-point": "3-point differences", "cs": "the complex step"}

# The allowed relative difference between a function and what runs in its place.
_TOLERANCE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-2}


class FirstCall(NamedTuple):
    """The first call of a function, in Python at x0, so that a wrong result or an exception is reported clearly."""

    value: Any  # the objective, or (objective, gradient) with jac=True
    seconds: float


def first_call(fun: Any, jac: Any, args: tuple[Any, ...], x0: NDArray[Any]) -> FirstCall:
    """Call a user's function once at the start, and its jac if that is a function."""
    if not (jac is None or jac is True or callable(jac) or (isinstance(jac, str) and jac in SOURCES)):
        choices = "a function that returns the gradient, True if fun returns (value, gradient), None, or one of"
        ways = ", ".join(map(repr, ("trace", *SOURCES)))
        raise TypeError(f"jac must be {choices} {ways}, got {validate.shown(jac)}")
    started = time.perf_counter()
    try:
        answers = [part(x0.copy(), *args) for part in python_parts(fun, jac)[: 1 + callable(jac)]]
    except TypeError as error:
        if args == () and "missing" in str(error):
            error.add_note("Pass the other arguments of the function in args=(...).")
        raise
    return FirstCall(answers[0], time.perf_counter() - started)


def python_parts(fun: Any, jac: Any) -> tuple[Any, ...]:
    """The user's functions in Python, with checks of their results."""

    def value(x: Any, *args: Any) -> float:
        return real(fun(x, *args))

    def gradient(x: Any, *args: Any) -> NDArray[Any]:
        return _gradient("what jac returns", jac(x, *args), x)

    def both(x: Any, *args: Any) -> tuple[float, NDArray[Any]]:
        answer = fun(x, *args)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(f"with jac=True, fun must return (value, gradient), got {validate.shown(answer)}")
        return real(answer[0]), _gradient("the gradient that fun returns", answer[1], x)

    if jac is True:
        return (both,)
    if callable(jac):
        return value, gradient
    return (value, fun) if jac == "cs" else (value,)


def real(value: Any) -> float:
    """What a function returned, as a number; a TypeError if it is none."""
    pair = isinstance(value, tuple) and len(value) == 2
    number = np.asarray(None if pair else value)
    if number.size != 1 or number.dtype.kind not in "iuf":
        hint = "; use np.sum or one element" if number.ndim and number.dtype != object else ""
        hint = "; if this is (value, gradient), pass jac=True" if pair else hint
        raise TypeError(f"fun must return a real number, got {validate.shown(value)}{hint}")
    return float(number.item())


def _gradient(source: str, grad: Any, x: NDArray[Any]) -> NDArray[Any]:
    result = np.asarray(grad)
    if result.dtype.kind not in "iuf":
        raise TypeError(f"{source} must be an array of real numbers, got {validate.shown(grad)}")
    if result.shape != x.shape:
        raise ValueError(f"{source} must have the shape of x, {x.shape}, got {result.shape}")
    return result.astype(x.dtype)


def second_point(x0: NDArray[Any], inside: Callable[[NDArray[Any]], NDArray[Any]] | None) -> NDArray[Any]:
    """A point near x0, where a function should be what runs in its place, too: many values may be 0 only at x0.

    inside : moves a point to where the function may be evaluated
    """
    # The step is small, because the function may not be defined far from x0.
    other = x0 + (0.01 * np.maximum(1.0, np.abs(x0)) * (1.0 + 0.5 * np.sin(np.arange(x0.size)))).astype(x0.dtype)
    return other if inside is None else inside(other)


def agree(a: float, b: float, scale: float, dtype: Any) -> bool:
    """Whether two values are equal to rounding; scale : the size of values elsewhere, in case these cancel."""
    return bool(_same(np.float64(a), np.float64(b), scale, dtype))


def disagreement(ours: NDArray[Any], wanted: NDArray[Any], dtype: Any) -> tuple[float, float] | None:
    """The first pair of values that do not `agree`; None if all do."""
    same = _same(ours, wanted, np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)), dtype)
    if same.all():
        return None
    first = int(np.argmin(same))
    return float(ours[first]), float(wanted[first])


def _same(a: Any, b: Any, scale: float, dtype: Any) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = _TOLERANCE[dtype] * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-3 * scale)
        return (a == b) | (np.isnan(a) & np.isnan(b)) | ((np.abs(a - b) <= allowed) & np.isfinite(allowed))
