"""The methods of arrays that call NumPy's functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradopt._tape.graph.node import Node


def _method(function: Any) -> Any:
    return lambda self, *arguments, **keywords: function(self, *arguments, **keywords)


class ArrayMethods:
    """The methods that traced arrays share with NumPy's arrays, implemented by NumPy's functions."""

    __slots__ = ()

    @property
    def node(self) -> Node:
        raise NotImplementedError

    sum, prod, mean, var, std = map(_method, (np.sum, np.prod, np.mean, np.var, np.std))
    max, min, cumsum, clip, dot = map(_method, (np.max, np.min, np.cumsum, np.clip, np.dot))
    ravel, swapaxes, squeeze = map(_method, (np.ravel, np.swapaxes, np.squeeze))
    repeat, take, diagonal, trace = map(_method, (np.repeat, np.take, np.diagonal, np.trace))
    any, all, argmax, argmin, argsort = map(_method, (np.any, np.all, np.argmax, np.argmin, np.argsort))
    round, cumprod, ptp, conj, conjugate = map(_method, (np.round, np.cumprod, np.ptp, np.conjugate, np.conjugate))
    compress, put = map(_method, (np.compress, np.put))
    real, imag = property(np.real), property(np.imag)
    T = property(np.transpose)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[call-overload]

    def sort(self, axis: int = -1, **keywords: Any) -> None:
        self[...] = np.sort(self, axis=axis)  # type: ignore[call-overload, index]

    def partition(self, kth: Any, axis: int = -1, **keywords: Any) -> None:
        self.sort(axis)

    def flatten(self, order: str = "C") -> Any:
        return np.copy(np.ravel(self, order))  # type: ignore[call-overload]

    def copy(self, order: str = "C") -> Any:
        return np.copy(self)  # type: ignore[call-overload]
