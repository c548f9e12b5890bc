"""Checks of arguments. Each error names the argument, what was given and what is wanted."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from gradopt._core.aligned import aligned_copy


def number(
    name: str,
    value: Any,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """A real number in [low, high]; `above` and `below` exclude the ends."""
    if type(value) is not float and (isinstance(value, (bool, np.bool_)) or not isinstance(value, Real)):
        raise TypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    too_low = result <= low if above else result < low
    too_high = result >= high if below else result > high
    if result != result or too_low or too_high or abs(result) == np.inf:
        raise ValueError(f"{name} must be {_interval(low, high, above, below)}, got {shown(value)}")
    return result


def _interval(low: float, high: float, above: bool, below: bool) -> str:
    if np.isinf(low) and np.isinf(high):
        return "a finite number"
    if np.isinf(high):
        return f"finite and {'>' if above else '>='} {low:g}"
    return f"in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"


def integer(name: str, value: Any, low: int) -> int:
    """An integer of at least `low`; it must have an integer type, so 3.0 is not accepted."""
    if type(value) is not int and (isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral)):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if int(value) >= 2**62:
        raise ValueError(f"{name} must be an integer < 2**62, got {shown(value)}")
    if int(value) < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {shown(value)}")
    return int(value)


def generator(name: str, value: Any) -> np.random.Generator:
    """A random generator, which numpy.random.default_rng makes from None, a seed or a Generator."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError):
        wanted = "None, an integer >= 0 or a numpy.random.Generator"
        raise TypeError(f"{name} must be {wanted}, got {shown(value)}") from None


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def choice(name: str, value: Any, choices: Any) -> Any:
    """One of the given strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}")
    return value


def array(name: str, value: Any, ndim: int, dtype: Any = None, *, finite: bool = True) -> NDArray[Any]:
    """A new floating-point array, C order; without `dtype`, float32 stays float32 and other types become float64."""
    wanted = f"{name} must be a real, {'finite, ' if finite else ''}{_DIMENSIONS[ndim]} array"
    try:
        given = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{wanted}, got {shown(value)}") from None
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{wanted}, got {shown(value)} of dtype {given.dtype}{_remedy(name, value, given)}")
    if given.ndim != ndim:
        hint = f"; write [{value}]" if given.ndim == 0 and ndim == 1 else ""
        raise ValueError(f"{wanted}, got {shown(value)} of shape {given.shape}{hint}")
    if given.size == 0:
        raise ValueError(f"{wanted} with at least one element, got shape {given.shape}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{wanted}, got one with masked elements")
    if dtype is None:
        dtype = np.float32 if given.dtype == np.float32 else np.float64
    if given.dtype == dtype:
        result = aligned_copy(given)
    else:
        with np.errstate(over="ignore"):  # the test below says what became infinite
            result = aligned_copy(given, dtype)
    if finite and not _is_finite(result):
        where = np.argwhere(~np.isfinite(result))[0]
        raise ValueError(f"{wanted}, got {result[tuple(where)]} at [{', '.join(map(str, where))}]")
    return result


def _remedy(name: str, value: Any, given: NDArray[Any]) -> str:
    """What to write in place of something that NumPy takes for no numbers."""
    if isinstance(value, OptimizeResult):
        return "; pass its x"
    if hasattr(value, "toarray"):
        return f"; use {name}.toarray()"
    if given.dtype.kind == "c":
        return f"; use {name}.real, or two real numbers for each complex one"
    if given.dtype.kind == "b" or (given.dtype.kind == "O" and hasattr(value, "astype")):
        return f"; use {name}.astype(float)"
    return ""


def _is_finite(array: NDArray[Any]) -> bool:
    # For a few numbers, the sum of squares is faster, unless it overflows.
    return (array.size < 64 and math.isfinite(np.vdot(array, array))) or bool(np.isfinite(array).all())


_DIMENSIONS = {1: "one-dimensional", 2: "two-dimensional"}


def shown(value: Any) -> str:
    """The value as an error message shows it."""
    text = repr(value)
    if len(text) > 80:
        text = f"{text[:60]}... ({type(value).__name__})"
    return text
