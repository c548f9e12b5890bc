"""NumPy's functions for traced arrays, in terms of a graph's operations; FUNCTIONS has all of them."""

from gradopt._tape.record.numpy_functions import elementwise, moves, orders, products, signals, sums, ufuncs
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS

__all__ = ["FUNCTIONS", "elementwise", "moves", "orders", "products", "signals", "sums", "ufuncs"]
