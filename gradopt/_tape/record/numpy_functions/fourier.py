"""Discrete Fourier transforms, as products with constant matrices.

A transform of length n = p q is one of length p, a turn of each element, and one of length q (Cooley and Tukey 1965,
Mathematics of Computation 19, 297). Short ones, and those of prime length, are one product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradopt._tape.record.numpy_functions.complex_numbers import EITHER
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS, NotSupported, known
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import is_complex
from gradopt._tape.record.traced_complex import TracedComplex, complex_of

# The longest transform that is one product, and the longest of prime length.
_SHORT, _LONGEST_PRIME = 64, 2048

Parts = tuple[Any, Any]  # real and imaginary; None for zeros


def _turns(steps: Any, n: int, sign: int) -> tuple[Any, Any]:
    """Cos and sin of the turns by steps / n of a circle."""
    angle = (steps % n) * (2.0 * math.pi / n)
    return np.cos(angle), sign * np.sin(angle)


def _times(z: Parts, cos: Any, sin: Any, product: Callable[[Any, Any], Any]) -> Parts:
    real, imag = z
    if imag is None:
        return product(real, cos), product(real, sin)
    return product(real, cos) - product(imag, sin), product(real, sin) + product(imag, cos)


def _transform(z: Parts, sign: int) -> Parts:
    """Sum over j of z[j] exp(sign 2 pi i j k / n), along the last axis."""
    shape = z[0].shape
    n = shape[-1]
    p = n if n <= _SHORT else max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    if p in (1, n):
        if n > _LONGEST_PRIME:
            raise NotSupported(f"of length {n}, which is prime")
        return _times(z, *_turns(np.outer(np.arange(n), np.arange(n)), n, sign), np.matmul)
    q = n // p

    def each(move: Callable[[Any], Any], parts: Parts) -> Parts:
        return move(parts[0]), None if parts[1] is None else move(parts[1])

    z = _transform(each(lambda a: np.swapaxes(a.reshape(*shape[:-1], p, q), -1, -2), z), sign)
    z = _times(z, *_turns(np.outer(np.arange(q), np.arange(p)), n, sign), np.multiply)
    z = _transform(each(lambda a: np.swapaxes(a, -1, -2), z), sign)
    return each(lambda a: np.swapaxes(a, -1, -2).reshape(shape), z)


def _fitted(array: Any, n: int) -> Any:
    """The array, cut or filled with zeros to n numbers along the last axis."""
    length = array.shape[-1]
    if length >= n:
        return array[..., :n]
    return np.concatenate([array, np.zeros((*array.shape[:-1], n - length))], axis=-1)


def _scale(n: int, norm: Any, sign: int) -> float:
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(f'norm must be "backward", "ortho" or "forward", got {norm!r}')
    if norm == "ortho":
        return 1.0 / math.sqrt(n)
    return 1.0 / n if (norm == "forward") == (sign < 0) else 1.0


def _length(n: Any, default: int, trace: Trace) -> int:
    length = default if n is None else int(known(n, trace))
    if length < 1:
        raise ValueError(f"the length of a Fourier transform must be at least 1, got {length}")
    return length


def _complex_to_complex(sign: int) -> Callable[..., TracedComplex]:
    def fft(trace: Trace, a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> TracedComplex:
        given = complex_of(trace, a)
        n = _length(n, given.shape[axis], trace)
        moved = given.by_parts(lambda part: _fitted(np.moveaxis(part, axis, -1), n))  # type: ignore[call-overload]
        real, imag = _transform((moved.real, moved.imag if is_complex(a) else None), sign)
        scale = _scale(n, norm, sign)
        return TracedComplex(trace, real, imag).by_parts(lambda part: np.moveaxis(part * scale, -1, axis))

    return fft


_fft, _ifft = _complex_to_complex(-1), _complex_to_complex(1)


def _rfft(trace: Trace, a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> TracedComplex:
    whole = _fft(trace, complex_of(trace, a).real if is_complex(a) else a, n, axis, norm)
    half = whole.shape[axis] // 2 + 1
    return whole.by_parts(lambda part: np.take(part, range(half), axis))


def _irfft(trace: Trace, a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    given = complex_of(trace, a)
    n = _length(n, 2 * (given.shape[axis] - 1), trace)
    half = given.by_parts(lambda part: _fitted(np.moveaxis(part, axis, -1), n // 2 + 1))  # type: ignore[call-overload]
    mirrored = slice(1, (n + 1) // 2)
    back = (..., slice(None, None, -1))
    real = np.concatenate([half.real, half.real[..., mirrored][back]], axis=-1)
    # The imaginary part of the first, and of the one in the middle, is of no account.
    inner = np.zeros(n // 2 + 1)
    inner[mirrored] = 1.0
    imag = half.imag * inner
    imag = np.concatenate([imag, -imag[..., mirrored][back]], axis=-1)
    result, _ = _transform((real, imag), 1)
    return np.moveaxis(result * _scale(n, norm, 1), -1, axis)


def _over_axes(first: Callable[..., Any], rest: Callable[..., Any], axes: Any = None) -> Callable[..., Any]:
    """A transform along several axes: `first` along the last of them, then `rest`; an inverse of real numbers ends
    with its last axis instead.
    """
    last_is_last = first is _irfft

    def transform(trace: Trace, a: Any, s: Any = None, axes: Any = axes, norm: Any = None, out: Any = None) -> Any:
        if axes is None:
            axes = range(-len(s), 0) if s is not None else range(np.ndim(a))
        lengths = [None for _ in axes] if s is None else list(s)
        steps = [(rest, n, axis) for n, axis in zip(lengths, axes, strict=True)]
        steps[-1] = (first, *steps[-1][1:])
        for one, n, axis in steps if last_is_last else steps[::-1]:
            a = one(trace, a, n, axis, norm)
        return a

    return transform


_FOURIER: dict[Any, Callable[..., Any]] = {
    np.fft.fft: _fft,
    np.fft.ifft: _ifft,
    np.fft.rfft: _rfft,
    np.fft.irfft: _irfft,
    np.fft.fft2: _over_axes(_fft, _fft, (-2, -1)),
    np.fft.ifft2: _over_axes(_ifft, _ifft, (-2, -1)),
    np.fft.fftn: _over_axes(_fft, _fft),
    np.fft.ifftn: _over_axes(_ifft, _ifft),
    np.fft.rfft2: _over_axes(_rfft, _fft, (-2, -1)),
    np.fft.rfftn: _over_axes(_rfft, _fft),
    np.fft.irfft2: _over_axes(_irfft, _ifft, (-2, -1)),
    np.fft.irfftn: _over_axes(_irfft, _ifft),
}
FUNCTIONS |= _FOURIER
EITHER.update(_FOURIER)
