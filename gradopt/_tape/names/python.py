"""Python's own functions and those of `math`, for traced numbers beside plain ones."""

from __future__ import annotations

import cmath
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from gradopt._tape.record.errors import may_be_caught, refused
from gradopt._tape.record.traced_array import TRACED, TracedArray, has_traced


class _Number(type):
    """The class of `float` and `int` as a traced function sees them: they convert, and are types like Python's."""

    plain: type
    dtype: Any

    def __call__(cls, value: Any = 0, *more: Any) -> Any:
        if more and has_traced((value, *more)):
            return value + 1j * more[0]
        if type(value) not in TRACED or all([part.node.fixed for part in value.parts]):
            return cls.plain(value, *more)
        if value.size != 1:
            raise TypeError("only arrays of size 1 can be converted to Python scalars")
        return cls.convert(value.item())  # type: ignore[attr-defined]

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.plain)

    def __subclasscheck__(cls, other: Any) -> bool:
        return issubclass(cls.plain if other is cls else other, cls.plain)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.plain

    def __hash__(cls) -> int:
        return hash(cls.plain)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.plain, name)


class Float(metaclass=_Number):
    """Python's float, which leaves a traced number as it is."""

    plain, dtype = float, np.dtype(float)

    @staticmethod
    def convert(value: TracedArray) -> Any:
        return value.astype(float)


class Int(metaclass=_Number):
    """Python's int, which drops the fraction of a traced number."""

    plain, dtype = int, np.dtype(int)

    @staticmethod
    def convert(value: TracedArray) -> Any:
        return int(value) if value.node.value is not None else np.trunc(value)  # type: ignore[call-overload]


class Str(metaclass=_Number):
    """Python's str, which can't tell numbers that are not known."""

    plain, dtype = str, np.dtype(object)

    @staticmethod
    def convert(value: Any) -> Any:
        return _text(value)


def _text(value: Any) -> Any:
    raise refused("a text made of what depends on x", "compare numbers, or take another jac")


def _repr(value: Any) -> str:
    known = type(value) not in TRACED or all([part.node.value is not None for part in value.parts])
    return repr(value) if known else _text(value)


class Float64(metaclass=_Number):
    """np.float64, which leaves a traced number, or an array, as it is."""

    plain, dtype = np.float64, np.dtype(float)

    @staticmethod
    def convert(value: TracedArray) -> Any:
        return value.astype(float)


class Complex(metaclass=_Number):
    """Python's complex, which makes a complex number of one or two traced ones."""

    plain, dtype = complex, np.dtype(complex)

    @staticmethod
    def convert(value: Any) -> Any:
        return value.astype(complex)


class Complex128(metaclass=_Number):
    """np.complex128, which leaves a traced number, or an array, complex."""

    plain, dtype = np.complex128, np.dtype(complex)

    @staticmethod
    def convert(value: Any) -> Any:
        return value.astype(complex)


def plain_type(kind: Any) -> Any:
    """The type for which one of these stands; anything else is itself."""
    return kind.plain if isinstance(kind, _Number) else kind


def _are_numbers(items: list[Any]) -> bool:
    """Whether all are numbers; tuples and lists are compared item by item, which is a branch."""
    return not any([isinstance(item, (tuple, list)) or getattr(item, "shape", ()) for item in items])


def _extremum(plain: Callable[..., Any], combine: Any) -> Callable[..., Any]:
    @functools.wraps(plain)
    def extremum(*values: Any, **keywords: Any) -> Any:
        items = list(values[0]) if len(values) == 1 else list(values)
        if keywords or not has_traced(items) or not _are_numbers(items):
            return plain(items, **keywords)
        return functools.reduce(combine, items)

    return extremum


def _first(combine: Any) -> Callable[[Any, Any], Any]:
    """Max or min of two, for which Python takes the first if they are equal: the slope of a tie is not split."""
    return lambda a, b: np.where(combine(b, a), b, a)


def _truth(plain: Callable[..., Any], combine: Any, decides: bool) -> Callable[..., Any]:
    """`any` or `all`; a plain item that `decides` ends it at once, as in Python: the items may have no end."""

    @functools.wraps(plain)
    def all_or_any(values: Any) -> Any:
        found: Any = not decides
        for item in values:
            if type(item) is TracedArray:
                found = item if type(found) is bool else combine(found, item)
            elif bool(item) is decides:
                return decides
        return found

    return all_or_any


def _round(number: Any, ndigits: int | None = None) -> Any:
    return number.__round__(ndigits) if type(number) is TracedArray else round(number, ndigits)


def _isinstance(value: Any, kinds: Any) -> bool:
    kinds = tuple(plain_type(kind) for kind in kinds) if isinstance(kinds, tuple) else plain_type(kinds)
    if type(value) in TRACED:
        value = np.empty((0,) * value.ndim, value.dtype) if value.ndim else value.dtype.type(0)
    return isinstance(value, kinds)


def _sorted(values: Any, *, key: Any = None, reverse: bool = False) -> Any:
    items = list(values)
    if key is not None or not has_traced(items) or not _are_numbers(items):
        return sorted(items, key=key, reverse=reverse)
    in_order = list(np.sort(np.stack(items)))
    return in_order[::-1] if reverse else in_order


BUILTINS: dict[str, Any] = {
    "float": Float,
    "int": Int,
    "complex": Complex,
    "str": Str,
    "repr": _repr,
    "max": _extremum(max, _first(np.greater)),
    "min": _extremum(min, _first(np.less)),
    "any": _truth(any, np.logical_or, True),
    "all": _truth(all, np.logical_and, False),
    "round": _round,
    "isinstance": _isinstance,
    "sorted": _sorted,
}


def _log(value: Any, *base: Any) -> Any:
    return np.log(value) / np.log(base[0]) if base else np.log(value)


def _hypot(*coordinates: Any) -> Any:
    return functools.reduce(np.hypot, coordinates) if coordinates else 0.0


def _product(values: Any, *, start: Any = 1) -> Any:
    return functools.reduce(lambda a, b: a * b, values, start)


def _isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    return np.abs(a - b) <= np.maximum(rel_tol * np.maximum(np.abs(a), np.abs(b)), abs_tol)


_SAME_NAME = (
    *("exp", "expm1", "exp2", "log1p", "log2", "log10", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"),
    *("floor", "ceil", "trunc", "degrees", "radians", "copysign", "fabs", "fmod", "isnan", "isinf", "isfinite"),
)
_OTHER_NAME = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "pow": np.power,
    "log": _log,
    "hypot": _hypot,
    "prod": _product,
    "gamma": scipy.special.gamma,
    "lgamma": scipy.special.gammaln,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "isclose": _isclose,
    "fsum": lambda values: sum(values),
    "dist": lambda p, q: np.linalg.norm(np.asarray(p) - np.asarray(q)),
}


def _with_errors(function: Callable[..., Any], error: type[Exception], says: str) -> Callable[..., Any]:
    """A function of math, which raises an error where there is no number, if the user's function may catch it."""

    def checked(*values: Any) -> Any:
        result = function(*values)
        if type(result) is TracedArray and may_be_caught():
            finite = np.isfinite(result)
            for value in values:
                finite = finite | ~np.isfinite(value)
            if not finite:
                raise ValueError("math domain error") if np.isnan(result) else error(says)
        return result

    return checked


_DOMAIN = ("log", "log1p", "log2", "log10", "sqrt", "asin", "acos", "acosh", "atanh", "gamma", "lgamma", "fmod")
_RANGE = ("exp", "expm1", "exp2", "sinh", "cosh", "pow")

# The functions of math -> those of NumPy that do the same for traced numbers.
MATH: dict[Any, Callable[..., Any]] = {
    getattr(math, name): function
    for name, function in {**{name: getattr(np, name) for name in _SAME_NAME}, **_OTHER_NAME}.items()
    if hasattr(math, name)
}


def _of_complex(function: Any) -> Callable[[Any], Any]:
    """A function of cmath: its result is complex for real numbers too."""
    return lambda value: function(value + 0j)


for _names, _error, _says in ((_DOMAIN, ValueError, "math domain error"), (_RANGE, OverflowError, "math range error")):
    MATH |= {
        getattr(math, name): _with_errors(MATH[getattr(math, name)], _error, _says)
        for name in _names
        if hasattr(math, name)
    }
# The same for cmath.
MATH |= {
    getattr(cmath, name): _of_complex(getattr(np, name))
    for name in ("exp", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "isnan", "isinf", "isfinite")
}
MATH |= {
    cmath.log: lambda value, *base: _log(value + 0j, *base),
    cmath.phase: np.angle,
    cmath.polar: lambda value: (np.abs(value), np.angle(value)),
    cmath.rect: lambda r, phi: r * np.cos(phi) + 1j * (r * np.sin(phi)),
}
