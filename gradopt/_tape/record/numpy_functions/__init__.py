"""NumPy's functions for traced arrays, in terms of a graph's operations; FUNCTIONS has all of them."""

from gradopt._tape.record.numpy_functions import (
    calls,
    complex_numbers,
    elementwise,
    fourier,
    linear_algebra,
    moves,
    orders,
    products,
    signals,
    special,
    sums,
    ufuncs,
)
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "calls",
    "complex_numbers",
    "elementwise",
    "fourier",
    "linear_algebra",
    "moves",
    "orders",
    "products",
    "signals",
    "special",
    "sums",
    "ufuncs",
]
