"""Functions whose implementation is chosen by the class of their first argument, in Python and in machine code."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch, update_wrapper
from inspect import Parameter, Signature, signature
from typing import Any

import numpy as np
from numba.extending import overload

from gradopt._compiler.kernel import COMPILING, INLINE, REORDERED, STRICT, kernel

# Without the compiler, NumPy must be as silent about overflow as machine code is.
silent = np.errstate(all="ignore")


def generic(
    stub: Callable[..., Any] | None = None, *, in_sums: bool = False, default: Callable[..., Any] | None = None
) -> Any:
    """Make a generic function from its signature and docstring.

    The first argument is the lowered form of a configuration, which `Config.lower` returns; its class selects the
    implementation. In compiled code the implementation becomes part of the caller. A call from Python runs a compiled
    version of it, or the plain Python source if the compiler is off.

    `function.on(Class)` registers an implementation for a configuration class, `function.in_python(Class)` one that is
    never compiled; `function.source(Class.Lowered)` is the plain Python of an implementation. With `in_sums`, compiled
    code calls the function only in a `summation`, and its arithmetic may be reordered with that of the sum; Python runs
    its source. `default` is the implementation for all other classes.
    """
    if stub is None:
        return lambda stub: generic(stub, in_sums=in_sums, default=default)
    flags = REORDERED if in_sums else STRICT
    implementations: dict[type, Callable[..., Any]] = {}
    function: Any = singledispatch(default or stub)
    update_wrapper(function, stub)

    def choose(*numba_types: Any) -> Callable[..., Any] | None:
        return implementations.get(getattr(numba_types[0], "instance_class", type(None)), default)

    # Numba compares this signature with the implementation's, which has no annotations.
    names = list(signature(stub).parameters)
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    choose.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    # As far as LLVM knows, a call may fail. It peels the first iteration off loops with such exits, and the vectors of
    # a sum would then not be aligned with cache lines; so there is no call.
    inline: Any = "always" if in_sums else "never"
    overload(function, jit_options=flags | INLINE, inline=inline)(choose)

    def call(*arguments):
        return function(*arguments)

    call.__qualname__ = f"{stub.__qualname__}.from_python"  # see `kernel`
    compiled = kernel(call)

    def on(config: Any) -> Callable[..., Any]:
        def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
            if "Lowered" not in getattr(config, "__dict__", {}):
                name = getattr(config, "__name__", repr(config))
                raise TypeError(
                    f"{name} is not a class that can have a kernel: it must be decorated with @gradopt.extend.config"
                )
            if config.Lowered in implementations:  # compiled loops may already contain the old one
                raise ValueError(f"{config.__name__} has its {stub.__name__} already; define the class again too")
            given = list(signature(implementation).parameters)
            if given != names:  # Numba compares the names too
                wanted, got = (f"({', '.join(them)})" for them in (names, given))
                raise TypeError(f"{stub.__name__} of {config.__name__} must have the parameters {wanted}, got {got}")
            implementations[config.Lowered] = implementation
            from_python = compiled if COMPILING and not in_sums else silent(implementation)
            function.register(config.Lowered, from_python)
            return implementation

        return register

    def in_python(config: Any) -> Callable[..., Any]:
        def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
            function.register(config.Lowered, implementation)
            return implementation

        return register

    function.source = implementations.__getitem__
    function.on = on
    function.in_python = in_python
    return function
