"""NumPy's functions of complex numbers, by their real and imaginary parts.

The formulas are those of Abramowitz and Stegun, Handbook of Mathematical Functions (1964), sections 3.7, 4.3 and 4.5.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from gradopt._tape.record.errors import refused
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, array_of, is_complex
from gradopt._tape.record.traced_complex import TracedComplex, complex_of

# A ufunc -> its version for complex arrays: real and imaginary parts in, both parts or a real result out.
_OF_PARTS: dict[Any, Callable[..., Any]] = {}
# A function -> its version for complex arrays.
_OF_COMPLEX: dict[Any, Callable[..., Any]] = {}

# Functions that take real arrays and complex ones alike.
EITHER: set[Any] = set()


def call_with_complex(trace: Trace, function: Any, inputs: Any, keywords: Any) -> Any:
    """Call a function, or a ufunc, with something complex and something traced among its arguments."""
    if function in _OF_PARTS and not keywords:
        parts = [part for value in inputs for part in complex_of(trace, value).parts]
        found = _OF_PARTS[function](*parts)
        return _made(trace, *found) if isinstance(found, tuple) else found
    implementation = _OF_COMPLEX.get(function, FUNCTIONS.get(function) if function in EITHER else None)
    if implementation is None:
        raise NotSupported("of complex numbers")
    return implementation(trace, *inputs, **keywords)


def _made(trace: Trace, real: Any, imag: Any) -> TracedComplex:
    real, imag = array_of(trace, real), array_of(trace, imag)
    if real.shape != imag.shape:
        shape = np.broadcast_shapes(real.shape, imag.shape)
        real, imag = np.broadcast_to(real, shape), np.broadcast_to(imag, shape)
    return TracedComplex(trace, real, imag)


# Elementwise functions of a + ib, and of c + id.


def _of_parts(*ufuncs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(formula: Callable[..., Any]) -> Callable[..., Any]:
        _OF_PARTS.update(dict.fromkeys(ufuncs, formula))
        return formula

    return register


@_of_parts(np.add)
def _add(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a + c, b + d


@_of_parts(np.subtract)
def _subtract(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a - c, b - d


@_of_parts(np.multiply)
def _multiply(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a * c - b * d, a * d + b * c


@_of_parts(np.divide)
def _divide(a: Any, b: Any, c: Any, d: Any) -> Any:
    size = np.hypot(c, d)  # squares would overflow
    c, d = c / size, d / size
    return (a * c + b * d) / size, (b * c - a * d) / size


@_of_parts(np.reciprocal)
def _reciprocal(a: Any, b: Any) -> Any:
    return _divide(1.0, 0.0, a, b)


@_of_parts(np.square)
def _square(a: Any, b: Any) -> Any:
    return a * a - b * b, 2.0 * a * b


@_of_parts(np.negative)
def _negative(a: Any, b: Any) -> Any:
    return -a, -b


@_of_parts(np.positive)
def _positive(a: Any, b: Any) -> Any:
    return +a, +b


@_of_parts(np.conjugate)
def _conjugate(a: Any, b: Any) -> Any:
    return +a, -b


_of_parts(np.absolute)(np.hypot)


@_of_parts(np.exp)
def _exp(a: Any, b: Any) -> Any:
    size = np.exp(a)
    return size * np.cos(b), size * np.sin(b)


@_of_parts(np.log)
def _log(a: Any, b: Any) -> Any:
    return np.log(np.hypot(a, b)), np.arctan2(b, a)


@_of_parts(np.log2)
def _log2(a: Any, b: Any) -> Any:
    return tuple(part / math.log(2.0) for part in _log(a, b))


@_of_parts(np.log10)
def _log10(a: Any, b: Any) -> Any:
    return tuple(part / math.log(10.0) for part in _log(a, b))


@_of_parts(np.sqrt)
def _sqrt(a: Any, b: Any) -> Any:
    """The root with a real part >= 0; the larger part is found first, so nothing cancels."""
    large = np.sqrt(0.5 * (np.hypot(a, b) + np.abs(a)))
    small = b / (2.0 * np.where(large > 0.0, large, 1.0))
    right = a >= 0.0
    return np.where(right, large, np.abs(small)), np.where(right, small, np.copysign(large, b))


@_of_parts(np.power, np.float_power)
def _power(a: Any, b: Any, c: Any, d: Any) -> Any:
    exponent = c.node.value if d.node.fixed and not d.node.value.any() and c.node.fixed else None
    if exponent is not None and exponent.size == 1 and float(exponent).is_integer() and abs(float(exponent)) <= 100:
        return _whole_power(a, b, int(exponent))
    zero = np.hypot(a, b) == 0.0
    real, imag = _log(np.where(zero, 1.0, a), b)
    real, imag = _exp(*_multiply(real, imag, c, d))
    at_zero = np.where((c == 0.0) & (d == 0.0), 1.0, np.where(c > 0.0, 0.0, np.nan))
    return np.where(zero, at_zero, real), np.where(zero, 0.0 * at_zero, imag)


def _whole_power(a: Any, b: Any, exponent: int) -> Any:
    """The power by an integer, by squares."""
    if exponent < 0:
        return _reciprocal(*_whole_power(a, b, -exponent))
    result, square = None, (a, b)
    while exponent:
        if exponent & 1:
            result = square if result is None else _multiply(*result, *square)
        exponent >>= 1
        square = _square(*square) if exponent else square
    return (np.ones_like(a), np.zeros_like(b)) if result is None else result


@_of_parts(np.sin)
def _sin(a: Any, b: Any) -> Any:
    return np.sin(a) * np.cosh(b), np.cos(a) * np.sinh(b)


@_of_parts(np.cos)
def _cos(a: Any, b: Any) -> Any:
    return np.cos(a) * np.cosh(b), -(np.sin(a) * np.sinh(b))


@_of_parts(np.sinh)
def _sinh(a: Any, b: Any) -> Any:
    return np.sinh(a) * np.cos(b), np.cosh(a) * np.sin(b)


@_of_parts(np.cosh)
def _cosh(a: Any, b: Any) -> Any:
    return np.cosh(a) * np.cos(b), np.sinh(a) * np.sin(b)


@_of_parts(np.tanh)
def _tanh(a: Any, b: Any) -> Any:
    t, u = np.tanh(a), np.tan(b)
    below = 1.0 + (t * u) ** 2
    return t * (1.0 + u * u) / below, u * (1.0 - t * t) / below


@_of_parts(np.tan)
def _tan(a: Any, b: Any) -> Any:
    real, imag = _tanh(-b, a)  # tan z = -i tanh(iz)
    return imag, -real


@_of_parts(np.expm1)
def _expm1(a: Any, b: Any) -> Any:
    half = np.sin(0.5 * b)
    return np.expm1(a) * np.cos(b) - 2.0 * half * half, np.exp(a) * np.sin(b)


@_of_parts(np.equal)
def _equal(a: Any, b: Any, c: Any, d: Any) -> Any:
    return (a == c) & (b == d)


@_of_parts(np.not_equal)
def _not_equal(a: Any, b: Any, c: Any, d: Any) -> Any:
    return (a != c) | (b != d)


@_of_parts(np.isnan)
def _isnan(a: Any, b: Any) -> Any:
    return np.isnan(a) | np.isnan(b)


@_of_parts(np.isinf)
def _isinf(a: Any, b: Any) -> Any:
    return np.isinf(a) | np.isinf(b)


@_of_parts(np.isfinite)
def _isfinite(a: Any, b: Any) -> Any:
    return np.isfinite(a) & np.isfinite(b)


@_of_parts(np.real)
def _real(a: Any, b: Any) -> Any:
    return a


@_of_parts(np.imag)
def _imag(a: Any, b: Any) -> Any:
    return b


_of_parts(np.angle)(lambda a, b: np.arctan2(b, a))


# Functions that do the same to both parts: the places of the arguments that hold numbers.
_LINEAR: dict[Any, tuple[int, ...]] = {
    **dict.fromkeys(
        (
            *(np.sum, np.mean, np.cumsum, np.diff, np.trace, np.reshape, np.ravel, np.transpose, np.moveaxis),
            *(np.swapaxes, np.squeeze, np.expand_dims, np.broadcast_to, np.flip, np.fliplr, np.flipud, np.roll),
            *(np.rot90, np.take, np.repeat, np.tile, np.diagonal, np.diag, np.delete, np.resize, np.copy),
            *(np.concatenate, np.stack, np.vstack, np.hstack, np.column_stack, np.tril, np.triu, np.rollaxis),
            *(np.zeros_like, np.atleast_1d, np.atleast_2d, np.ascontiguousarray),
        ),
        (0,),
    ),
    np.where: (1, 2),
    np.append: (0, 1),
    np.compress: (1,),
}


def _linear(function: Any, places: tuple[int, ...]) -> Callable[..., Any]:
    def by_parts(trace: Trace, *inputs: Any, **keywords: Any) -> Any:
        numbers = {"initial", "prepend", "append"}.intersection(keywords)
        if numbers:  # they belong to the real part alone
            raise NotSupported(f"of complex numbers with {numbers.pop()}")
        given = {place: complex_parts(trace, inputs[place]) for place in places if place < len(inputs)}
        real, imag = (
            function(*[given[i][part] if i in given else value for i, value in enumerate(inputs)], **keywords)
            for part in range(2)
        )
        return _made(trace, real, imag)

    return by_parts


def complex_parts(trace: Trace, value: Any) -> tuple[Any, Any]:
    """The real and the imaginary parts of a value, or of each item of a list of arrays."""
    if isinstance(value, (list, tuple)):
        pairs = [complex_of(trace, item).parts for item in value]
        return [real for real, _ in pairs], [imag for _, imag in pairs]
    return complex_of(trace, value).parts


def _wofz(trace: Trace, z: Any) -> TracedComplex:
    nodes = [part.node for part in complex_of(trace, z).parts]
    return _made(trace, *[TracedArray(trace, trace.graph(name, *nodes)) for name in ("wofz_real", "wofz_imag")])


_OF_COMPLEX[scipy.special.wofz] = _wofz
_OF_COMPLEX |= {function: _linear(function, places) for function, places in _LINEAR.items()}


# Products.


def _bilinear(function: Any, conjugated: int | None = None) -> Callable[..., Any]:
    """A function that is linear in two arguments; conjugated : the place of the one that it conjugates."""

    def product(trace: Trace, left: Any, right: Any, *others: Any, **keywords: Any) -> TracedComplex:
        (a, b), (c, d) = complex_of(trace, left).parts, complex_of(trace, right).parts
        b, d = (-b if conjugated == 0 else b), (-d if conjugated == 1 else d)

        def real(one: Any, other: Any) -> Any:
            return function(one, other, *others, **keywords)

        return _made(trace, real(a, c) - real(b, d), real(a, d) + real(b, c))

    return product


_OF_COMPLEX |= {f: _bilinear(f) for f in (np.matmul, np.dot, np.inner, np.outer, np.tensordot, np.convolve, np.kron)}
_OF_COMPLEX[np.correlate] = _bilinear(np.correlate, 1)


def _vdot(trace: Trace, a: Any, b: Any) -> Any:
    return _bilinear(np.dot, 0)(trace, complex_of(trace, a).flat, complex_of(trace, b).flat)


def _einsum(trace: Trace, subscripts: Any, *operands: Any, **keywords: Any) -> Any:
    """All terms of the product of sums, by how many factors are imaginary."""
    if not isinstance(subscripts, str):
        raise NotSupported("without subscripts")
    pairs = [complex_of(trace, operand).parts for operand in operands]
    parts: list[Any] = [0.0, 0.0]
    for chosen in np.ndindex(*[2 for _ in pairs]):
        term = np.einsum(subscripts, *[pair[i] for pair, i in zip(pairs, chosen, strict=True)], **keywords)
        power = sum(chosen)  # i^power
        parts[power % 2] = parts[power % 2] + (term if power % 4 < 2 else -term)
    return _made(trace, *parts)


def _prod(trace: Trace, a: Any, axis: Any = None, **keywords: Any) -> Any:
    whole = complex_of(trace, a)
    if keywords or isinstance(axis, tuple):
        raise NotSupported("of complex numbers with more than an axis")
    lines = whole.flat if axis is None else np.moveaxis(whole, axis, 0)  # type: ignore[type-var]
    return functools.reduce(operator.mul, lines, 1.0 + 0.0j)


def _var(trace: Trace, a: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
    whole = complex_of(trace, a)
    deviation = whole - np.mean(whole, axis=axis, keepdims=True)
    count = whole.size / max(np.empty(whole.shape, np.int8).sum(axis=axis).size, 1)
    return np.sum(deviation.real**2 + deviation.imag**2, axis=axis, keepdims=keepdims) / (count - ddof)


def _std(trace: Trace, a: Any, axis: Any = None, **keywords: Any) -> Any:
    return np.sqrt(_var(trace, a, axis, **keywords))


def _norm(trace: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    whole = complex_of(trace, x)
    if whole.ndim - (0 if axis is None else whole.ndim - np.size(axis)) > 1 and ord not in (None, "fro"):
        raise NotSupported(f"of a complex matrix with ord={ord!r}")
    return np.linalg.norm(np.abs(whole), ord, axis, keepdims)


def _like(value: float) -> Callable[..., Any]:
    def like(trace: Trace, a: Any, dtype: Any = None, **keywords: Any) -> Any:
        made = np.full(np.shape(a), value, complex if dtype is None else dtype)
        return complex_of(trace, made) if made.dtype.kind == "c" else array_of(trace, made)

    return like


_OF_COMPLEX |= {
    np.vdot: _vdot,
    np.einsum: _einsum,
    np.prod: _prod,
    np.var: _var,
    np.std: _std,
    np.linalg.norm: _norm,
    np.zeros_like: _like(0.0),
    np.ones_like: _like(1.0),
    np.empty_like: _like(0.0),
    np.shape: lambda trace, a: a.shape,
    np.ndim: lambda trace, a: a.ndim,
    np.size: lambda trace, a: a.size,
    np.isrealobj: lambda trace, x: not is_complex(x),
    np.iscomplexobj: lambda trace, x: is_complex(x),
}


def as_complex(trace: Trace, array: TracedArray) -> TracedComplex:
    """A real array as a complex one, which can be written by itself."""
    real: Any = np.copy(array)
    return TracedComplex(trace, real.astype(float), array_of(trace, np.zeros(array.shape)))


def reduced_complex(trace: Trace, ufunc: Any, method: str, inputs: Any, keywords: Any) -> Any:
    """A method of a ufunc with something complex."""
    sums: dict[Any, Any] = {np.add: np.sum, np.multiply: np.prod}
    if method == "reduce" and ufunc in sums:
        array, axis = (*inputs, 0)[:2]
        keywords = {"axis": axis, **keywords}
        return sums[ufunc](complex_of(trace, array), **keywords)
    if method == "accumulate" and ufunc is np.add:
        return np.cumsum(complex_of(trace, inputs[0]), axis=(*inputs, 0)[1])
    if method == "outer":
        left, right = (complex_of(trace, value) for value in inputs)
        return ufunc(left.reshape(left.shape + (1,) * right.ndim), right)
    raise refused(f"np.{ufunc.__name__}.{method} of complex numbers", "take real and imaginary parts by themselves")


FUNCTIONS["complex"] = as_complex
