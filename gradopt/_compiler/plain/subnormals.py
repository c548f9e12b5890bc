"""Calls that leave the floating-point mode as it is: loops over subnormal numbers are slow then."""

from __future__ import annotations

from gradopt._compiler.kernel import portable


@portable
def flushing(function, arguments):
    """Call a function as function(*arguments)."""
    return function(*arguments)
