"""Functions of scipy's compiled libraries, called from kernels by ctypes."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import scipy.special
from numba import objmode, types
from numba.extending import overload

from gradopt._compiler.capsules import exported
from gradopt._compiler.kernel import COMPILING, portable


def of_numbers(module: Any, name: str, count: int) -> Any:
    """A function of some float64 numbers with a float64 result; kernels pass 0 as one more argument."""
    kind = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * count, ctypes.c_int)
    return kind(exported(module, name, "double ("))


def of_complex(module: Any, name: str) -> Any:
    """A function of one complex number, which kernels call with its real and its imaginary part; Python runs it."""
    ufunc = getattr(scipy.special, name)

    def in_python(real, imag):
        return complex(ufunc(complex(real, imag)))

    def function(real, imag):
        with objmode(value="complex128"):
            value = in_python(real, imag)
        return value

    return portable(function) if COMPILING else in_python


def by_reference(module: Any, name: str, *, returns_info: bool) -> Any:
    """A function of Fortran, whose arguments are addresses: kernels pass it a tuple of integers and arrays.

    With `returns_info`, the last argument of the Fortran function is added, and its value is the result; else the
    result is 0.
    """
    address = exported(module, name, "void (")
    functions: dict[int, Any] = {}  # by the number of arguments

    def function(arguments: Any) -> int:
        raise NotImplementedError  # kernels alone call it

    @overload(function)
    def _(arguments):
        count = len(arguments) + returns_info
        if count not in functions:
            functions[count] = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(address)
        fortran = functions[count]

        def call(arguments):
            info = np.zeros(1, np.int32)
            boxes = _boxes(arguments)
            fortran(*_pointers((*boxes, info) if returns_info else boxes))
            return info[0] + 0 * _length(boxes)  # which keeps the boxes until here

        return call

    return function


def _boxes(arguments: Any) -> Any:
    """The arguments as arrays: integers as int32."""


@overload(_boxes)
def _(arguments):
    if len(arguments) == 0:
        return lambda arguments: ()
    if isinstance(arguments[0], types.Array):
        return lambda arguments: (arguments[0], *_boxes(arguments[1:]))
    if isinstance(arguments[0], types.Integer):
        return lambda arguments: (np.full(1, arguments[0], np.int32), *_boxes(arguments[1:]))
    return lambda arguments: (np.full(1, arguments[0]), *_boxes(arguments[1:]))


def _pointers(boxes: Any) -> Any:
    """The addresses of arrays."""


@overload(_pointers)
def _(boxes):
    if len(boxes) == 0:
        return lambda boxes: ()
    return lambda boxes: (boxes[0].ctypes, *_pointers(boxes[1:]))


def _length(boxes: Any) -> int:
    """The sum of the sizes of arrays."""
    raise NotImplementedError


@overload(_length)
def _(boxes):
    if len(boxes) == 0:
        return lambda boxes: 0
    return lambda boxes: boxes[0].size + _length(boxes[1:])
