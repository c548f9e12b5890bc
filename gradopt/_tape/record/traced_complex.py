"""Traced arrays of complex numbers: two traced arrays of real numbers each, so the tape knows real numbers alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradopt._tape.record.array_methods import ArrayMethods
from gradopt._tape.record.errors import refused
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TRACED, TracedArray, array_of, has_traced


def _in_place(operation: Callable[[Any, Any], Any]) -> Any:
    """The operator that writes its result into the array on the left; numbers are replaced, not written."""

    def operate(self: TracedComplex, other: Any) -> Any:
        result = operation(self, other)
        if not self.shape:
            return result
        self[...] = result
        return self

    return operate


class TracedComplex(ArrayMethods, np.lib.mixins.NDArrayOperatorsMixin):
    """An array of complex numbers that are not known yet.

    Parameters
    ----------
    trace : Trace
    real, imag : TracedArray
        Two arrays of real numbers, of the same shape. What is written into this array is written into them.
    """

    __slots__ = ("_trace", "parts")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]
    dtype = np.dtype(complex)

    def __init__(self, trace: Trace, real: TracedArray, imag: TracedArray) -> None:
        self._trace, self.parts = trace, (real, imag)

    def __repr__(self) -> str:
        return f"<traced array of complex numbers of shape {self.shape}>"

    @property
    def real(self) -> TracedArray:
        return self.parts[0]

    @property
    def imag(self) -> TracedArray:
        return self.parts[1]

    def by_parts(self, function: Callable[[TracedArray], Any]) -> TracedComplex:
        """The array after a function that does the same to both parts."""
        real, imag = (array_of(self._trace, function(part)) for part in self.parts)
        return TracedComplex(self._trace, real, imag)

    # Known while tracing.

    @property
    def shape(self) -> tuple[int, ...]:
        return self.real.shape

    @property
    def ndim(self) -> int:
        return self.real.ndim

    @property
    def size(self) -> int:
        return self.real.size

    @property
    def flags(self) -> Any:
        return self.real.flags

    def __len__(self) -> int:
        return len(self.real)

    # Methods that need the numbers.

    def __complex__(self) -> complex:
        if any(part.node.value is None for part in self.parts):
            raise refused("a plain number made of what depends on x", "take functions of NumPy, or another jac")
        return complex(float(self.real), float(self.imag))

    def __bool__(self) -> bool:
        return bool((self.real != 0.0) | (self.imag != 0.0))

    def __float__(self) -> float:
        raise TypeError("a complex number is no float; take its real part")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if any(part.node.value is None for part in self.parts):
            raise refused("a plain array made of what depends on x", "take functions of NumPy, or another jac")
        return np.asarray(np.asarray(self.real) + 1j * np.asarray(self.imag), dtype)

    def astype(self, dtype: Any, **keywords: Any) -> Any:
        if np.dtype(dtype).kind != "c":
            raise refused(f"complex numbers as {np.dtype(dtype)}", "take the real part")
        return self.by_parts(lambda part: part.astype(float, **keywords))

    # Elements.

    def __getitem__(self, key: Any) -> TracedComplex:
        return self.by_parts(lambda part: part[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        for part, new in zip(self.parts, complex_of(self._trace, value).parts, strict=True):
            part[key] = new

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def item(self, *index: Any) -> TracedComplex:
        return self.by_parts(lambda part: part.item(*index))

    def tolist(self) -> Any:
        return [row.tolist() for row in self] if self.shape else self

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any, order: str = "C") -> TracedComplex:
        return self.by_parts(lambda part: part.reshape(*shape, order=order))

    @property
    def flat(self) -> TracedComplex:
        return self.reshape(-1)

    # Operations.

    __iadd__, __isub__ = _in_place(operator.add), _in_place(operator.sub)
    __imul__, __itruediv__ = _in_place(operator.mul), _in_place(operator.truediv)
    __ipow__, __imatmul__ = _in_place(operator.pow), _in_place(operator.matmul)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return self._trace.functions["__array_ufunc__"](self._trace, ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, inputs: Any, keywords: Any) -> Any:
        return self._trace.functions["__array_function__"](self._trace, function, inputs, keywords)


TRACED.add(TracedComplex)


def complex_of(trace: Trace, value: Any) -> TracedComplex:
    """The value as a traced array of complex numbers; one that is such an array is itself."""
    if isinstance(value, TracedComplex):
        return value
    if isinstance(value, (list, tuple)) and has_traced(value):
        rows = [complex_of(trace, item) for item in value]
        real, imag = (array_of(trace, [row.parts[i] for row in rows]) for i in range(2))
        return TracedComplex(trace, real, imag)
    if isinstance(value, TracedArray):
        return TracedComplex(trace, value, array_of(trace, np.zeros(value.shape)))
    array = np.asarray(value)
    return TracedComplex(trace, array_of(trace, array.real * 1.0), array_of(trace, array.imag * 1.0))
