"""Modules and NumPy's functions as a traced function sees them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from gradopt._tape.names.python import MATH, Complex128, Float64, plain_type
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TRACED, TracedArray, has_traced, is_complex
from gradopt._tape.record.traced_complex import complex_of

# Modules whose functions take traced arrays; their parts do too.
_NUMERICAL = ("numpy", "math", "cmath", "scipy.special", "scipy.fft", "scipy.linalg")


class Module:
    """A module whose names mean something else where a traced function looks them up.

    Parameters
    ----------
    module : module
    meaning : callable
        A value and its name -> what it means in the trace.
    """

    def __init__(self, module: ModuleType, meaning: Callable[[Any, str], Any]) -> None:
        self.__dict__.update(_module=module, _meaning=meaning)

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__["_meaning"](getattr(self.__dict__["_module"], name), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value  # not in the module itself: nothing changes for anyone else

    def __repr__(self) -> str:
        return repr(self.__dict__["_module"])


def is_numerical(value: Any) -> bool:
    """Whether a value is a function of NumPy, math or scipy.special."""
    if isinstance(value, np.ufunc):
        return True
    module = getattr(value, "__module__", None)
    return callable(value) and not isinstance(value, type) and _within(module)


def _within(module: Any) -> bool:
    return isinstance(module, str) and any(module == one or module.startswith(f"{one}.") for one in _NUMERICAL)


def has_names_of_its_own(module: ModuleType) -> bool:
    """Whether a module, or one below it, has functions that take traced arrays."""
    name = module.__name__
    return _within(name) or name in ("scipy", "scipy.stats")


class Function:
    """A function of NumPy, math or scipy.special that takes traced numbers and lists of them.

    It is called as it stands where nothing is traced. The arrays of real numbers that it makes then can be written.
    Functions in Python that the tape does not have run with traced arrays, by the names of the trace.
    """

    def __init__(self, trace: Trace, function: Any) -> None:
        functools.update_wrapper(self, function, updated=())
        self._trace, self._function = trace, function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        function = self._function
        if "dtype" in keywords:
            keywords["dtype"] = plain_type(keywords["dtype"])
        if not (has_traced(arguments) or (keywords and has_traced(list(keywords.values())))):
            made = _OWN_ALWAYS.get(function)
            if made is not None:
                return made(self._trace, *arguments, **keywords)
            return writable(self._trace, function(*arguments, **keywords))
        function = MATH.get(function) or _of_scipy_fft(function)
        own = _OWN.get(function)
        if own is not None:
            return own(self._trace, *arguments, **keywords)
        if isinstance(function, np.ufunc):
            return self._any.__array_ufunc__(function, "__call__", *arguments, **keywords)
        if function in self._trace.functions:
            return writable(self._trace, self._any.__array_function__(function, (), arguments, keywords))
        plain = getattr(function, "__wrapped__", function)
        if type(plain) is FunctionType and self._trace.again is not None:
            return writable(self._trace, self._trace.again(plain)(*arguments, **keywords))
        return writable(self._trace, function(*arguments, **keywords))

    @property
    def _any(self) -> TracedArray:
        return TracedArray(self._trace, self._trace.graph.x)

    def __repr__(self) -> str:
        return repr(self._function)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._function, name)
        if name in ("reduce", "accumulate", "outer", "at") and isinstance(self._function, np.ufunc):
            return functools.partial(self._by_method, name)
        return found

    def _by_method(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        if has_traced(arguments):
            return self._any.__array_ufunc__(self._function, method, *arguments, **keywords)
        return writable(self._trace, getattr(self._function, method)(*arguments, **keywords))


def _of_scipy_fft(function: Any) -> Any:
    """NumPy's function of the same name, for one of scipy.fft; anything else is itself."""
    is_its = str(getattr(function, "__module__", "")).startswith("scipy.fft")
    return getattr(np.fft, function.__name__, function) if is_its else function


def writable(trace: Trace, made: Any) -> Any:
    """What a function made, with arrays of real numbers as traced arrays, which remember what is written into them."""
    kind = type(made)
    if kind is np.ndarray and made.dtype.kind in "fc" and made.ndim:
        return complex_of(trace, made) if made.dtype.kind == "c" else TracedArray(trace, trace.graph.constant(made))
    if kind is tuple or kind is list:
        return kind([writable(trace, item) for item in made])
    return made


def _array(trace: Trace, value: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **keywords: Any) -> Any:
    """np.array and its kin of something traced: a new array, or with copy=None or False the same one."""
    is_array = type(value) in TRACED
    if is_array:
        made = value
    else:
        made = complex_of(trace, value) if is_complex(value) else trace.functions[np.copy](trace, value)
    if dtype is not None:
        made = made.astype(plain_type(dtype), copy=bool(copy))
    elif is_array and copy:
        made = made.copy()
    while type(made) in TRACED and made.ndim < ndmin:
        made = made[None]
    return made


def _asarray(trace: Trace, value: Any, dtype: Any = None, **keywords: Any) -> Any:
    return _array(trace, value, dtype, copy=False)


def _isscalar(trace: Trace, value: Any) -> bool:
    return not value.shape if type(value) in TRACED else False


# What NumPy's own protocols do not reach.
_OWN: dict[Any, Callable[..., Any]] = {
    np.array: _array,
    np.asarray: _asarray,
    np.asanyarray: _asarray,
    np.isscalar: _isscalar,
}
_OWN_ALWAYS: dict[Any, Callable[..., Any]] = {
    # An empty array holds other numbers at each call; functions that read them are found out by comparison.
    np.empty: lambda trace, *arguments, **keywords: writable(trace, np.zeros(*arguments, **keywords)),
    np.empty_like: lambda trace, *arguments, **keywords: writable(trace, np.zeros_like(*arguments, **keywords)),
}


# Types that are called as functions.
TYPES: dict[Any, Any] = {np.float64: Float64, np.complex128: Complex128}
