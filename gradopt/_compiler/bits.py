"""Floating-point numbers as their bits, and functions with a version for each precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from gradopt._compiler.kernel import COMPILING, CONTRACTED, INLINE

_SAME_BITS: dict[Any, Any] = {types.float32: types.int32, types.float64: types.int64}
_SAME_BITS |= {integer: real for real, integer in _SAME_BITS.items()}


@intrinsic
def _reinterpreted(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return _SAME_BITS[value](value), generate


def _view(value: Any) -> Any:
    kind = {"f": "i", "i": "f"}[value.dtype.kind]
    return value.view(np.dtype(f"{kind}{value.itemsize}"))


# The bits of a float32 as int32, of a float64 as int64, and back.
reinterpreted: Any = _reinterpreted if COMPILING else _view


def by_precision(single: Callable[..., Any], double: Callable[..., Any]) -> Any:
    """A function that calls `single` if its argument x is float32, else `double`; both are compiled functions.

    It becomes part of compiled callers, which must be `elementwise`.
    """

    def function(x: Any) -> Any:
        return single(x) if isinstance(x, np.float32) else double(x)

    @overload(function, jit_options=CONTRACTED | INLINE)
    def _(x):
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)

    return function
